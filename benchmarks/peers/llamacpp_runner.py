"""Runs in an environment of its own, with llama-cpp-python: times one GGUF file, a round whenever a line comes in.

`python llamacpp_runner.py FILE.gguf THREADS`; every line on stdin, {"prompt": [ids], "new_tokens": n}, is answered by
one on stdout, {"prefill": seconds, "decode": seconds}.
"""

import json
import sys
import time

from llama_cpp import Llama


def main() -> None:
    file, threads = sys.argv[1], int(sys.argv[2])
    model = Llama(
        file, n_ctx=1024, n_batch=512, n_ubatch=512, n_threads=threads, n_threads_batch=threads, verbose=False
    )
    print("{}", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(lap(model, asked["prompt"], asked["new_tokens"])), flush=True)


def lap(model: Llama, prompt: list[int], new_tokens: int) -> dict[str, float]:
    model.reset()
    begun = time.perf_counter()
    model.eval(prompt)
    read = time.perf_counter()
    for token in prompt[: new_tokens - 1]:
        model.eval([token])
    return {"prefill": read - begun, "decode": time.perf_counter() - read}


if __name__ == "__main__":
    main()
