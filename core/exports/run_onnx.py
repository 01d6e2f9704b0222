"""Answers with onnxruntime and tokenizers alone, word by word:  python run.py "Once upon a time" --tokens 60"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

HALF = "\ufffd"  # a letter of which more bytes are to come


class Model:
    """Token ids in, logits out. `start` makes room for keys and values, which are written in place."""

    def __init__(self, folder: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(folder / "model.onnx", options, ["CPUExecutionProvider"])

    def start(self, rows: int, room: int) -> None:
        shapes = {
            i.name: (rows, i.shape[1], room, i.shape[3]) for i in self.session.get_inputs() if i.name[:4] == "past"
        }
        make = onnxruntime.OrtValue.ortvalue_from_numpy
        self.cache = {name: make(np.zeros(shape, np.float32)) for name, shape in shapes.items()}
        self.length = 0

    def feed(self, ids: Any, wanted: Any) -> Any:
        """int64 [rows, new tokens] -> float32 [rows, wanted, vocabulary], of the new tokens that are wanted."""
        self.length += ids.shape[1]
        binding = self.session.io_binding()
        binding.bind_cpu_input("input_ids", ids)
        binding.bind_cpu_input("positions", np.array(wanted, np.int64))
        binding.bind_cpu_input("last_position", np.full(len(ids), self.length - 1, np.int32))
        binding.bind_cpu_input("total_length", np.array(self.length, np.int32))
        for name, value in self.cache.items():
            binding.bind_ortvalue_input(name, value)
            binding.bind_ortvalue_output(name.replace("past", "present"), value)
        binding.bind_output("logits", "cpu")
        self.session.run_with_iobinding(binding)
        return binding.get_outputs()[-1].numpy()


def tokenizer_of(folder: Path) -> Tokenizer:
    """Of whole texts, whatever training left in the file."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prompt")
    parser.add_argument("--tokens", type=int, default=60, help="how many at the most")
    asked = parser.parse_args()
    folder = Path(__file__).parent
    tokenizer = tokenizer_of(folder)
    ends = json.loads((folder / "generation_config.json").read_text(encoding="utf-8")).get("eos_token_id") or []
    answer: list[int] = []
    new, said = tokenizer.encode(asked.prompt).ids, ""
    model = Model(folder)
    model.start(1, len(new) + asked.tokens)
    while len(answer) < asked.tokens:
        logits = model.feed(np.array([new], np.int64), [len(new) - 1])
        new = [int(logits[0, -1].argmax())]
        answer += new  # an end may be a word; if it is none, it has no spelling
        text = tokenizer.decode(answer)
        if not text.endswith(HALF):
            print(text[len(said) :], end="", flush=True)
            said = text
        if new[0] in (ends if isinstance(ends, list) else [ends]):
            break
    print(tokenizer.decode(answer)[len(said) :])


if __name__ == "__main__":
    main()
