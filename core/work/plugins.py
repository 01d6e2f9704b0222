"""What other packages brought and can't be used, whatever kind of thing it is."""

from compresslab.exports.registry import FORMATS
from compresslab.grids.registry import GRIDS
from compresslab.models.families import FAMILIES
from compresslab.recipes.method import METHODS
from compresslab.recipes.metric import METRICS
from compresslab.registry import Broken


def left_out() -> list[Broken]:
    return [broken for known in (METHODS, METRICS, FORMATS, GRIDS, FAMILIES) for broken in known.broken]
