"""Memory at the peak of compressing a model of 400 MB, in memory as a whole and block by block from disk.

Each in a process of its own, by what Linux says of its largest resident set, above what the imports take.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from compresslab import Recipe
from compresslab.engine.inputs.cache import hessian_bytes
from compresslab.engine.job import Job
from compresslab.engine.progress import Tracker
from compresslab.engine.session import Session
from compresslab.files.paths import BUNDLED_MODEL
from compresslab.recipes.plan import OFFLOAD, memory_need, offloaded_need
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.report import write

SIZES: dict[str, Any] = {
    "hidden_size": 1024,
    "intermediate_size": 2816,
    "num_hidden_layers": 16,
    "num_attention_heads": 16,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
}
CALIBRATION = {"samples": 8, "sequence_length": 128}
STEPS = {
    "quantize_gptq": {"bits": 4, "group_size": 128},
    "prune_wanda": {"sparsity": 0.5},
    "quantize_rtn": {"bits": 4, "group_size": 128},
}
WAYS = {"block by block": "1", "in memory": "0"}


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1], sys.argv[2])))
        return
    with tempfile.TemporaryDirectory() as folder:
        model = random_llama(Path(folder) / "llama-400mb")
        weights = (model / "model.safetensors").stat().st_size
        runs = [compressed(model, step, way) for way in WAYS for step in STEPS]
        for run in runs:
            run["times_its_weights"] = (run["peak_bytes"] - run["block_statistics_bytes"]) / weights
            print(f"{run['way']}, {run['step']}: {run['times_its_weights']:.2f} x its weights", flush=True)
    figures = {"sizes": SIZES, "weights_bytes": weights, "calibration": CALIBRATION, "steps": STEPS, "runs": runs}
    print(write("memory", figures))


def compressed(model: Path, step: str, way: str) -> dict[str, Any]:
    """In a process and a data folder of its own."""
    with tempfile.TemporaryDirectory() as home:
        environment = os.environ | {"COMPRESSLAB_HOME": home, OFFLOAD: WAYS[way]}
        command = [sys.executable, "-m", "benchmarks.memory", str(model), step]
        out = subprocess.run(command, check=True, env=environment, capture_output=True, text=True).stdout
    return {"way": way, "step": step, **json.loads(out.splitlines()[-1])}


def measure(model: str, step: str) -> dict[str, Any]:
    recipe = Recipe.from_dict(
        {
            "model": model,
            "steps": [{step: STEPS[step]}],
            "calibration": CALIBRATION,
            "evaluation": {"context_length": 128},
            "device": "cpu",
            "dtype": "float32",
        }
    )
    before, begun = peak(), time.perf_counter()
    result, _ = Session().compress(recipe, Job(unheard, lambda: False, Tracker({}, unheard)))
    need = offloaded_need if result.offloaded else memory_need
    return {
        "seconds": time.perf_counter() - begun,
        "peak_bytes": peak() - before,
        "planned_bytes": need(recipe, result.facts),
        "block_statistics_bytes": 2 * hessian_bytes(result) // result.depth,  # not packed while they are taken
        "offloaded": result.offloaded,
    }


def peak() -> int:
    """Bytes of the largest resident set of this process. What getrusage says of a child counts its parent in."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    kilobytes = next(line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return 1024 * int(kilobytes)


def unheard(_event: object) -> None:
    """Nobody watches."""


def random_llama(folder: Path) -> Path:
    """A float16 checkpoint of that shape, with the tokenizer and the vocabulary of the bundled model."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(BUNDLED_MODEL, local_files_only=True)
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**SIZES, vocab_size=len(tokenizer))).half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


if __name__ == "__main__":
    main()
