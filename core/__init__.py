"""compresslab's Python interface. A name is imported when it is first used, so that a command starts at once."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compresslab.oneline import distill, evaluate, prune, quantize
    from compresslab.recipes.recipe import Recipe
    from compresslab.registry import METHODS, METRICS
    from compresslab.workspace import Workspace

__all__ = ["METHODS", "METRICS", "Recipe", "Workspace", "distill", "evaluate", "prune", "quantize"]

_HOMES = {"METHODS": "registry", "METRICS": "registry", "Recipe": "recipes.recipe", "Workspace": "workspace"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'compresslab' has no attribute {name!r}")
    return getattr(import_module(f"compresslab.{_HOMES.get(name, 'oneline')}"), name)
