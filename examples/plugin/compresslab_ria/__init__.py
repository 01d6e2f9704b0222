"""Relative importance pruning and near choices, for compresslab."""
