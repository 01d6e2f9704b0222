"""Formats that other programs load: one file each."""
