"""Opens exports as their users do, in an environment that knows nothing of ours: `open_runner.py FORMAT task.json`.

The task lists folders, the token ids to read and where the logits go. Whatever a program raises is its answer.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

Answer = tuple[np.ndarray, list[int]]  # logits [N, S, V]; the text as the program cuts it, where it does


def by_transformers(folder: Path, ids: np.ndarray, text: str) -> Answer:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return _torch_logits(model, ids), []


def by_gptqmodel(folder: Path, ids: np.ndarray, text: str) -> Answer:
    """In float16, the only dtype beside bfloat16 that its kernel takes; not compiled, which takes minutes on a CPU."""
    os.environ["TORCHDYNAMO_DISABLE"] = "1"
    os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")  # on two cores its own choice, 1, is refused by its thread pool
    import torch
    from gptqmodel import BACKEND, GPTQModel

    loaded = GPTQModel.load(str(folder), backend=BACKEND.GPTQ_TORCH, device="cpu", dtype=torch.float16)
    return _torch_logits(loaded.model.eval(), ids), []


def by_llama_cpp(folder: Path, ids: np.ndarray, text: str) -> Answer:
    from llama_cpp import Llama

    model = Llama(str(folder / "model.gguf"), n_ctx=ids.shape[1], logits_all=True, verbose=False, n_threads=1)
    rows = []
    for row in ids.tolist():
        model.reset()
        model.eval(row)
        rows.append(np.array(model.scores[: len(row)]))
    return np.stack(rows), model.tokenize(text.encode(), add_bos=False, special=False)


READERS: dict[str, tuple[Callable[[Path, np.ndarray, str], Answer], tuple[str, ...]]] = {
    "compressed-tensors": (by_transformers, ("transformers", "compressed-tensors")),
    "gptq": (by_gptqmodel, ("GPTQModel",)),
    "gguf": (by_llama_cpp, ("llama_cpp_python",)),
}


def _torch_logits(model: Any, ids: np.ndarray) -> np.ndarray:
    import torch

    with torch.inference_mode():
        parts = [model(input_ids=part, use_cache=False).logits.float() for part in torch.from_numpy(ids).split(4)]
    return torch.cat(parts).numpy()


def main() -> None:
    form, file = sys.argv[1], Path(sys.argv[2])
    read, packages = READERS[form]
    task = json.loads(file.read_text(encoding="utf-8"))
    rows = []
    for entry in task["exports"]:
        begun = time.perf_counter()
        row: dict[str, Any] = {"export": entry["export"]}
        try:
            logits, tokens = read(Path(entry["folder"]), np.load(entry["ids"]), entry["text"])
        except Exception as error:  # noqa: BLE001 - whatever a program raises is its answer
            row["refused"] = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        else:
            np.save(entry["out"], logits.astype(np.float32))
            row |= {"tokens": tokens, "seconds": time.perf_counter() - begun}
        rows.append(row)
        answer = {"versions": {name: version(name) for name in packages}, "rows": rows}
        file.with_name("answer.json").write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main()
