"""What one browser session remembers, and what of it stands in the address bar."""
