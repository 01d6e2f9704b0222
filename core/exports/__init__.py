"""Formats that other programs load: one file each, listed in `exports.registry`."""
