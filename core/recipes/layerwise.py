"""What methods that treat weight matrices one by one have in common: which matrices, and with which settings each."""

from __future__ import annotations

import re
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from compresslab.errors import BadInput
from compresslab.grids.affine import Affine
from compresslab.grids.grid import Grid
from compresslab.grids.registry import GRIDS, described
from compresslab.messages import Message
from compresslab.models.facts import ModelFacts
from compresslab.models.weights import Role, WeightPlan, zeroed_in_row
from compresslab.recipes.method import Method
from compresslab.settings import Control, setting

if TYPE_CHECKING:
    GridName = str
else:
    GridName = Literal[tuple(GRIDS)]  # a form offers them, and no other is taken

Settings = dict[str, Any]
BITS_OR_NONE = Literal[0, 2, 3, 4, 5, 6, 7, 8]
N_OF_M = re.compile(r"^(\d+):(\d+)$")
LARGEST_M = 64


class LayerMethod(Method):
    """Its `foresee` and its `apply` both ask `for_weight`, so that the plan is what happens."""

    ignore: tuple[str, ...] = setting(
        (),
        label="Leave alone",
        plain="Parts of the model that stay as they are.",
        help="Name patterns of weight matrices, for example layers.0.* or *.down_proj; * stands for anything.",
        advanced=True,
    )
    overrides: dict[str, Settings] = setting(
        {},
        label="Exceptions",
        plain="Parts of the model that get settings of their own.",
        help="Name pattern -> settings of this step, for example layers.*.mlp.*: {...}. Later ones win.",
        advanced=True,
    )

    @classmethod
    def controls(cls) -> list[Control]:
        """What all of these methods share comes last: a method's own settings say most about it."""
        return sorted(super().controls(), key=lambda control: control.name in LayerMethod.model_fields)

    def model_post_init(self, _context: Any) -> None:
        for pattern, values in self.overrides.items():
            if not isinstance(values, dict) or {"ignore", "overrides"} & set(values):
                raise BadInput("overrides.not_mapping", method=self.name, pattern=pattern)
            self._with(pattern, values)

    def _with(self, pattern: str, values: Settings) -> Self:
        return self.parse(self.model_dump() | {"overrides": {}} | values, f"{self.name}.overrides {pattern!r}")

    def for_weight(self, name: str) -> Self | None:
        """The settings for one matrix; None where it is to be left alone."""
        if any(matches(pattern, name) for pattern in self.ignore):
            return None
        values: Settings = {}
        for pattern, some in self.overrides.items():
            values |= some if matches(pattern, name) else {}
        return self._with(name, values) if values else self

    def excepts(self, name: str, setting: str) -> bool:
        """Whether an exception gives a matrix a value of its own for this setting."""
        return any(setting in values for pattern, values in self.overrides.items() if matches(pattern, name))

    def unmatched(self, weights: tuple[WeightPlan, ...]) -> str | None:
        """A pattern that names no weight matrix of the model: probably a typo."""
        names = [w.name for w in weights if w.role != "other"]
        patterns = (*self.ignore, *self.overrides)
        return next((p for p in patterns if not any(matches(p, name) for name in names)), None)

    def touches(self, weight: WeightPlan) -> bool:
        """Whether the method is meant for this kind of matrix."""
        return weight.role == "linear"

    def foresee(self, weights: tuple[WeightPlan, ...], facts: ModelFacts) -> tuple[WeightPlan, ...]:
        return tuple(self._foreseen(w) for w in weights)

    def _foreseen(self, weight: WeightPlan) -> WeightPlan:
        own = self.for_weight(weight.name) if self.touches(weight) else None
        return weight if own is None else own.foresee_weight(weight)

    def foresee_weight(self, weight: WeightPlan) -> WeightPlan:
        """What becomes of one matrix under these settings."""
        return weight


def mending(default: int) -> Any:
    """The setting that says how thoroughly what remains makes up for what is gone."""
    return setting(
        default,
        ge=0,
        le=50,
        step=1,
        unit="steps",
        label="Repair",
        plain="Let the remaining weights make up for those that were removed. 0 leaves them as they are.",
        help="Conjugate-gradient steps towards the least-squares weights under the mask, using the Hessian of the "
        "inputs.",
        advanced=True,
    )


class Pruner(LayerMethod):
    """Zeroes single weights: a share of each matrix, or at most N kept in every M along a row."""

    phrase: ClassVar[str] = "{sparsity:.0%} pruned"
    stage: ClassVar[str] = "Pruning"
    by_row: ClassVar[bool] = False  # the share is taken of every row by itself

    sparsity: float = setting(
        0.3,
        ge=0.0,
        le=0.95,
        step=0.05,
        label="Pruning rate",
        plain="How much of the network is switched off. A little hardly matters; too much and it forgets.",
        help="Fraction of the weights in the linear layers of all blocks that are set to zero.",
    )
    n_of_m: str = setting(
        "",
        label="N:M pattern",
        plain="Keep a fixed number of every few neighbouring weights, such as 2 of 4 (2:4), which some chips run "
        "faster. Empty: no pattern.",
        help="At most N non-zero weights in every M along a row, such as 2:4; replaces sparsity.",
        advanced=True,
    )
    ratios: Literal["uniform", "global", "outliers"] = setting(
        "uniform",
        label="Sparsity by layer",
        plain="Remove the same share from every layer, let all layers compete, or spare the layers that stand out.",
        help="uniform: every matrix has this sparsity. global: one threshold for the whole model. outliers: blocks "
        "with more outlier weights keep more of them (OWL, arXiv:2310.05175).",
        advanced=True,
    )

    mend: int = mending(0)
    dampening: float = setting(
        0.01,
        ge=1e-4,
        le=1.0,
        label="Dampening",
        plain="How cautiously errors are compensated for. Higher is safer when there is little text.",
        help="Fraction of the mean Hessian diagonal that is added to the diagonal.",
        advanced=True,
    )

    def shares(self, name: str) -> bool:
        """Whether how much of a matrix goes is for `ratios` to say: not where an exception names its sparsity."""
        return self.ratios != "uniform" and not self.excepts(name, "sparsity")

    def conflict(self, before: tuple[Method, ...]) -> Message | None:
        if self.mend and any(step.kind == "quantize" or getattr(step, "joint_bits", 0) for step in before):
            return Message("layerwise.mend_rounded", method=self.name)
        return None

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        if any("ratios" in values for values in self.overrides.values()):
            raise BadInput("layerwise.ratios_excepted", method=self.name)
        if self.n_of_m:
            n, m = parse_n_of_m(self.n_of_m, self.name)
            if self.ratios != "uniform":
                raise BadInput("layerwise.ratios_fixed", method=self.name, n=n, m=m)

    @property
    def pattern(self) -> tuple[int, int] | None:
        """(N, M), or None where single weights are chosen freely."""
        return parse_n_of_m(self.n_of_m, self.name) if self.n_of_m else None

    @property
    def idle(self) -> bool:
        return self.sparsity == 0 and not self.n_of_m

    def foresee_weight(self, weight: WeightPlan) -> WeightPlan:
        if self.idle:
            return weight
        before = weight.count if weight.nonzero is None else weight.nonzero
        if self.pattern is None:
            kept = weight.count - self._zeroed(weight)
            # Earlier zeros may lie so that some rows have more of them than their share.
            exact = weight.exact and self.ratios == "uniform" and (not self.by_row or before == weight.count)
        else:
            n, m = self.pattern
            rows, columns = weight.shape
            kept = rows * (columns // m * n + min(n, columns % m))
            # Earlier zeros may lie so that some groups keep fewer than N.
            exact = weight.exact and before == weight.count
        return replace(weight, nonzero=min(kept, before), exact=exact)

    def _zeroed(self, weight: WeightPlan) -> int:
        if not self.by_row:
            return round(self.sparsity * weight.count)
        return weight.shape[0] * zeroed_in_row(weight.shape[1], self.sparsity)


def searching() -> Any:
    """The setting of quantizers that fit their grid to what its errors count."""
    return setting(
        True,
        label="Search for the best scale",
        plain="Try several scales for every group and keep the best, instead of one that covers every weight.",
        help="Chooses the scales of least error (to the power 2.5), weighted by the Hessian diagonal, instead of "
        "covering the full range. At 2 bits, GPTQ refits them to its codes by least squares and solves again, three "
        "times.",
        advanced=True,
    )


def keeping_strength() -> Any:
    """The setting that gives rounded weights back the strength that clipping took."""
    return setting(
        False,
        label="Restore magnitude",
        plain="Rounding makes weights slightly smaller overall. Scale every group back up; worth a try.",
        help="Rescales each group after rounding so that its projection onto the unrounded weights, weighted by the "
        "Hessian diagonal, is one. Better on the bundled model, worse on another at 2 and 3 bits.",
        advanced=True,
    )


class Quantizer(LayerMethod):
    """Puts weight matrices on an affine grid of few bits."""

    phrase: ClassVar[str] = "{bits} bit"
    stage: ClassVar[str] = "Rounding to fewer bits"

    bits: int = setting(
        4,
        ge=2,
        le=8,
        step=1,
        unit="bit",
        label="Bit width",
        plain="How finely each number is stored. Fewer bits are smaller and coarser.",
        help="Bits per weight code; scales (and zero points) come on top.",
    )
    group_size: int = setting(
        64,
        ge=0,
        le=8192,
        offered=(0, 32, 64, 128),
        unit="weights",
        label="Group size",
        plain="How many neighbouring weights share one scale. Smaller groups are more accurate and take a little "
        "more space.",
        help="Weights of a row that share one float16 scale; 0 is one scale per row. "
        "The last group of a row may be shorter.",
        advanced=True,
    )
    symmetric: bool = setting(
        True,
        label="Symmetric grid",
        plain="Centre the scale on zero.",
        help="Symmetric: levels from -(2^(b-1)) to 2^(b-1)-1 around zero. Otherwise an integer zero point per group.",
        advanced=True,
    )
    embedding_bits: BITS_OR_NONE = setting(
        0,
        unit="bit",
        label="Word table",
        plain="Also shrink the table that turns words into numbers: smaller, and a little riskier.",
        help="Bits of the token embedding (and of lm_head where the two are tied), rounded to nearest; 0 leaves it "
        "unchanged.",
        advanced=True,
    )
    head_bits: BITS_OR_NONE = setting(
        0,
        unit="bit",
        label="Output table",
        plain="Also shrink the table that turns numbers back into words, if the model has a separate one.",
        help="Bits of lm_head where it is a separate matrix, rounded to nearest; 0 leaves it unchanged.",
        advanced=True,
    )

    def conflict(self, before: tuple[Method, ...]) -> Message | None:
        if any(step.kind == "quantize" for step in before):
            return Message("layerwise.second_quantize", method=self.name)
        if any(getattr(step, "joint_bits", 0) for step in before):
            return Message("layerwise.rounds_twice", method=self.name)
        return None

    @property
    def linear_grid(self) -> Grid:
        """The grid of the matrices of the blocks."""
        return Affine(self.bits, self.group_size, self.symmetric)

    def widths(self, role: Role) -> tuple[int, ...]:
        """The bits that a kind of matrix may have."""
        return Affine.widths

    def touches(self, weight: WeightPlan) -> bool:
        return self.grid_for(weight) is not None

    def grid_for(self, weight: WeightPlan) -> Grid | None:
        """The grid of a kind of matrix, an affine one for tables; None where it is left as it is."""
        if weight.role == "linear":
            return self.linear_grid
        bits = {"embedding": self.embedding_bits, "head": self.head_bits}.get(weight.role, 0)
        return Affine(bits, self.group_size, self.symmetric) if bits else None

    def foresee_weight(self, weight: WeightPlan) -> WeightPlan:
        return replace(weight, grid=self.grid_for(weight))


class GridQuantizer(Quantizer):
    """A quantizer that needs to know nothing of the grid that it rounds to."""

    grid: GridName = setting(
        Affine.name,
        label="Grid",
        plain="Which values there are to round to: evenly spaced ones, or closer together where most weights lie.",
        help="Of the matrices of the blocks. "
        + " ".join(f"{name}: {grid.summary}" for name, grid in GRIDS.items())
        + " Formats and kernels that know affine codes alone say so.",
        advanced=True,
    )

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        described(self.grid, self.bits, self.group_size, self.symmetric, self.name)

    @property
    def linear_grid(self) -> Grid:
        return described(self.grid, self.bits, self.group_size, self.symmetric, self.name)

    def widths(self, role: Role) -> tuple[int, ...]:
        return GRIDS[self.grid].widths if role == "linear" else super().widths(role)


def matches(pattern: str, name: str) -> bool:
    """Whether a pattern names a weight: from any dot on, and with or without the ending .weight."""
    short = name.removesuffix(".weight")
    return any(fnmatchcase(n, p) for n in (name, short) for p in (pattern, f"*.{pattern}"))


@lru_cache(maxsize=64)
def parse_n_of_m(text: str, where: str) -> tuple[int, int]:
    """Raises BadInput for what is not N:M with 0 < N < M."""
    found = N_OF_M.match(text.strip())
    n, m = (int(part) for part in found.groups()) if found else (0, 0)
    if not 0 < n < m <= LARGEST_M:
        raise BadInput("layerwise.bad_n_of_m", where=where, given=text, most=LARGEST_M)
    return n, m
