"""Model families: what is supported, and which exports are written for it."""

from __future__ import annotations

from compresslab.models.families import FAMILIES
from compresslab.models.family import Family

from scripts.docs.markdown import code, page, table

ABOUT = """
A model belongs to the family that `model_type` in its config.json names. All methods work on every family, as far as
its task and its layers allow; a refusal names what is missing before anything runs. A family is one file in
`core/models/families`, or in another package, under the entry point group `compresslab.families`."""
TASKS = {"causal": "causal language model", "classification": "classifier", "seq2seq": "encoder-decoder"}


def families() -> str:
    columns = ("Family", "`model_type`", "Task", "GGUF", "ONNX graph")
    return page("Model families", ABOUT, table(columns, map(_row, FAMILIES.values())))


def _row(family: Family) -> tuple[str, ...]:
    also = f" (also {', '.join(family.also)})" if family.also else ""
    gguf = code(family.gguf.architecture) if family.gguf else "no"
    task = TASKS[family.anatomy.task]
    return f"{family.title}{also}", code(family.model_type), task, gguf, "yes" if family.graph else "no"
