"""What one part of the model may have of its own, as exceptions of a step. No Streamlit.

A later exception wins over an earlier one, so that what was said last holds.
"""

from __future__ import annotations

from typing import Any

from compresslab.planning.allocation import SPARSITIES, block_and_part
from compresslab.recipes.layerwise import LayerMethod, Pruner, Quantizer
from compresslab_dashboard.layers.looking import Scope

AS_STEP, ALONE = "as_step", "alone"  # beside the values: as the step says, and left as it is
Choice = float | str


def setting_of(step: LayerMethod) -> str | None:
    """What is chosen for a part; None for a pattern such as 2:4, which parts have or have not."""
    if isinstance(step, Quantizer):
        return "bits"
    return "sparsity" if isinstance(step, Pruner) and step.pattern is None else None


def choices(step: LayerMethod) -> list[Choice]:
    bits = step.widths("linear") if isinstance(step, Quantizer) else ()
    values: tuple[Any, ...] = {"bits": bits, "sparsity": SPARSITIES}.get(setting_of(step) or "", ())
    control = next((control for control in step.controls() if control.name == setting_of(step)), None)
    least = (control.minimum if control else None) or 0
    return [AS_STEP, ALONE, *(value for value in values if value >= least)]


def chosen(step: LayerMethod, pattern: str) -> Choice:
    """What stands under this very pattern."""
    if pattern in step.ignore:
        return ALONE
    value: Choice = step.overrides.get(pattern, {}).get(setting_of(step) or "", AS_STEP)
    return value


def pattern_of(matrix: str, scope: Scope) -> str:
    """layers.3.mlp.up_proj, layers.3.* or layers.*.mlp.up_proj."""
    block, part = block_and_part(matrix)
    if scope == "layer":
        return f"{block}.*"
    return f"{block}.{part}" if scope == "matrix" else f"{block.rpartition('.')[0]}.*.{part}"


def excepted(step: LayerMethod, pattern: str, choice: Choice) -> LayerMethod:
    """The step with this choice for the pattern, in place of what stood there. Raises BadInput."""
    setting = setting_of(step)
    kept = {name: value for name, value in step.overrides.get(pattern, {}).items() if name != setting}
    overrides = {other: values for other, values in step.overrides.items() if other != pattern}
    ignore = [other for other in step.ignore if other != pattern]
    if choice == ALONE:
        ignore.append(pattern)
    elif choice != AS_STEP and setting is not None:
        kept[setting] = choice
    if kept:
        overrides[pattern] = kept  # last, so that it holds
    return step.parse(step.model_dump() | {"ignore": tuple(ignore), "overrides": overrides}, step.name)


def without(step: LayerMethod) -> LayerMethod:
    """The step with no exception at all."""
    return step.parse(step.model_dump() | {"ignore": (), "overrides": {}}, step.name)
