"""Opens one export as its users do, in an environment of its own: `export_runner.py READER task.json`.

The task names the folder, token ids and texts. The answer, on the last line of stdout, has log-probabilities of the
next token after each row of ids, and the texts as the program cuts them, where it does.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path
from typing import Any


def by_llama_cpp(task: dict[str, Any]) -> dict[str, Any]:
    """Through xllamacpp's own server, on this machine alone."""
    import xllamacpp

    wanted = xllamacpp.CommonParams()
    wanted.model.path = str(Path(task["folder"]) / "model.gguf")
    wanted.n_ctx, wanted.n_parallel, wanted.warmup, wanted.port, wanted.cpuparams.n_threads = 64, 1, False, 0, 1
    server = xllamacpp.Server(wanted)

    def ask(path: str, **body: Any) -> dict[str, Any]:
        request = urllib.request.Request(
            server.listening_address + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    ids = [ask("/tokenize", content=text, add_special=True, parse_special=True)["tokens"] for text in task["texts"]]
    rows = []
    for row in task["ids"]:
        # A token that is a letter is forced: of one that is half a letter the server says nothing yet.
        more = {
            "n_predict": 1,
            "n_probs": task["vocabulary"],
            "cache_prompt": False,
            "logit_bias": [[ids[0][0], 1000.0]],
        }
        told = ask("/completion", prompt=row, **more)["completion_probabilities"][0]["top_logprobs"]
        by_id = {entry["id"]: entry["logprob"] for entry in told}
        rows.append([by_id[number] for number in range(task["vocabulary"])])
    return {"version": f"xllamacpp {xllamacpp.__version__}", "logprobs": rows, "texts": ids}


def by_transformers(task: dict[str, Any]) -> dict[str, Any]:
    import compressed_tensors
    import torch
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(task["folder"], dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(task["folder"])
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor(task["ids"]), use_cache=False).logits[:, -1]
    return {
        "version": f"transformers {transformers.__version__}, compressed-tensors {compressed_tensors.__version__}",
        "logprobs": logits.float().log_softmax(-1).tolist(),
        "texts": [tokenizer(text).input_ids for text in task["texts"]],
    }


READERS = {"llama.cpp": by_llama_cpp, "transformers": by_transformers}


def main() -> None:
    task = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    try:
        answer = READERS[sys.argv[1]](task)
    except Exception as error:  # noqa: BLE001 - whatever a program raises is its answer
        answer = {"why": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
    Path(task["answer"]).write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main()
