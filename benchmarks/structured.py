"""Structured pruning: is a narrower or shallower model really faster, and what does each way of choosing cost?

Speed on a random 126M Llama (shapes decide it, weights do not) and on the bundled model, baseline and pruned in turn;
perplexity of the bundled model for every importance, with and without mending; the export opened by transformers.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from benchmarks.report import write
from core import Recipe, Workspace
from core.engine.model import CompressedModel
from core.engine.session import shared_session
from core.exports.transformers import Transformers
from core.methods.prune_channels import PruneChannels
from core.paths import BUNDLED_MODEL
from core.results import RunRecord

EVALUATION = {"max_tokens": 16384}
# What is measured: share of the MLP channels, share of the heads.
NARROW: dict[str, dict[str, Any]] = {
    "30 % of the channels": {"mlp": 0.3, "heads": 0.0},
    "30 % of channels and heads": {"mlp": 0.3, "heads": 0.3},
    "60 % of the channels": {"mlp": 0.6, "heads": 0.0},
}
IMPORTANCES = ("magnitude", "activation", "taylor", "reconstruction")
SIZES: dict[str, Any] = {
    "vocab_size": 26_624,
    "hidden_size": 768,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 1024,
}


def main() -> None:
    workspace = Workspace()
    with tempfile.TemporaryDirectory() as folder:
        large = random_llama(Path(folder) / "llama-126m")
        figures = {
            "speed": [
                *(speeds(workspace, str(large), step) for step in speed_steps(12)),
                *(speeds(workspace, "storyteller", step) for step in speed_steps(8)),
            ],
            "quality": [*qualities(workspace)],
            "export": exported(Path(folder) / "export"),
        }
    print(write("structured", {"sizes": SIZES, "evaluation": EVALUATION, **figures}))


def random_llama(folder: Path) -> Path:
    """A checkpoint of that shape, with the bundled tokenizer, whose tokens are among its own."""
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=False)).save_pretrained(folder)
    for file in BUNDLED_MODEL.glob("tokenizer*"):
        shutil.copy(file, folder)
    return folder


def speed_steps(layers: int) -> list[dict[str, Any]]:
    """About 30 % of the channels, of channels and heads, of the layers; chosen by weights alone, which is quick."""
    quick = {"importance": "magnitude", "repair": False}
    shares = list(NARROW.values())[:2]
    narrow = [{"prune_channels": share | quick} for share in shares]
    return [*narrow, {"prune_layers": {"layers": round(0.3 * layers), "importance": "block influence"}}]


def speeds(workspace: Workspace, model: str, step: dict[str, Any]) -> dict[str, Any]:
    prompt = 512 if model != "storyteller" else 256
    recipe = Recipe.from_dict(
        {
            "model": model,
            "steps": [step],
            "calibration": {"samples": 16},
            "metrics": [{"speed": {"prompt_tokens": prompt, "new_tokens": 32}}, "footprint"],
            "device": "cpu",
            "dtype": "float32",
        }
    )
    record = workspace.run(recipe)
    rates = {name: _pair(record, name) for name in ("prefill_tokens_per_second", "decode_tokens_per_second")}
    about = {"model": Path(model).name, "step": step, "prompt_tokens": prompt, "notices": record.notices}
    times = {name: pair["compressed"][0] / pair["baseline"][0] for name, pair in rates.items()}
    print(about["model"], step, {name: round(ratio, 2) for name, ratio in times.items()}, flush=True)
    return about | rates | {"times_the_baseline": times, "size_on_disk_bytes": _pair(record, "size_on_disk_bytes")}


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
