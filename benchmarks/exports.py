"""Every format with every quantizer: written, opened again, its logits held to what the format promises.

`python -m benchmarks.exports [MODEL ...]`: storyteller, and further models by folder.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from compresslab import Recipe, Workspace
from compresslab.errors import BadInput, CompresslabError
from compresslab.exports.registry import FORMATS
from compresslab.recipes.method import METHODS
from compresslab.records.results import RunRecord
from compresslab.work.exporting import Offer

from benchmarks.report import write

SETTINGS = ["evaluation.max_tokens=8192", "calibration.samples=128"]
VARIANTS = (
    ["bits=4"],
    ["bits=8"],
    ["bits=3"],
    ["bits=4", "symmetric=false", "group_size=32"],
    ["bits=4", "embedding_bits=8"],
    ["bits=2", "group_size=32"],
    ["bits=8", "group_size=0", "symmetric=false"],
    ["bits=4", "group_size=0"],
)
OTHERS = [
    [],
    ["prune_wanda.sparsity=0.5"],
    ["prune_wanda.sparsity=0.5", "quantize_gptq.bits=4"],
    ["prune_layers.layers=1", "quantize_rtn.bits=4"],
    ["prune_channels.mlp=0.25"],
    ["prune_channels.mlp=0.25", "quantize_gptq.bits=4"],
    ["quantize_gptq.order=stored", "quantize_gptq.bits=4", "quantize_gptq.group_size=32"],
    [
        "quantize_rtn.bits=4",
        'quantize_rtn.overrides={"*down_proj*": {"bits": 8}}',
        'quantize_rtn.ignore=["*layers.1.*"]',
    ],
]


def main() -> None:
    models = sys.argv[1:] or ["storyteller"]
    workspace, cases = Workspace(), []
    for model in models:
        for assignments in recipes():
            cases += tried(workspace, model, assignments)
            file = write("exports", figures(cases))  # after every recipe: who stops it keeps what was found
    print(file)
    sys.exit(1 if any(case["outcome"] == "failed" for case in cases) else 0)


def figures(cases: list[dict[str, Any]]) -> dict[str, Any]:
    counted = {name: sum(case["outcome"] == name for case in cases) for name in ("kept", "refused", "failed")}
    return {"models": list(dict.fromkeys(case["model"] for case in cases)), **counted, "cases": cases}


def recipes() -> list[list[str]]:
    """Every quantizer in the widths that it takes, and what else changes shapes or leaves zeros."""
    found = list(OTHERS)
    for method in (method for method in METHODS.values() if method.kind == "quantize"):
        known = [v for v in VARIANTS if all(change.partition("=")[0] in method.model_fields for change in v)]
        found += [[f"{method.name}.{change}" for change in variant] for variant in known]
    return found


def tried(workspace: Workspace, model: str, assignments: list[str]) -> list[dict[str, Any]]:
    """A case for every format; none for a setting that the method does not take."""
    recipe = Recipe.from_dict({"model": model, "metrics": ["perplexity"], "device": "cpu", "dtype": "float32"})
    about = {"model": Path(model).name, "settings": assignments}
    try:
        for assignment in SETTINGS + assignments:
            recipe = recipe.assign(assignment)
    except BadInput as error:
        print(*assignments, error, flush=True)
        return []
    try:
        record = workspace.run(recipe)
    except CompresslabError as error:
        return [about | {"format": name, "outcome": "failed", "why": str(error)} for name in FORMATS]
    cases = [about | written(workspace, record, offer) for offer in workspace.exports.offers(record.run_id)]
    for case in cases:
        print(about["model"], *assignments, *(case.get(key, "") for key in KEYS), flush=True)
    return cases


KEYS = ("format", "outcome", "opened_by", "not_opened_by", "relative_difference", "weight_bytes", "why")
OPENED = ("opened_by", "not_opened_by", "read_by")
KEPT = (*OPENED, "tokens", "largest_difference", "relative_difference", "bound", "weight_bytes", "estimated_bytes")


def written(workspace: Workspace, record: RunRecord, offer: Offer) -> dict[str, Any]:
    name, begun = offer.form.name, time.monotonic()
    if offer.refusal:
        return {"format": name, "outcome": "refused", "why": offer.refusal}
    out = tempfile.mkdtemp()
    try:
        (done,) = workspace.exports.write(record.run_id, name, out)
    except CompresslabError as error:
        return {"format": name, "outcome": "failed", "why": str(error)}
    finally:
        shutil.rmtree(out)
    found = {key: getattr(done, key) for key in (*KEPT, "notes")}
    quality = {m.metric: [m.value, m.error, m.change] for m in done.quality}
    return {"format": name, "outcome": "kept", **found, "quality": quality, "seconds": time.monotonic() - begun}


if __name__ == "__main__":
    main()
