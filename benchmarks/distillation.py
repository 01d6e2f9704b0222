"""What distillation wins back of the bundled model: rounded, pruned, and with half its layers."""

from __future__ import annotations

import time
from typing import Any

from compresslab.engine.session import Session
from compresslab.recipes.recipe import Recipe
from compresslab.records.results import RunRecord

from benchmarks.report import write

STEPS = 150
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "3 bits per row": [{"quantize_rtn": {"bits": 3, "group_size": 0}}],
    "2 bits": [{"quantize_gptq": {"bits": 2, "group_size": 64}}],
    "60 % sparse": [{"prune_magnitude": {"sparsity": 0.6}}],
    "half the layers": [{"distill_logits": {"steps": 0, "student_layers": 4}}],
}
METRICS = ("perplexity", "accuracy", "kl_divergence", "top1_agreement", "flipped_answers")


def main() -> None:
    """Each setting as it is, then taught for `STEPS` steps; metrics beside the baseline's, seconds of it all."""
    session = Session()
    rows = []
    for name, steps in SETTINGS.items():
        plain = _measured(session, steps)
        taught_steps = [*steps, {"distill_logits": {"steps": STEPS}}]
        if name == "half the layers":
            taught_steps = [{"distill_logits": {"steps": STEPS, "student_layers": 4}}]
        begun = time.monotonic()
        taught = _measured(session, taught_steps)
        rows.append(
            {
                "setting": name,
                "steps": STEPS,
                "seconds": round(time.monotonic() - begun, 1),
                "baseline": _values(plain, "baseline"),
                "compressed": _values(plain, "compressed"),
                "distilled": _values(taught, "compressed"),
                "won_back": _won_back(plain, taught),
            }
        )
    print(write("distillation", {"model": "storyteller", "rows": rows}))


def _measured(session: Session, steps: list[dict[str, Any]]) -> RunRecord:
    data = {"steps": steps, "metrics": ["perplexity", "accuracy", "agreement"]}
    return session.run(
        Recipe.from_dict(data), run_id="distillation", stage="draft", report=lambda event: None, cancelled=lambda: False
    )


def _values(record: RunRecord, variant: str) -> dict[str, float]:
    return {m.metric: m.value for m in record.measurements if m.variant == variant and m.metric in METRICS}


def _won_back(plain: RunRecord, taught: RunRecord) -> dict[str, float | None]:
    """Share of what was lost; None where nothing was."""
    baseline, lost, found = _values(plain, "baseline"), _values(plain, "compressed"), _values(taught, "compressed")
    shares: dict[str, float | None] = {}
    for metric in ("perplexity", "accuracy"):
        gap = lost[metric] - baseline[metric]
        shares[metric] = None if abs(gap) < 1e-9 else round((lost[metric] - found[metric]) / gap, 3)
    return shares


if __name__ == "__main__":
    main()
