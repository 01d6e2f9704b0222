"""Which tables of tokens of a checkpoint are one and the same, as transformers 5 decides it.

config.json may say that the head is the embedding (tie_word_embeddings); so may be the embeddings of the two stacks of
an encoder-decoder. What no file holds is shared then, and so is what holds the same values; a table with values of its
own is kept, whatever the config says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compresslab.errors import BadInput
from compresslab.models.anatomy import Anatomy
from compresslab.models.safetensors_header import Entry

CHUNK = 2**22  # bytes that are compared at a time


@dataclass(frozen=True)
class Held:
    """A tensor, and the file that holds it."""

    file: Path
    entry: Entry


@dataclass(frozen=True)
class Tables:
    """The tensors of a checkpoint, shared ones once, under the embedding's name."""

    held: dict[str, Held]
    tied: bool  # the head is the embedding
    stand_ins: tuple[tuple[str, str], ...] = ()  # the embedding, and the table that holds it where no file names it


def resolve(held: Mapping[str, Held], parts: Anatomy, config: Mapping[str, Any], name: str) -> Tables:
    """Raises BadInput where a table is missing that the config says is not shared."""
    if parts.task == "classification":  # its head is never the embedding, whatever its config says
        return Tables(dict(held), tied=False)
    head, embedding = f"{parts.head}.weight", f"{parts.embedding}.weight"
    others = (*parts.copies, head)
    if not (parts.always_tied or config.get("tie_word_embeddings", parts.tied)):
        missing = next((table for table in others if embedding in held and table not in held), None)
        if missing is not None:
            raise BadInput("model.table_missing", name=name, weight=missing, embedding=embedding)
        return Tables(dict(held), tied=False)
    source = next((table for table in (embedding, *others) if table in held), embedding)
    kept = {table: tensor for table, tensor in held.items() if table == source or table not in others}
    kept |= {table: held[table] for table in others if _is_apart(held, table, source)}
    if source != embedding and source in kept:
        kept[embedding] = kept.pop(source)
    stand_ins = ((embedding, source),) if source != embedding else ()
    return Tables(kept, tied=head not in kept, stand_ins=stand_ins)


def _is_apart(held: Mapping[str, Held], table: str, source: str) -> bool:
    """Whether a file holds the table, with values that differ from the source's."""
    return table in held and table != source and not _equal(held[table], held[source])


def _equal(one: Held, other: Held) -> bool:
    """To the bit: read only where a file has both."""
    if (one.entry.dtype, one.entry.shape) != (other.entry.dtype, other.entry.shape):
        return False
    with one.file.open("rb") as first, other.file.open("rb") as second:
        for stream, tensor in ((first, one), (second, other)):
            stream.seek(8 + int.from_bytes(stream.read(8), "little") + tensor.entry.begin)
        left = one.entry.end - one.entry.begin
        while left > 0:
            size = min(CHUNK, left)
            if first.read(size) != second.read(size):
                return False
            left -= size
    return True
