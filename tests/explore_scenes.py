"""What tests of Explore draw and say: made-up runs, dots of a sweep, and a small grid of them."""

from __future__ import annotations

from typing import Any

from compresslab.recipes.recipe import Recipe
from compresslab.recipes.sweep import Value
from compresslab.records.results import Measurement, RunRecord
from compresslab_dashboard.explore.dots import Dot
from compresslab_dashboard.explore.readings import Reading
from compresslab_dashboard.explore.scene import Scene, SceneAxis

from tests.fake_session import HARDWARE

GPTQ = Recipe.from_dict({"steps": ["quantize_gptq"]})
EVIL = "<img src=x onerror=alert(1)>"
BITS = SceneAxis("Bit width", (3, 4), ("3 bit", "4 bit"), speaks=True)
RATE = SceneAxis("Rate", (0.1, 0.5), ("10 %", "50 %"))
METHOD = SceneAxis("Method", ("a", "b"), (EVIL, "B"), speaks=True, of_methods=True)


def measured(metric: str, baseline: float, compressed: float, unit: str = "", **more: Any) -> list[Measurement]:
    paired = {"change": 100 * (compressed / baseline - 1) if baseline else 0.0, "change_unit": "%"} | more
    return [
        Measurement(metric=metric, variant="baseline", value=baseline, unit=unit),
        Measurement(metric=metric, variant="compressed", value=compressed, unit=unit, **paired),
    ]


def record(
    run_id: str, recipe: Recipe = GPTQ, *, stage: str = "final", worse: float = 2.0, share: float = 0.3
) -> RunRecord:
    """`worse` percent of perplexity, `share` of the baseline's bytes."""
    return RunRecord(
        run_id=run_id,
        recipe=recipe.to_dict(),
        recipe_hash=recipe.content_hash,
        model=recipe.model,
        stage=stage,  # type: ignore[arg-type]
        created="2026-11-21T08:00:00+00:00",
        seconds=1.0,
        stages={},
        baseline_hash="a",
        compressed_hash="b",
        hardware=HARDWARE,
        measurements=[
            *measured("perplexity", 3.0, 3.0 * (1 + worse / 100), change_error=0.5),
            *measured("accuracy", 0.9, 0.8, "fraction", error=0.02),
            *measured("size_on_disk_bytes", 8e6, share * 8e6, "bytes"),
            *measured("decode_tokens_per_second", 100.0, 150.0, "tokens/s", error=5.0, kernel="simulated"),
        ],
    )


def dot(name: str, cost: float, quality: float, errors: tuple[float, float] = (0.0, 0.0), **more: Any) -> Dot:
    values = {"size": (cost, errors[0]), "perplexity": (quality, errors[1])}
    stage = more.pop("stage", "final")
    at: tuple[Value, ...] = more.pop("at", ())
    baseline = {"size": 1.0, "perplexity": 1.0}
    return Dot(name, at, "done", Reading(name, stage, {"steps": []}, values, baseline, simulated=frozenset()))


def grid(axes: tuple[SceneAxis, ...] = (BITS, METHOD), picked: str | None = None) -> Scene:
    """Coarser in bits is smaller and worse; the last point has nothing to show yet."""
    dots = []
    for bits in axes[0].values:
        for other in axes[1].values:
            number = len(dots)
            stage = "draft" if number == 1 else "final"
            dots.append(
                dot(
                    f"{number}",
                    0.1 * int(bits),
                    1 + 0.3 * (4 - int(bits)) + 0.1 * number,
                    (0, 0.01),
                    at=(bits, other),
                    stage=stage,
                )
            )
    waiting = Dot("3", (axes[0].values[1], axes[1].values[1]), "queued", None)
    return Scene("grid", axes, (*dots[:3], waiting), "perplexity", "size", picked)
