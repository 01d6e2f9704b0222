"""What an experiment is: recipes and their steps, the contracts of methods and metrics, plans and sweeps."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compresslab.recipes.recipe import Recipe

__all__ = ["Recipe"]


def __getattr__(name: str) -> Any:
    """`Recipe` is imported when it is first used: methods import this room, and a recipe knows all methods."""
    if name not in __all__:
        raise AttributeError(f"module 'compresslab.recipes' has no attribute {name!r}")
    from compresslab.recipes.recipe import Recipe

    return Recipe
