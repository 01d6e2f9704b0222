"""What can be said before anything runs: estimates, presets, bits by layer.

Imports profiles, recipes, and what is below.
"""
