"""Every export opened by the program it is for, in that program's own environment: does it answer as we did?

    python -m benchmarks.peers.open_exports --llmcompressor PYTHON --gptqmodel PYTHON --llamacpp PYTHON \
        --material FOLDER

For every model, recipe and format: the logits of the model in memory beside those of the files, over the same tokens:
relative difference, KL divergence, perplexity of both, and, where the program brings its own tokenizer, whether it cuts
a text into the same tokens. Writes `results/open_exports.json`. A format whose interpreter is not given keeps its rows.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.session import Session
from compresslab.exports.format import why_not
from compresslab.exports.registry import FORMATS
from compresslab.exports.verified import contents_of
from torch import Tensor
from torch.nn import functional as F

from benchmarks import report
from benchmarks.peers.workload import Workload, silent_job, stories260k, storyteller

HERE = Path(__file__).parent
NAME = "open_exports"
INTERPRETERS = {"compressed-tensors": "llmcompressor", "gguf": "llamacpp", "gptq": "gptqmodel"}
SAMPLES, MOST_TOKENS, WINDOWS = 32, 8192, 4
TEXT = "Once upon a time, there was a little girl named Lily. She had 3 red kites!"
Step = dict[str, dict[str, Any]]
RECIPES: dict[str, list[Step]] = {
    "rtn 4 bits, group 32": [{"quantize_rtn": {"bits": 4, "group_size": 32}}],
    "gptq 4 bits, group 64, act-order": [{"quantize_gptq": {"bits": 4, "group_size": 64}}],
    "gptq 4 bits, group 128, asymmetric": [{"quantize_gptq": {"bits": 4, "group_size": 128, "symmetric": False}}],
    "awq 4 bits, per row": [{"quantize_awq": {"bits": 4, "group_size": 0}}],
    "hqq 3 bits, group 64": [{"quantize_hqq": {"bits": 3, "group_size": 64, "symmetric": False}}],
    "rtn 8 bits, per row": [{"quantize_rtn": {"bits": 8, "group_size": 0}}],
    "rtn 6 bits, group 64": [{"quantize_rtn": {"bits": 6, "group_size": 64}}],
    "wanda 50 %, then gptq 4 bits": [{"prune_wanda": {"sparsity": 0.5}}, {"quantize_gptq": {"bits": 4}}],
    "mixed 4 and 8 bits, a block left alone": [
        {"quantize_rtn": {"bits": 4, "overrides": {"*down_proj*": {"bits": 8}}, "ignore": ["*layers.1.*"]}}
    ],
    "rtn 2 bits, group 32, asymmetric": [{"quantize_rtn": {"bits": 2, "group_size": 32, "symmetric": False}}],
}


@dataclass(frozen=True)
class Written:
    """An export on disk and what the model in memory answers."""

    export: str
    folder: Path
    logits: Tensor
    tokens: list[int]
    estimate: int
    rounds_again: str | None


def main() -> None:
    given = _arguments()
    workloads = [storyteller(SAMPLES, MOST_TOKENS)]
    workloads += [stories260k(given.material, SAMPLES, MOST_TOKENS)] if given.material else []
    found: dict[str, Any] = {"text": TEXT, "formats": _earlier()}
    with tempfile.TemporaryDirectory() as place:
        for form, name in INTERPRETERS.items():
            interpreter: Path | None = getattr(given, name)
            if interpreter is not None:
                found["formats"][form] = _opened(form, interpreter, workloads, Path(place) / form)
                print(report.write(NAME, found))


def _earlier() -> dict[str, Any]:
    file = report.RESULTS / f"{NAME}.json"
    earlier: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["formats"] if file.exists() else {}
    return earlier


def _arguments() -> Namespace:
    parser = ArgumentParser(description=__doc__)
    for name in INTERPRETERS.values():
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--material", type=Path)
    return parser.parse_args()


def _opened(form: str, interpreter: Path, workloads: list[Workload], place: Path) -> dict[str, Any]:
    """A row for every model and recipe, refused ones with our reason or the program's."""
    rows: list[dict[str, Any]] = []
    written: list[tuple[Written, Tensor]] = []
    for workload in workloads:
        session = Session()
        ids = session.evaluation_windows(workload.recipe(0), session.baseline(workload.recipe(0)), silent_job())[0]
        for export in _written(form, session, workload, ids[:WINDOWS], place):
            if isinstance(export, Written):
                written.append((export, ids[:WINDOWS]))
            else:
                rows.append(export)
    answer = _ask(form, interpreter, written, place)
    for (export, ids), row in zip(written, answer["rows"], strict=True):
        rows.append(_compared(export, ids, row))
        print(form, rows[-1], flush=True)
    return {"versions": answer["versions"], "rows": rows}


def _written(
    form: str, session: Session, workload: Workload, ids: Tensor, place: Path
) -> Iterator[Written | dict[str, Any]]:
    for label, steps in RECIPES.items():
        recipe = workload.recipe(0).to_dict() | {"steps": steps}
        model, _ = session.compress(type(workload.recipe(0)).from_dict(recipe), silent_job())
        export, contents, chosen = f"{workload.name}: {label}", contents_of(model), FORMATS[form]()
        reason = why_not(chosen, contents)
        if reason:
            yield {"export": export, "we_refused": reason}
            continue
        folder = place / f"{workload.name}-{label}".replace(" ", "_").replace("%", "").replace(",", "")
        folder.mkdir(parents=True)
        chosen.write(model, folder)
        tokens = model.tokenizer.encode(TEXT, add_special_tokens=False)
        again, estimate = chosen.rounds_again(contents), chosen.estimated_bytes(contents)
        yield Written(export, folder, _logits(model, ids), tokens, estimate, again)


def _logits(model: CompressedModel, ids: Tensor) -> Tensor:
    with torch.inference_mode():
        return torch.cat([model.module(input_ids=part, use_cache=False).logits.float() for part in ids.split(4)])


def _ask(form: str, interpreter: Path, written: list[tuple[Written, Tensor]], place: Path) -> dict[str, Any]:
    exports = []
    for number, (export, ids) in enumerate(written):
        given = place / f"{number}.ids.npy"
        np.save(given, ids.numpy())
        entry = {"export": export.export, "folder": str(export.folder), "ids": str(given), "text": TEXT}
        exports.append(entry | {"out": str(_answer_of(export))})
    task = place / "task.json"
    task.write_text(json.dumps({"exports": exports}), encoding="utf-8")
    command = [str(interpreter), str(HERE / "open_runner.py"), form, str(task)]
    environment = dict(os.environ) | {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
    file = place / "answer.json"
    answer: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"rows": []}
    reason = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
    missing = written[len(answer["rows"]) :]
    answer["rows"] += [{"export": export.export, "refused": f"its process ended: {reason[0]}"} for export, _ in missing]
    return {"versions": {}} | answer


def _answer_of(export: Written) -> Path:
    return export.folder.with_name(export.folder.name + ".logits.npy")


def _compared(export: Written, ids: Tensor, row: dict[str, Any]) -> dict[str, Any]:
    told = {"export": export.export, "rounds_again": export.rounds_again, "estimated_bytes": export.estimate}
    weights = [file for pattern in ("*.safetensors", "*.gguf") for file in export.folder.glob(pattern)]
    told["weight_bytes"] = sum(file.stat().st_size for file in weights)
    if "refused" in row:
        return told | {"refused": row["refused"]}
    found, expected = torch.from_numpy(np.load(_answer_of(export))), export.logits
    ours, theirs = expected.log_softmax(-1), found.log_softmax(-1)
    return told | {
        "relative_difference": float((found - expected).square().mean().sqrt() / expected.square().mean().sqrt()),
        "kl_divergence": float((ours.exp() * (ours - theirs)).sum(-1).mean()),
        "perplexity_in_memory": _perplexity(ours, ids),
        "perplexity_opened": _perplexity(theirs, ids),
        "same_tokens": row["tokens"] == export.tokens if row["tokens"] else None,
        "seconds": row["seconds"],
    }


def _perplexity(log_probabilities: Tensor, ids: Tensor) -> float:
    """exp(mean negative log-likelihood) over every place but the first of each window."""
    return float(F.nll_loss(log_probabilities[:, :-1].flatten(0, 1), ids[:, 1:].flatten()).exp())


if __name__ == "__main__":
    main()
