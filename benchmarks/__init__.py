"""Benchmarks: each writes one JSON file into `results/`. None of them is a test, none asserts a time."""
