"""compresslab's Python interface. Nothing here loads torch until work begins."""

from core.oneline import distill, evaluate, prune, quantize
from core.recipe import Recipe
from core.registry import METHODS, METRICS
from core.workspace import Workspace

__all__ = ["METHODS", "METRICS", "Recipe", "Workspace", "distill", "evaluate", "prune", "quantize"]
