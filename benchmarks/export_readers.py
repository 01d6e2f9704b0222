"""Who opens what: exports of tiny models, of every family, grid, exception and head, opened by the programs themselves.

    python -m benchmarks.export_readers [--xllamacpp PYTHON] [--transformers PYTHON]

Each interpreter has its reader installed in an environment of its own: xllamacpp; transformers with compressed-tensors.
A reader whose interpreter is not given keeps the rows that it had.
What the product says of an export (`named`) stands beside what came of it; tests hold the one against the other.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from compresslab.engine.models.architecture import AUTO
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.session import Session
from compresslab.exports.format import Format, programs, why_not
from compresslab.exports.registry import FORMATS
from compresslab.exports.verified import contents_of, expected_of
from compresslab.models.families import FAMILIES
from compresslab.recipes.recipe import Recipe

from benchmarks import report
from benchmarks.peers.workload import silent_job
from tests.tiny_models import config_of, tokenizer, write_texts

Case = dict[str, Any]
NAME = "export_readers"
RUNNER = Path(__file__).parent / "peers" / "export_runner.py"
IDS = (torch.arange(48).reshape(2, 24) * 7 % 320).tolist()
TEXTS = [
    "Mia had 3 red kites, and 1,024 BLUE ones.",
    " a  b\tc\n\nd \n e ",
    "It's we'LL; café 東京 🙂",
    "a <|endoftext|> b",
]
PLAIN = {"bits": 8, "group_size": 32}
GRIDS: list[dict[str, Any]] = [
    {"bits": 4, "group_size": 32},
    {"bits": 4, "group_size": 0, "symmetric": False},
    {"bits": 3, "group_size": 16},
    {"bits": 8, "group_size": 0},
]
EXCEPTIONS: list[dict[str, Any]] = [
    {"overrides": {"*up_proj*": {"bits": 8}}},
    {"ignore": ["*layers.1.*"]},
    {"head_bits": 8},
]
READERS = {"gguf": "llama.cpp", "compressed-tensors": "transformers"}
AS_LLAMA_CPP = {"gemma2": {"query_pre_attn_scalar": 8}}  # what its tiny model must say to be taken
UNCAPPED = {"attn_logit_softcapping": None, "final_logit_softcapping": None}


def cases() -> Iterator[Case]:
    """Families on one grid, for llama.cpp with both kinds of head; one family on all grids and exceptions."""
    for name in READERS:
        for family in FAMILIES.values():
            if family.anatomy.task == "causal":
                for tied in (False, True) if name == "gguf" else (False,):
                    yield {"format": name, "family": family.model_type, "tied": tied, "grid": PLAIN}
        for grid in GRIDS:
            yield {"format": name, "family": "mistral", "tied": False, "grid": grid}
        for exception in EXCEPTIONS:
            yield {"format": name, "family": "mistral", "tied": False, "grid": GRIDS[0] | exception}
    yield {"format": "gguf", "family": "gemma2", "tied": True, "grid": PLAIN, "config": UNCAPPED}


def compressed(case: Case, place: Path) -> CompressedModel:
    """A tiny model of 64 columns in every matrix, so that groups of 32 fit."""
    family = FAMILIES[case["family"]]
    torch.manual_seed(0)
    width = {family.anatomy.keys.mlp_width: 64} if family.anatomy.keys.mlp_width else {}
    more = AS_LLAMA_CPP.get(case["family"], {}) | case.get("config", {})
    config = config_of(family, **width, tie_word_embeddings=case["tied"], **more)
    module = AUTO["causal"].from_config(config)
    for parameter in module.parameters():
        if parameter.ndim == 1:
            parameter.data += 0.1 * torch.randn_like(parameter)
    folder = Path(tempfile.mkdtemp(dir=place))
    module.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    text, questions = write_texts(folder)
    recipe = {
        "model": str(folder),
        "steps": [{"quantize_rtn": case["grid"]}],
        "evaluation": {"text": str(text), "questions": str(questions)},
        "calibration": {"text": str(text)},
        "device": "cpu",
        "dtype": "float32",
    }
    return Session().compress(Recipe.from_dict(recipe), silent_job())[0]


def told(case: Case, model: CompressedModel) -> Case:
    """What the product says of it."""
    form, contents = FORMATS[case["format"]](), contents_of(model)
    reason = why_not(form, contents)
    if reason:
        return {"refused": str(reason), "named": False}
    return {"named": READERS[case["format"]] in programs(form, contents)}


def opened(case: Case, form: Format, model: CompressedModel, interpreter: Path, place: Path) -> Case:
    folder = Path(tempfile.mkdtemp(dir=place))
    form.write(model, folder)
    task, answer = folder / "task.json", folder / "answer.json"
    asked = {"folder": str(folder), "answer": str(answer), "ids": IDS, "texts": TEXTS}
    task.write_text(json.dumps(asked | {"vocabulary": model.facts.vocab_size}), encoding="utf-8")
    command = [str(interpreter), str(RUNNER), READERS[case["format"]], str(task)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=300, check=False)
    if not answer.exists():
        return {"opened": False, "why": (done.stderr.strip().splitlines() or ["its process ended"])[-1][:200]}
    found = json.loads(answer.read_text(encoding="utf-8"))
    if "why" in found:
        return {"opened": False, "why": found["why"]}
    with torch.inference_mode():
        stored = expected_of(form, model, drops_inputs=False).stored.module
        expected = stored(input_ids=torch.tensor(IDS), use_cache=False).logits[:, -1].float().log_softmax(-1)
    apart = torch.tensor(found["logprobs"]) - expected
    same = found["texts"] == [model.tokenizer(text).input_ids for text in TEXTS]
    near = float(apart.square().mean().sqrt() / expected.square().mean().sqrt())
    return {"opened": True, "relative_difference": near, "same_tokens": same, "by": found["version"]}


def earlier() -> list[Case]:
    """What was found before: a reader whose interpreter is not given keeps its rows."""
    file = report.RESULTS / f"{NAME}.json"
    found: list[Case] = json.loads(file.read_text(encoding="utf-8"))["rows"] if file.exists() else []
    return found


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--xllamacpp", type=Path)
    parser.add_argument("--transformers", type=Path)
    given = parser.parse_args()
    interpreters = {"gguf": given.xllamacpp, "compressed-tensors": given.transformers}
    rows = [row for row in earlier() if interpreters[row["format"]] is None]
    with tempfile.TemporaryDirectory() as name:
        for case in cases():
            if interpreters[case["format"]] is None:
                continue
            model = compressed(case, Path(name))
            row = case | told(case, model)
            if "refused" not in row:
                form = FORMATS[case["format"]]()
                row |= opened(case, form, model, interpreters[case["format"]], Path(name))
            rows.append(row)
            print(row, flush=True)
            report.write(NAME, {"rows": rows})


if __name__ == "__main__":
    main()
