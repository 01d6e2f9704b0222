"""compresslab."""
