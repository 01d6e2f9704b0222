"""Wilson's interval for a share: sane also where all or none were hits.

Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22. scipy.stats has it too, at
the price of an import that takes as long as a draft; a test holds that both agree.
"""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist

NORMAL_95 = NormalDist().inv_cdf(0.975)  # standard errors on either side that hold 95 %


def wilson(hits: int, trials: int, errors: float = NORMAL_95) -> tuple[float, float]:
    """Low and high end, so many standard errors from the middle; 0 and 1 before the first trial."""
    if trials == 0:
        return 0.0, 1.0
    share, square = hits / trials, errors**2
    middle = (share + square / (2 * trials)) / (1 + square / trials)
    half = errors * sqrt(share * (1 - share) / trials + square / (4 * trials**2)) / (1 + square / trials)
    return max(0.0, middle - half), min(1.0, middle + half)
