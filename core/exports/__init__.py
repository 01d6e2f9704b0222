"""Formats that other programs load: one file each, entry points of the group `compresslab.exports`."""
