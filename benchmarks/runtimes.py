"""Is the low-bit runtime as fast as promised? Decode and prefill of a random 126M Llama, batch 1, everybody in turn:
ours at 4 and 8 bits and in float32, transformers float32 eager, and llama.cpp at Q4_0 and Q8_0 where its interpreter
is given (`python -m benchmarks.runtimes --llamacpp /path/to/python`). Then time to the first token from compressed
weights in memory, and the memory of a process that holds nothing but the runtime.

`GOMP_SPINCOUNT=300000` before the command lets torch's threads wait awake between two matrices, as they do by default.
The product sends them to sleep, for the dashboard beside it; then all others would seem faster than they are.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch
from compresslab import Recipe
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.runtimes import Runtime
from compresslab.engine.runtimes.bandwidth import read_seconds
from compresslab.engine.runtimes.choosing import Runtimes
from compresslab.engine.runtimes.decoding import Greedy
from compresslab.engine.runtimes.torch_runtime import TorchRuntime
from compresslab.engine.session import Session, shared_session
from compresslab.exports.registry import FORMATS
from compresslab.files.paths import BUNDLED_MODEL
from compresslab.methods.quantize_rtn import QuantizeRtn
from compresslab.models.narrowing import widths_now
from compresslab.models.traffic import cache_per_token, read_per_token
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.report import write

PROMPT, NEW_TOKENS, ROUNDS = 512, 33, 9
DEPTHS = (16, PROMPT)  # tokens before those that are written: the KV cache of the deeper text is read with every one
RUNNER = Path(__file__).parent / "peers" / "llamacpp_runner.py"
GROUP = 128  # of ours; llama.cpp's blocks are of 32
OPENMP = ("OMP_", "GOMP_")  # settings of how threads wait
QUANTS = {"Q4_0": 4, "Q8_0": 8}


@dataclass
class Lane:
    """Who is timed; `lap` gives seconds of the prefill and of the tokens after the first."""

    name: str
    lap: Callable[[Tensor], tuple[float, float]]
    read_bytes: dict[int, dict[str, int]] = field(default_factory=dict)  # by depth: a token, of what
    prefill: list[float] = field(default_factory=list)  # seconds of PROMPT tokens
    decode: dict[int, list[float]] = field(default_factory=dict)  # by depth: seconds of the tokens after the first
    plain_read: dict[int, list[float]] = field(default_factory=dict)  # by depth: seconds of as many bytes as a token

    def take_turn(self, depth: int) -> None:
        read, written = self.lap(torch.arange(depth).view(1, depth))
        if depth == PROMPT:
            self.prefill.append(read)
        self.decode.setdefault(depth, []).append(written)
        if depth in self.read_bytes:
            size = sum(self.read_bytes[depth].values())
            self.plain_read.setdefault(depth, []).append(*read_seconds(size, 1))

    def figures(self) -> dict[str, Any]:
        rates = {depth: (NEW_TOKENS - 1) / median(laps) for depth, laps in self.decode.items()}
        found: dict[str, Any] = {
            "prefill_tokens_per_second": PROMPT / median(self.prefill),
            "decode_tokens_per_second": rates,
            "prefill_seconds": self.prefill,
            "decode_seconds": self.decode,
        }
        return found | {"bandwidth": {depth: self.bandwidth(depth) for depth in self.plain_read}}

    def bandwidth(self, depth: int) -> dict[str, Any]:
        """The share of what a plain read of the same bytes, right after each lap, reached."""
        pairs = zip(self.plain_read[depth], self.decode[depth], strict=True)
        share = median(plain * (NEW_TOKENS - 1) / lap for plain, lap in pairs)
        return {"bytes": self.read_bytes[depth], "plain_read_seconds": self.plain_read[depth], "share": share}


SIZES: dict[str, Any] = {
    "vocab_size": 26_624,
    "hidden_size": 768,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 1024,
}


def main() -> None:
    asked = _arguments()
    torch.set_num_threads(asked.threads)
    with tempfile.TemporaryDirectory() as folder:
        large = large_model(Path(folder))
        lanes, processes, build = our_lanes(large), [], {}
        for name in QUANTS if asked.llamacpp else ():
            process, build = _llamacpp(asked.llamacpp, large, name, Path(folder), asked.threads)
            processes.append(process)
            lanes.append(Lane(name, lambda prompt, process=process: _asked(process, prompt)))
        take_turns(lanes, asked.rounds)
        for process in processes:
            process.stdin.close()
            process.wait()
        figures = {"speed": {lane.name: lane.figures() for lane in lanes}, "sizes": SIZES}
        figures |= {"times": times({lane.name: lane for lane in lanes}), "first_token": first_tokens(large)}
        figures |= {
            "llama_cpp": build,
            "openmp": {key: os.environ[key] for key in os.environ if key.startswith(OPENMP)},
        }
        figures["process"] = process_memory(quantized(large, 4), Path(folder) / "onnx")
    print(json.dumps(figures["times"], indent=1))
    print(write("runtimes", figures | {"prompt": PROMPT, "rounds": asked.rounds, "threads": asked.threads}))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--llamacpp", help="Python of an environment that has llama-cpp-python.")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


# -- speed ------------------------------------------------------------------------------------


def random_llama(folder: Path) -> Path:
    """A checkpoint of that shape, with the bundled tokenizer, whose tokens are among its own."""
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=False)).save_pretrained(folder)
    for file in BUNDLED_MODEL.glob("tokenizer*"):
        shutil.copy(file, folder)
    return folder


def large_model(folder: Path) -> CompressedModel:
    """The random 126M Llama, in float32."""
    return shared_session().baseline(_recipe(str(random_llama(folder / "llama-126m"))))


def our_lanes(baseline: CompressedModel) -> list[Lane]:
    runtimes = Runtimes()
    lanes = [lane_of("transformers float32", TorchRuntime(baseline), by_depth(baseline, low_bit=False))]
    for name, model in {"float32": baseline, "int4": quantized(baseline, 4), "int8": quantized(baseline, 8)}.items():
        lanes.append(lane_of(f"onnxruntime {name}", runtimes.onnx(model), by_depth(model, low_bit=True)))
    return [*lanes, lane_of("onnxruntime int8 prompts", runtimes.onnx(quantized(baseline, 8), "dynamic_int8"))]


def by_depth(model: CompressedModel, *, low_bit: bool) -> dict[int, dict[str, int]]:
    return {depth: bytes_read(model, depth, low_bit=low_bit) for depth in DEPTHS}


def bytes_read(model: CompressedModel, depth: int, *, low_bit: bool) -> dict[str, int]:
    """For a token in the middle of those that are written: of the matrices, and of the KV cache."""
    heads = widths_now(model.weights, model.facts).heads
    cache = cache_per_token(heads, model.depth, depth + NEW_TOKENS / 2)
    return {"weights": read_per_token(model.layout(), low_bit=low_bit), "cache": cache}


def quantized(baseline: CompressedModel, bits: int, group_size: int = GROUP) -> CompressedModel:
    """Rounded to nearest, embedding and lm_head too, as llama.cpp's pure types are."""
    step = QuantizeRtn(bits=bits, group_size=group_size, embedding_bits=bits, head_bits=bits)
    return shared_session().apply(step, baseline)


def take_turns(lanes: list[Lane], rounds: int, depths: Sequence[int] = DEPTHS) -> None:
    """The first lap of everybody warms up, and is forgotten."""
    for lane in lanes:
        lane.lap(torch.arange(PROMPT).view(1, PROMPT))
    for _ in range(rounds):
        for depth in depths:
            for lane in lanes:
                lane.take_turn(depth)


def times(lanes: dict[str, Lane]) -> dict[str, float]:
    """Medians of the ratios of every round: who is how many times as fast."""
    found = {}
    pairs = [("int4", "transformers float32"), ("int8", "transformers float32"), ("float32", "transformers float32")]
    pairs += [("int4", "Q4_0"), ("int8", "Q8_0"), ("int8 prompts", "transformers float32")]
    for ours, other in pairs:
        if other in lanes:
            mine, its = lanes[f"onnxruntime {ours}"], lanes[other]
            found[f"prefill: {ours} over {other}"] = times_as_fast(mine.prefill, its.prefill)
            for depth in DEPTHS:
                found[f"decode after {depth}: {ours} over {other}"] = times_as_fast(
                    mine.decode[depth], its.decode[depth]
                )
    return found


def times_as_fast(own: list[float], theirs: list[float]) -> float:
    return median(before / now for before, now in zip(theirs, own, strict=True))


def lane_of(name: str, runtime: Runtime, read_bytes: dict[int, dict[str, int]] | None = None) -> Lane:
    def lap(prompt: Tensor) -> tuple[float, float]:
        begun = time.perf_counter()
        greedy = Greedy(runtime, prompt, NEW_TOKENS)
        read = time.perf_counter()
        for _ in range(NEW_TOKENS - 1):
            greedy.next()
        return read - begun, time.perf_counter() - read

    return Lane(name, lap, read_bytes=read_bytes or {})


def _llamacpp(
    python: str, baseline: CompressedModel, name: str, folder: Path, threads: int
) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """A process that holds the same weights in the type of that name, and what its build says of itself.

    How its threads wait is left to llama.cpp: made to sleep at every barrier, as ours here may be, it is held up.
    """
    target = folder / name
    target.mkdir()
    FORMATS["gguf"]().write(quantized(baseline, QUANTS[name], 32), target)
    (file,) = target.glob("*.gguf")
    its_own = {key: value for key, value in os.environ.items() if not key.startswith(OPENMP)}
    command = [python, RUNNER, file, str(threads)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=its_own)
    assert process.stdout is not None
    build = process.stdout.readline()
    if not build:
        sys.exit(f"{python} could not open the {name} file with llama_cpp.")
    return process, json.loads(build)


def _asked(process: subprocess.Popen[str], prompt: Tensor) -> tuple[float, float]:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(json.dumps({"prompt": prompt[0].tolist(), "new_tokens": NEW_TOKENS}) + "\n")
    process.stdin.flush()
    answer = json.loads(process.stdout.readline())
    return answer["prefill"], answer["decode"]


# -- starting -----------------------------------------------------------------------------------


def first_tokens(large: CompressedModel) -> dict[str, float]:
    """Seconds from compressed weights in memory to the first token after a prompt of 16."""
    small = Session().baseline(_recipe("storyteller"))
    return {name: first_token(quantized(model, 4)) for name, model in (("storyteller", small), ("126M", large))}


def first_token(model: CompressedModel) -> float:
    model.weights_hash()  # a session has it already: the pane is labelled with it
    begun = time.perf_counter()
    Greedy(Runtimes().onnx(model), torch.arange(16).view(1, 16), 1)
    return time.perf_counter() - begun


def process_memory(model: CompressedModel, folder: Path) -> dict[str, int]:
    """Largest resident set of a process that runs the exported graph: its own script, with neither torch nor ours."""
    folder.mkdir()
    FORMATS["onnx"]().write(model, folder)
    weights = sum(file.stat().st_size for file in folder.glob("model.onnx*"))
    script = subprocess.Popen([sys.executable, folder / "run.py", "Once upon a time"], stdout=subprocess.DEVNULL)
    peak = 0
    while script.poll() is None:  # Linux counts what this process holds into a child's ru_maxrss
        peak = max(peak, _high_water(script.pid))
        time.sleep(0.005)
    if script.returncode:
        sys.exit("The exported graph did not run.")
    return {"peak_bytes": peak, "weight_bytes": weights, "beyond_weights_bytes": peak - weights}


def _high_water(pid: int) -> int:
    """Bytes of memory that a process has held at the most since it began."""
    with suppress(FileNotFoundError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def _recipe(model: str) -> Recipe:
    return Recipe(model=model, device="cpu", dtype="float32")


if __name__ == "__main__":
    main()
