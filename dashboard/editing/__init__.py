"""What pages that edit the recipe in hand have in common."""
