"""From scores to measurements: both variants, standard errors, and the paired change.

Tokens of one window are not independent, so errors are clustered by window. The change is measured on the same
tokens or questions for both, which makes its error far smaller than that of two separate numbers.
"""

from __future__ import annotations

from math import exp, sqrt

import numpy as np
from compresslab.engine.measuring.scores import Array, QuestionScores, TokenScores
from compresslab.records.results import Direction, Measurement, Variant
from compresslab.records.wilson import NORMAL_95, wilson
from scipy.special import stdtrit


def perplexities(scores: TokenScores) -> list[Measurement]:
    """exp(mean negative log-likelihood of a token); the change is relative, in percent."""
    change, change_error = log_ratio(scores)
    factor = 100 * _finite_exp(change)
    return [
        _perplexity("baseline", scores.baseline_nll, scores),
        _perplexity("compressed", scores.compressed_nll, scores).model_copy(
            update={
                "change": factor - 100,
                "change_error": None if change_error is None else factor * change_error,
                "change_unit": "%",
            }
        ),
    ]


def log_ratio(scores: TokenScores) -> tuple[float, float | None]:
    """Logarithm of the perplexity ratio, compressed over baseline, with its paired standard error."""
    return _ratio(scores.compressed_nll - scores.baseline_nll, scores.tokens)


def divergences(scores: TokenScores) -> list[Measurement]:
    """KL(baseline || compressed) of a token in nats, and the share of tokens with the same likeliest next token."""
    divergence, divergence_error = _ratio(scores.divergence, scores.tokens)
    same, same_error = _ratio(scores.same_top, scores.tokens)
    about = {"dataset": scores.dataset, "samples": int(scores.tokens.sum()), "sample_unit": f"{scores.unit}s"}
    return [
        _compressed("kl_divergence", max(0.0, divergence), divergence_error, f"nats/{scores.unit}", "lower", about),
        _compressed("top1_agreement", same, same_error, "fraction", "higher", about),
    ]


def accuracies(scores: QuestionScores, metric: str = "accuracy") -> list[Measurement]:
    """Share of right answers, by kind too; the error of the change is McNemar's, from the answers that differ."""
    right_before = scores.baseline_picks == scores.answers
    right_after = scores.compressed_picks == scores.answers
    gained, lost = int((right_after & ~right_before).sum()), int((right_before & ~right_after).sum())
    count = len(scores.answers)
    change = (gained - lost) / count
    error = sqrt(max(gained + lost - (gained - lost) ** 2 / count, 0)) / count
    return [
        _accuracy(metric, "baseline", right_before, scores),
        _accuracy(metric, "compressed", right_after, scores).model_copy(
            update={"change": change, "change_error": error, "change_unit": "fraction"}
        ),
    ]


def flips(scores: QuestionScores) -> list[Measurement]:
    """Share of questions that the compressed model answers otherwise than the baseline, rightly or not."""
    changed = scores.baseline_picks != scores.compressed_picks
    about = {"dataset": scores.dataset, "samples": len(changed), "sample_unit": scores.unit}
    value = float(changed.mean())
    return [
        _compressed(
            "flipped_answers", value, _share_error(int(changed.sum()), len(changed)), "fraction", "lower", about
        )
    ]


def median(values: list[float]) -> tuple[float, float | None]:
    """Median and its standard error from the median absolute deviation, for a normal spread without outliers."""
    middle = float(np.median(values))
    if len(values) < 2:
        return middle, None
    deviation = float(np.median(np.abs(np.array(values) - middle)))
    return middle, 1.2533 * 1.4826 * deviation / sqrt(len(values))


def _perplexity(variant: Variant, nll: Array, scores: TokenScores) -> Measurement:
    mean, error = _ratio(nll, scores.tokens)
    value = _finite_exp(mean)
    return Measurement(
        metric="perplexity",
        variant=variant,
        value=value,
        unit="perplexity",
        error=None if error is None else value * error,
        direction="lower",
        dataset=scores.dataset,
        samples=int(scores.tokens.sum()),
        sample_unit="tokens",
    )


def _accuracy(metric: str, variant: Variant, right: Array, scores: QuestionScores) -> Measurement:
    value = float(right.mean())
    kinds = {kind: float(right[[k == kind for k in scores.kinds]].mean()) for kind in sorted(set(scores.kinds) - {""})}
    return Measurement(
        metric=metric,
        variant=variant,
        value=value,
        unit="fraction",
        error=_share_error(int(right.sum()), len(right)),
        direction="higher",
        dataset=scores.dataset,
        samples=len(right),
        sample_unit=scores.unit,
        by_kind=kinds or None,
    )


def _compressed(
    metric: str, value: float, error: float | None, unit: str, direction: Direction, about: dict[str, object]
) -> Measurement:
    fields = {"metric": metric, "variant": "compressed", "value": value, "error": error, "unit": unit}
    return Measurement.model_validate(fields | {"direction": direction} | about)


def _ratio(sums: Array, counts: Array) -> tuple[float, float | None]:
    """Sum over sum, with the standard error of clusters (ratio estimator); None for one cluster.

    Of few clusters it is widened so that 1.96 of it hold the truth in 95 % of the cases, as Student's t does.
    """
    total, clusters = counts.sum(), len(counts)
    mean = float(sums.sum() / total)
    if clusters < 2:
        return mean, None
    spread = float(((sums - mean * counts) ** 2).sum())
    widened = float(stdtrit(clusters - 1, 0.975)) / NORMAL_95
    return mean, widened * sqrt(clusters / (clusters - 1) * spread) / float(total)


def _share_error(hits: int, count: int) -> float:
    """Half width of Wilson's interval at one standard error."""
    low, high = wilson(hits, count, errors=1.0)
    return (high - low) / 2


def _finite_exp(value: float) -> float:
    """exp, cut where a float ends: a model that is broken altogether still has a number that JSON can hold."""
    return exp(min(value, 700.0))
