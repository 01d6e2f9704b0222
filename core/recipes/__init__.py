"""What an experiment is: recipes and their steps, the contracts of methods and metrics, plans and sweeps."""

from compresslab.recipes.recipe import Recipe

__all__ = ["Recipe"]
