"""NormalFloat 4: sixteen levels that lie as close as weights do where these are distributed normally.

Dettmers et al. 2023, "QLoRA: Efficient Finetuning of Quantized LLMs", arXiv:2305.14314, section 3 and appendix E. The
scale of a group is its largest magnitude, stored as float16: it is not quantized once more, as the paper's double
quantization does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import NormalDist
from typing import ClassVar

from compresslab.grids.table import Table

POSITIVE, NEGATIVE = 8, 7  # levels on either side of zero
OUTERMOST = 1 - (1 / 32 + 1 / 30) / 2  # the quantile of the largest level: the mean of those for 16 and for 15 levels


def normal_levels() -> tuple[float, ...]:
    """Quantiles of the standard normal distribution at even steps on either side of zero, the largest scaled to 1."""
    above, below = _quantiles(POSITIVE), _quantiles(NEGATIVE)
    largest = above[0]
    return (*(-q / largest for q in below), 0.0, *(q / largest for q in reversed(above)))


def _quantiles(count: int) -> list[float]:
    """So many above zero, the largest first."""
    step = (OUTERMOST - 0.5) / count
    return [NormalDist().inv_cdf(OUTERMOST - step * n) for n in range(count)]


@dataclass(frozen=True)
class Nf4(Table):
    """Parameters are `scales`, float16 [rows, groups]."""

    name: ClassVar[str] = "nf4"
    place: ClassVar[int] = 20
    summary: ClassVar[str] = "16 levels at quantiles of the normal distribution (arXiv:2305.14314); bits 4."
    widths: ClassVar[tuple[int, ...]] = (4,)
    levels: ClassVar[tuple[float, ...]] = normal_levels()

    bits: int = field(default=4, init=False)
