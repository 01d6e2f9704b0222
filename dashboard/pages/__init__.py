"""One file a page, and the list of them."""
