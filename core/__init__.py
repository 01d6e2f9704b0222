"""compresslab's Python interface. A name is imported when it is first used, so that a command starts at once."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compresslab.recipes.method import METHODS
    from compresslab.recipes.metric import METRICS
    from compresslab.recipes.recipe import Recipe
    from compresslab.workspace import Workspace
    from compresslab.workspace.oneline import distill, evaluate, generate, prune, quantize, save

__all__ = ["METHODS", "METRICS", "Recipe", "Workspace", "distill", "evaluate", "generate", "prune", "quantize", "save"]

__version__: str

_HOMES = {
    "METHODS": "recipes.method",
    "METRICS": "recipes.metric",
    "Recipe": "recipes.recipe",
    "Workspace": "workspace",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("compresslab.files.version").version()
    if name not in __all__:
        raise AttributeError(f"module 'compresslab' has no attribute {name!r}")
    return getattr(import_module(f"compresslab.{_HOMES.get(name, 'workspace.oneline')}"), name)
