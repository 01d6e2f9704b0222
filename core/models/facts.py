"""What a checkpoint says of itself: layers, shapes and bytes, from config.json and the safetensors headers alone."""

from __future__ import annotations

import json
import re
import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from compresslab.errors import BadInput
from compresslab.models.anatomy import Anatomy, Heads, Task
from compresslab.models.families import anatomy
from compresslab.models.source import locate, read_config, weight_files
from compresslab.models.weights import Role, WeightPlan

BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
LARGEST_HEADER = 100 * 2**20  # bytes, the limit of the safetensors format
BLOCK = re.compile(r"(?:^|\.)(?:layers|h|layer|block)\.(\d+)\.")
BUFFER = re.compile(
    r"\.(attn|attention)\.(bias|masked_bias)$|\.rotary_emb\.inv_freq$|\.position_ids$"
)  # kept by old checkpoints


LEGACY_NORM = {".gamma": ".weight", ".beta": ".bias"}  # what the first BERT checkpoints call them


@dataclass(frozen=True)
class ModelFacts:
    name: str
    folder: Path
    family: str
    layers: int
    hidden_size: int
    vocab_size: int
    context_length: int
    tied: bool
    weights: tuple[WeightPlan, ...]  # under the names that the loaded model uses
    file_bytes: int
    anatomy: Anatomy
    heads: Heads
    mlp_width: int
    activation: str
    labels: tuple[str, ...] = ()  # of a classifier, in the order of its outputs

    @property
    def task(self) -> Task:
        return self.anatomy.task

    @property
    def parameters(self) -> int:
        return sum(w.count for w in self.weights)


def read_facts(name: str) -> ModelFacts:
    """Facts of a model that is on this machine; raises BadInput where it is not, or is damaged."""
    source = locate(name)
    if source.folder is None:
        raise BadInput("model.not_here", name=name)
    files = tuple((f, f.stat().st_mtime_ns) for f in weight_files(source.folder, name))
    return _facts(name, source.folder, files)


@lru_cache(maxsize=32)
def _facts(name: str, folder: Path, files: tuple[tuple[Path, int], ...]) -> ModelFacts:
    config = read_config(folder, name)
    parts = anatomy(config)
    keys = parts.keys
    writes = parts.task != "classification"  # a classifier's head is never the embedding, whatever its config says
    tied = writes and bool(config.get("tie_word_embeddings", parts.tied))
    depth = _size(config, name, keys.depth)
    weights = [w for file, _ in files for w in _read_header(file, parts, depth)]
    if tied:
        weights = [w for w in weights if w.role != "head"]
    shapes = {w.name: w.shape for w in weights}
    return ModelFacts(
        name=name,
        folder=folder,
        family=str(config["model_type"]),
        layers=depth + len({w.layer for w in weights if w.layer is not None and w.layer >= depth}),
        hidden_size=_size(config, name, keys.hidden),
        vocab_size=_size(config, name, "vocab_size"),
        context_length=_size(config, name, *keys.context, default=parts.context) - parts.unused_positions,
        tied=tied,
        weights=tuple(sorted(weights, key=lambda w: w.name)),
        file_bytes=sum(file.stat().st_size for file, _ in files),
        anatomy=parts,
        heads=_heads(parts, shapes, _size(config, name, keys.heads), name),
        mlp_width=_shape(shapes, parts.weight(0, parts.mlp.output), name)[1],
        activation=str(config.get(keys.activation or "", parts.activation)),
        labels=_labels(config, parts, shapes, name),
    )


def _labels(config: dict[str, Any], parts: Anatomy, shapes: dict[str, tuple[int, ...]], name: str) -> tuple[str, ...]:
    """The classes of a classifier, as config.json calls them."""
    if parts.task != "classification":
        return ()
    count = _shape(shapes, f"{parts.head}.weight", name)[0]
    if count < 2:
        raise BadInput("model.regression", name=name)
    names = config.get("id2label") or {}
    return tuple(str(names.get(str(n), f"LABEL_{n}")) for n in range(count))


def _heads(parts: Anatomy, shapes: dict[str, tuple[int, ...]], count: int, name: str) -> Heads:
    """Sizes from the shapes of the first block: configs leave out what is their family's default."""
    attention = parts.attention
    dim = _shape(shapes, parts.weight(0, attention.output), name)[1] // count
    last = _shape(shapes, parts.weight(0, attention.inputs[-1]), name)[0] // dim
    if attention.layout == "separate":
        return Heads(count, last, dim)
    return Heads(count, (last - count) // 2, dim)


def _shape(shapes: dict[str, tuple[int, ...]], weight: str, name: str) -> tuple[int, ...]:
    if len(shapes.get(weight, ())) != 2:
        raise BadInput("model.no_matrix", name=name, weight=weight)
    return shapes[weight]


def _size(config: dict[str, Any], name: str, *keys: str, default: int | None = None) -> int:
    for key in keys:
        if isinstance(config.get(key), int) and config[key] > 0:
            return int(config[key])
    if default is not None:
        return default
    raise BadInput("model.config_lacks", name=name, key=keys[0])


def _read_header(file: Path, parts: Anatomy, depth: int) -> list[WeightPlan]:
    with file.open("rb") as stream:
        start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 0 < length <= LARGEST_HEADER:
            raise BadInput("model.not_safetensors", file=file)
        try:
            header = json.loads(stream.read(length))
        except (json.JSONDecodeError, UnicodeDecodeError):
            raise BadInput("model.cut_off", file=file) from None
    end = max((entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"), default=0)
    if file.stat().st_size != 8 + length + end:
        raise BadInput("model.cut_off", file=file)
    entries = {model_name(key, parts): entry for key, entry in header.items() if key != "__metadata__"}
    kept = {key: entry for key, entry in entries.items() if not BUFFER.search(key) and key not in parts.copies}
    return [_weight(key, entry, parts, depth) for key, entry in kept.items()]


def model_name(key: str, parts: Anatomy) -> str:
    """The name in the loaded model of what a checkpoint calls so: old ones leave its beginning away."""
    for old, new in parts.renamed:
        if key.startswith(f"{old}."):
            key = new + key.removeprefix(old)
    for old, new in LEGACY_NORM.items():
        key = key.removesuffix(old) + new if key.endswith(old) else key
    outside = (parts.head, *parts.beside_head)
    known = not parts.root or key in outside or key.startswith(tuple(f"{p}." for p in (parts.root, *outside)))
    return key if known else f"{parts.root}.{key}"


def _weight(name: str, entry: dict[str, Any], parts: Anatomy, depth: int) -> WeightPlan:
    shape = tuple(entry["shape"])
    block = BLOCK.search(name)
    layer = int(block.group(1)) if block else None
    if layer is not None and parts.decoder and name.startswith(f"{parts.decoder}."):
        layer += depth  # of the encoder, which comes first
    role = _role(name, shape, layer, parts)
    if parts.conv1d and role == "linear":
        shape = shape[::-1]  # Conv1D stores [in, out]
    return WeightPlan(name, shape, entry["dtype"], role, layer)


def _role(name: str, shape: tuple[int, ...], layer: int | None, parts: Anatomy) -> Role:
    if len(shape) != 2 or name.endswith(parts.tables):
        return "other"
    if layer is not None:
        return "linear"
    roles: dict[str, Role] = {f"{parts.head}.weight": "head", f"{parts.embedding}.weight": "embedding"}
    return roles.get(name, "other")  # tables of positions, projections in and out of a narrow embedding
