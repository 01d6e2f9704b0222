"""Structured pruning: what each way of choosing costs. How fast the result is: structured_speed.

Perplexity of the bundled model for every importance, with and without mending; the export opened by transformers.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from compresslab import Recipe, Workspace
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.session import shared_session
from compresslab.exports.transformers import Transformers
from compresslab.methods.prune_channels import PruneChannels
from compresslab.records.results import RunRecord
from transformers import AutoModelForCausalLM

from benchmarks.report import write

EVALUATION = {"max_tokens": 16384}
# What is measured: share of the MLP channels, share of the heads.
NARROW: dict[str, dict[str, Any]] = {
    "30 % of the channels": {"mlp": 0.3, "heads": 0.0},
    "30 % of channels and heads": {"mlp": 0.3, "heads": 0.3},
    "60 % of the channels": {"mlp": 0.6, "heads": 0.0},
}
IMPORTANCES = ("magnitude", "activation", "taylor", "reconstruction")


def main() -> None:
    workspace = Workspace()
    with tempfile.TemporaryDirectory() as folder:
        figures = {"quality": [*qualities(workspace)], "export": exported(Path(folder))}
    print(write("structured", {"evaluation": EVALUATION, **figures}))


def qualities(workspace: Workspace) -> list[dict[str, Any]]:
    rows = []
    for name, shares in NARROW.items():
        for importance in IMPORTANCES:
            for repair in (False, True):
                step = {"prune_channels": shares | {"importance": importance, "repair": repair}}
                rows.append({"what": name} | quality(workspace, step))
    for layers in (1, 2, 3):
        for importance in ("block influence", "measured loss"):
            step = {"prune_layers": {"layers": layers, "importance": importance}}
            rows.append({"what": f"{layers} of 8 layers"} | quality(workspace, step))
    return rows


def quality(workspace: Workspace, step: dict[str, Any]) -> dict[str, Any]:
    recipe = Recipe.from_dict(
        {
            "steps": [step],
            "evaluation": EVALUATION,
            "metrics": ["perplexity", "agreement"],
            "device": "cpu",
            "dtype": "float32",
        }
    )
    record = workspace.run(recipe)
    (method,) = step
    row = {name: _pair(record, name) for name in ("perplexity", "kl_divergence")}
    print(step, {name: [round(v, 4) for v in pair["compressed"]] for name, pair in row.items()}, flush=True)
    return {"step": step, **row, "seconds": record.stages[method], "said": record.notices}


def exported(folder: Path) -> dict[str, Any]:
    """Whether plain transformers gives the logits of the model in memory for what was exported."""
    model: CompressedModel = shared_session().apply(PruneChannels(heads=0.3), "storyteller")
    Transformers().write(model, folder)
    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=model.dtype)
    batch = torch.arange(256).view(1, 256)
    with torch.inference_mode():
        same = torch.equal(plain(batch).logits, model.module(batch).logits)
    return {"identical_logits": same, "parameters": sum(parameter.numel() for parameter in plain.parameters())}


def _pair(record: RunRecord, metric: str) -> dict[str, list[float]]:
    found = {variant: record.find(metric, variant) for variant in ("baseline", "compressed")}
    return {variant: [m.value, m.error or 0.0] for variant, m in found.items() if m is not None}


if __name__ == "__main__":
    main()
