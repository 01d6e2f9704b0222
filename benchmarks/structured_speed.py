"""Is a narrower or shallower model as much faster as what was taken from it promises?

A random 126M Llama, float32 in torch and 8 and 4 bits in the low-bit runtime: whole and pruned in turn. Reading a
prompt is held against the multiplications that are left, writing against the bytes that are left to be read: of every
matrix that a token goes through and of the KV cache. lm_head is among them, and nothing is taken from it.

    python -m benchmarks.structured_speed
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.runtimes import Runtime
from compresslab.engine.runtimes.onnx_graph import graph_of
from compresslab.engine.runtimes.onnx_session import OnnxRuntime
from compresslab.engine.runtimes.torch_runtime import TorchRuntime
from compresslab.engine.session import shared_session
from compresslab.methods.prune_channels import PruneChannels
from compresslab.models.narrowing import widths_now

from benchmarks.report import write
from benchmarks.runtimes import (
    NEW_TOKENS,
    PROMPT,
    SIZES,
    Lane,
    bytes_read,
    lane_of,
    large_model,
    quantized,
    take_turns,
    times_as_fast,
)

ROUNDS = 9
FAIR = 0.15  # of the promise: farther off it is not kept
QUICK: dict[str, Any] = {"importance": "magnitude", "repair": False}  # speed asks for shapes alone
NARROW = {
    "30 % of the channels": PruneChannels(mlp=0.3, heads=0.0, **QUICK),
    "30 % of channels and heads": PruneChannels(mlp=0.3, heads=0.3, **QUICK),
}
FEWER_LAYERS = {"4 of 12 layers": 4, "6 of 12 layers": 6}
WIDTHS = {"torch float32": None, "onnxruntime int8": 8, "onnxruntime int4": 4}
PHASES = ("prefill", "decode")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    with tempfile.TemporaryDirectory() as folder:
        whole = large_model(Path(folder))
        models = {"whole": whole} | {name: shared_session().apply(step, whole) for name, step in NARROW.items()}
        models |= {name: shallower(whole, count) for name, count in FEWER_LAYERS.items()}
        found = {name: raced(models, bits, asked) for name, bits in WIDTHS.items()}
    about = {"sizes": SIZES, "prompt": PROMPT, "new_tokens": NEW_TOKENS, "threads": asked.threads, "fair": FAIR}
    print(write("structured_speed", about | {"rounds": asked.rounds, "runtimes": found}))


def shallower(model: CompressedModel, count: int) -> CompressedModel:
    """Without so many of its last layers: which ones go is all the same to speed."""
    fewer = model.copy()
    fewer.keep_layers(list(range(model.depth - count)))
    return fewer


def raced(models: dict[str, CompressedModel], bits: int | None, asked: argparse.Namespace) -> dict[str, Any]:
    """Whole and pruned models in one runtime, taking turns: promised and measured, how many times as fast."""
    lanes, work, kernel = {}, {}, ""
    for name, model in models.items():
        runtime, work[name] = made(model, bits, asked.threads)
        lanes[name], kernel = lane_of(name, runtime), runtime.kernel
    take_turns(list(lanes.values()), asked.rounds, [PROMPT])
    found = {name: held_against(lanes, work, name) for name in models if name != "whole"}
    for name, phases in found.items():
        print(kernel, "|", name, {phase: round(judged["kept"], 3) for phase, judged in phases.items()}, flush=True)
    return {"kernel": kernel, **found}


def made(model: CompressedModel, bits: int | None, threads: int) -> tuple[Runtime, dict[str, int]]:
    """What answers, and the work of each phase: multiplications, bytes."""
    if bits is None:
        return TorchRuntime(model), work_of(model, low_bit=False)
    low = quantized(model, bits)
    return OnnxRuntime(graph_of(low), threads), work_of(low, low_bit=True)


def work_of(model: CompressedModel, *, low_bit: bool) -> dict[str, int]:
    return {"prefill": multiplications(model), "decode": sum(bytes_read(model, PROMPT, low_bit=low_bit).values())}


def multiplications(model: CompressedModel) -> int:
    """To read the prompt: of the blocks' matrices for every token, of lm_head for the last, of attention for every
    pair of tokens (kernels compute the whole square, and hide the half that lies ahead).
    """
    linear = sum(plan.count for plan in model.layout() if plan.role == "linear")
    head = SIZES["vocab_size"] * SIZES["hidden_size"]
    heads = widths_now(model.weights, model.facts).heads
    return linear * PROMPT + head + 2 * model.depth * heads.count * heads.dim * PROMPT**2


def held_against(lanes: dict[str, Lane], work: dict[str, dict[str, int]], name: str) -> dict[str, dict[str, Any]]:
    """Of one pruned model: `kept` is measured over promised, 1 where the promise is kept to the letter."""
    found = {}
    for phase in PHASES:
        whole, pruned = (seconds(lanes[which], phase) for which in ("whole", name))
        promised = work["whole"][phase] / work[name][phase]
        measured = times_as_fast(pruned, whole)
        kept = measured / promised
        judged = {"promised_times": promised, "measured_times": measured, "kept": kept, "fair": abs(kept - 1) <= FAIR}
        found[phase] = judged | {"seconds": {"whole": whole, "pruned": pruned}}
    return found


def seconds(lane: Lane, phase: str) -> list[float]:
    return lane.prefill if phase == "prefill" else lane.decode[PROMPT]


if __name__ == "__main__":
    main()
