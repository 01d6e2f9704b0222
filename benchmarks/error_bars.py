"""Whether paired error bars are right: how often the 95 % interval of a part of the text holds the ratio of all of it.

`python -m benchmarks.error_bars [--model FOLDER --calibration FILE --evaluation FILE]`: the bundled model, and another
one where it is named. Parts are drawn in two ways: windows at random, with replacement, and one stretch of the text,
which is what a draft reads. For every setting both are drawn 50 times, a quarter of the text each.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from compresslab import Recipe
from compresslab.engine.job import Job
from compresslab.engine.measuring.context import MeasureContext
from compresslab.engine.measuring.measurements import log_ratio
from compresslab.engine.measuring.scores import Array, TokenScores
from compresslab.engine.progress import Tracker
from compresslab.engine.session import Session

from benchmarks.report import write

SETTINGS = (
    ["quantize_rtn.bits=3"],
    ["quantize_rtn.bits=4"],
    ["quantize_gptq.bits=3"],
    ["prune_magnitude.sparsity=0.3"],
    ["prune_wanda.sparsity=0.5"],
    ["prune_sparsegpt.n_of_m='2:4'"],
)
DRAWS, SHARE, NORMAL_95 = 50, 0.25, 1.96


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--model")
    options.add_argument("--calibration", default="bundled")
    options.add_argument("--evaluation", default="bundled")
    chosen = options.parse_args()
    models = {"storyteller": coverage_of("storyteller", "bundled", "bundled")}
    if chosen.model:
        models[Path(chosen.model).name] = coverage_of(chosen.model, chosen.calibration, chosen.evaluation)
    print(write("error_bars", {"draws": DRAWS, "models": models}))


def coverage_of(model: str, calibration: str, evaluation: str) -> dict[str, Any]:
    texts = {"calibration": {"text": calibration}, "evaluation": {"text": evaluation, "max_tokens": 262144}}
    base = Recipe.from_dict({"model": model, "metrics": ["perplexity"], **texts})
    session = Session()
    found = [coverage(session, base, assignments) for assignments in SETTINGS]
    ways = {way: float(np.mean([setting[way] for setting in found])) for way in ("random", "stretch")}
    return {"mean": ways, "settings": found}


def coverage(session: Session, recipe: Recipe, assignments: list[str]) -> dict[str, Any]:
    for assignment in assignments:
        recipe = recipe.assign(assignment)
    scores = all_scores(session, recipe)
    whole, error = log_ratio(scores)
    generator = np.random.default_rng(0)
    count = len(scores.tokens)
    size = round(SHARE * count)
    starts = np.linspace(0, count - size, DRAWS).round().astype(int)
    parts = {
        "random": [generator.choice(count, size) for _ in range(DRAWS)],
        "stretch": [np.arange(start, start + size) for start in starts],
    }
    held = {
        way: float(np.mean([_holds(part_of(scores, rows), whole) for rows in drawn])) for way, drawn in parts.items()
    }
    print(assignments, f"{whole:.4f} ± {error:.4f}", f"{count} windows", held, flush=True)
    return {"settings": assignments, "windows": count, "log_ratio": whole, "error": error, **held}


def _holds(part: TokenScores, whole: float) -> bool:
    ratio, error = log_ratio(part)
    return error is not None and abs(ratio - whole) <= NORMAL_95 * error


def part_of(scores: TokenScores, rows: Array) -> TokenScores:
    """The windows of these numbers."""
    names = ("tokens", "baseline_nll", "compressed_nll", "divergence", "same_top")
    return replace(scores, **{name: getattr(scores, name)[rows] for name in names})


def all_scores(session: Session, recipe: Recipe) -> TokenScores:
    """Of every window of the evaluation text."""
    job = Job(lambda event: None, lambda: False, Tracker({}, lambda event: None))
    compressed, _ = session.compress(recipe, job)
    context = MeasureContext(job, session, recipe, session.baseline(recipe), compressed, "final")
    *_, latest = context.token_scores()
    return latest


if __name__ == "__main__":
    main()
