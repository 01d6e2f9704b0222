"""Round-to-nearest quantization: every weight moves to the nearest point of an affine grid.

Grid and rounding as in Jacob et al. 2018, arXiv:1712.05877, section 2.1; per group as in GPTQ, arXiv:2210.17323.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from core.methods import Kind, Method
from core.settings import setting
from core.weights import Grid, WeightPlan

if TYPE_CHECKING:
    from core.engine.context import StepContext
    from core.engine.model import CompressedModel


class QuantizeRtn(Method):
    name: ClassVar[str] = "quantize_rtn"
    title: ClassVar[str] = "Store weights in fewer bits"
    kind: ClassVar[Kind] = "quantize"
    summary: ClassVar[str] = "Rounds every weight to the nearest of a few values."
    paper: ClassVar[str] = "Jacob et al. 2018, arXiv:1712.05877"

    bits: int = setting(
        4,
        ge=2,
        le=8,
        step=1,
        unit="bit",
        label="Bit width",
        plain="How finely each number is written down. Fewer bits are smaller and coarser.",
        help="Bits per weight code; scales (and zero points) come on top.",
    )
    group_size: int = setting(
        64,
        ge=0,
        le=8192,
        offered=(0, 32, 64, 128),
        unit="weights",
        label="Group size",
        plain="How many neighbouring weights share one ruler. Smaller groups are truer and cost a little space.",
        help="Weights of a row that share one float16 scale; 0 is one scale per row. "
        "The last group of a row may be shorter.",
        advanced=True,
    )
    symmetric: bool = setting(
        True,
        label="Symmetric grid",
        plain="Keep the ruler centred on zero.",
        help="Symmetric: levels from -(2^(b-1)) to 2^(b-1)-1 around zero. Otherwise an integer zero point per group.",
        advanced=True,
    )
    embeddings: bool = setting(
        False,
        label="Word table too",
        plain="Also shrink the table that turns words into numbers: smaller, and a little riskier.",
        help="Quantize the token embedding and lm_head with the same grid (one matrix where they are tied).",
        advanced=True,
    )

    @property
    def grid(self) -> Grid:
        return Grid(self.bits, self.group_size, self.symmetric)

    def conflict(self, before: tuple[Method, ...]) -> str | None:
        if any(step.kind == "quantize" for step in before):
            return "quantize_rtn stands after another quantize step; keep one of them."
        return None

    def foresee(self, weights: tuple[WeightPlan, ...]) -> tuple[WeightPlan, ...]:
        roles = ("linear", "embedding", "head") if self.embeddings else ("linear",)
        return tuple(replace(w, grid=self.grid) if w.role in roles else w for w in weights)

    def apply(self, model: CompressedModel, context: StepContext) -> None:
        from core.engine.grids import round_to_nearest

        names = model.linear_names() + (model.embedding_names() if self.embeddings else [])
        for name in context.each(names):
            model.quantize(name, round_to_nearest(model.weight(name), self.grid))
