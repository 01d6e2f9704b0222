"""One step of a slider, warm: from new settings to a draft perplexity, in passes over the tokens measured.

Every step has settings that were not tried before. The pass is one plain forward of the compressed model over the same
windows, timed right after each step, so that a busy machine slows both.
"""

from __future__ import annotations

import time
from statistics import median
from typing import Any

from compresslab import Recipe
from compresslab.engine.job import Job
from compresslab.engine.measuring.context import DRAFT_SHARE
from compresslab.engine.measuring.scores import log_probabilities
from compresslab.engine.progress import Tracker
from compresslab.engine.session import Session

from benchmarks.report import write

BITS = [{"bits": bits, "group_size": size} for size in (64, 32, 128) for bits in (4, 3, 2)]
SPARSITIES = [{"sparsity": round(0.2 + 0.05 * n, 2)} for n in range(9)]
METHODS = {
    "quantize_rtn": BITS,
    "quantize_gptq": BITS,
    "prune_magnitude": SPARSITIES,
    "prune_wanda": SPARSITIES,
    "prune_sparsegpt": SPARSITIES,
}
BATCH = 16  # windows of the plain pass


def main() -> None:
    session = Session()
    session.warm("storyteller")
    figures = {name: steps(session, name, settings) for name, settings in METHODS.items()}
    print(write("slider_step", {"model": "storyteller", "goal_in_passes": 2.0, "methods": figures}))


def steps(session: Session, method: str, settings: list[dict[str, Any]]) -> dict[str, Any]:
    recipes = [recipe_of(method, some) for some in settings]
    draft(session, recipes[0])  # statistics and factors are taken once
    timed = [(*draft(session, recipe), pass_seconds(session, recipe)) for recipe in recipes[1:]]
    each = [dict(some) | {"passes": step / one} for some, (step, _, one) in zip(settings[1:], timed, strict=True)]
    found = {
        "steps": len(timed),
        "step_seconds": median(step for step, _, _ in timed),
        "pass_seconds": median(one for _, _, one in timed),
        "passes": median(step / one for step, _, one in timed),
        "each": each,
        "stage_seconds": {name: median(stages[name] for _, stages, _ in timed) for name in timed[0][1]},
    }
    print(method, found, flush=True)
    return found


def recipe_of(method: str, settings: dict[str, Any]) -> Recipe:
    return Recipe.from_dict({"steps": [{method: settings}], "metrics": ["perplexity"]})


def draft(session: Session, recipe: Recipe) -> tuple[float, dict[str, float]]:
    """Seconds of the whole step, and by its stages."""
    begun = time.perf_counter()
    record = session.run(recipe, run_id="slider", stage="draft", report=lambda event: None, cancelled=lambda: False)
    return time.perf_counter() - begun, record.stages


def pass_seconds(session: Session, recipe: Recipe) -> float:
    """The compressed model once over a draft's windows; it is in memory since the step."""
    job = Job(lambda event: None, lambda: False, Tracker({}, lambda event: None))
    model, _ = session.compress(recipe, job)
    windows, _ = session.evaluation_windows(recipe, session.baseline(recipe), job)
    windows = windows[: round(DRAFT_SHARE * len(windows))]
    begun = time.perf_counter()
    for batch in windows.split(BATCH):
        log_probabilities(model, batch)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
