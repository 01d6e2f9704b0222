"""Runs in an environment of its own, with llama-cpp-python: times one GGUF file, a round whenever a line comes in.

`python llamacpp_runner.py FILE.gguf THREADS` first says what the build has; then every line on stdin,
{"prompt": [ids], "new_tokens": n}, is answered by one on stdout, {"prefill": seconds, "decode": seconds}.
"""

import json
import sys
import time

import llama_cpp
from llama_cpp import Llama


def main() -> None:
    file, threads = sys.argv[1], int(sys.argv[2])
    model = Llama(
        file, n_ctx=1024, n_batch=512, n_ubatch=512, n_threads=threads, n_threads_batch=threads, verbose=False
    )
    print(json.dumps({"threads": threads} | build(model)), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(lap(model, asked["prompt"], asked["new_tokens"])), flush=True)


def build(model: Llama) -> dict[str, str | float]:
    """Which llama.cpp this is, the instructions of the processor that it was built for, and what Python adds: the
    seconds of a short lap by our clock over those by llama.cpp's own timer.
    """
    llama_cpp.llama_perf_context_reset(model.ctx)
    seen = sum(lap(model, list(range(32)), 9).values())
    own = llama_cpp.llama_perf_context(model.ctx)
    return {
        "llama_cpp_python": llama_cpp.__version__,
        "system": llama_cpp.llama_print_system_info().decode(),
        "clock_over_own_timer": seen / ((own.t_p_eval_ms + own.t_eval_ms) / 1000),
    }


def lap(model: Llama, prompt: list[int], new_tokens: int) -> dict[str, float]:
    model.reset()
    begun = time.perf_counter()
    model.eval(prompt)
    read = time.perf_counter()
    for token in range(new_tokens - 1):
        model.eval([token])
    llama_cpp.llama_synchronize(model.ctx)
    return {"prefill": read - begun, "decode": time.perf_counter() - read}


if __name__ == "__main__":
    main()
