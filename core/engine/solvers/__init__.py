"""Pure tensors in, tensors out."""
