"""Accuracy, perplexity and bytes of the bundled model over a ladder of settings: the curve that the README shows."""

from __future__ import annotations

from typing import Any

from compresslab import Recipe, Workspace

from benchmarks.report import write

EVALUATION = ["evaluation.max_questions=600", "evaluation.max_tokens=32768"]
LADDER = [
    *([f"quantize_rtn.bits={bits}"] for bits in (8, 6, 4, 3, 2)),
    ["quantize_rtn.bits=4", "quantize_rtn.embedding_bits=4"],
    *([f"prune_magnitude.sparsity={share}"] for share in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)),
    ["prune_magnitude.sparsity=0.3", "quantize_rtn.bits=4"],
]
METRICS = (
    "perplexity",
    "accuracy",
    "kl_divergence",
    "top1_agreement",
    "flipped_answers",
    "size_on_disk_bytes",
    "sparsity",
)


def main() -> None:
    workspace = Workspace()
    rungs = [measure(workspace, assignments) for assignments in LADDER]
    print(write("ladder", {"model": "storyteller", "evaluation": EVALUATION, "rungs": rungs}))


def measure(workspace: Workspace, assignments: list[str]) -> dict[str, Any]:
    recipe = Recipe.from_dict({"metrics": ["perplexity", "accuracy", "agreement", "footprint"]})
    for assignment in EVALUATION + assignments:
        recipe = recipe.assign(assignment)
    record = workspace.run(recipe)
    print(" ".join(assignments), f"{record.seconds:.1f} s", flush=True)
    kept = [m for m in record.measurements if m.metric in METRICS]
    return {
        "settings": assignments,
        "baseline": {m.metric: [m.value, m.error] for m in kept if m.variant == "baseline"},
        "compressed": {m.metric: [m.value, m.error] for m in kept if m.variant == "compressed"},
        "seconds": record.seconds,
    }


if __name__ == "__main__":
    main()
