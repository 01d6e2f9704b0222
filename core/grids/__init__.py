"""Grids: the few values that weights are rounded to, and how these are stored. One file each, listed in `registry`."""
