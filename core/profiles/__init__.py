"""What is measured once for each model: sensitivity, layers, statistics."""
