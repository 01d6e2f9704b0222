"""Compression methods, one file each: settings, what they will do to every weight, and `apply`.

They import recipes and what is below; the engine for annotations, and inside `apply`.
"""
