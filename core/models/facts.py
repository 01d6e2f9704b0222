"""What a checkpoint says of itself: layers, shapes and bytes, from config.json and the safetensors headers alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

from compresslab.errors import BadInput
from compresslab.models.anatomy import Anatomy, Heads, Task
from compresslab.models.chat_templates import ChatTemplates, read_chat_templates
from compresslab.models.families import FAMILIES, anatomy
from compresslab.models.generation_defaults import GenerationDefaults, read_generation_defaults
from compresslab.models.gguf.folder import WEIGHTS as GGUF
from compresslab.models.gguf.folder import weights_of
from compresslab.models.packed_layout import file_bytes
from compresslab.models.safetensors_header import Entry, read_header
from compresslab.models.shared_tables import Held, resolve
from compresslab.models.source import (
    Stamps,
    digest_beside_weights,
    locate,
    read_config,
    stamps,
    weight_files,
)
from compresslab.models.weights import Role, WeightPlan

KEPT_AS = {"F64": "F32", "F32": "F32", "F16": "F16", "BF16": "BF16"}  # float64 holds no more than training left in it
DEQUANTIZED = "F16"  # what a block of a GGUF file comes to: its scale is a float16, and its codes have few bits
NO_WEIGHTS = ("I64", "U64", "I32", "U32", "I16", "U16", "I8", "U8", "BOOL")  # counters, masks and tables
MOST_OF_A_SIZE, LONGEST_WORD = 2**31, 80
BLOCK = re.compile(r"(?:^|\.)(?:layers|h|layer|block)\.(\d{1,6})\.")
BUFFER = re.compile(
    r"\.(attn|attention)\.(bias|masked_bias)$|\.rotary_emb\.\w+$|\.position_ids$"
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
    tied: bool  # the head is the embedding
    weights: tuple[WeightPlan, ...]  # under the names that the loaded model uses
    file_bytes: int
    anatomy: Anatomy
    heads: Heads
    mlp_width: int
    activation: str
    labels: tuple[str, ...] = ()  # of a classifier, in the order of its outputs
    left_out: tuple[str, ...] = ()  # tensors of the files that the model has no place for
    generation: GenerationDefaults = field(default_factory=GenerationDefaults)
    chat: ChatTemplates = field(default_factory=ChatTemplates)  # of a causal model's tokenizer
    stand_ins: tuple[tuple[str, str], ...] = ()  # a weight that no file holds, and the one with its values
    types: tuple[tuple[str, int], ...] = ()  # of a GGUF file, and how many weights of matrices are kept in each
    stamps: Stamps = ()  # of the files that all this was read from

    @property
    def identity(self) -> tuple[str, Stamps]:
        """Names the checkpoint as it is now, for whatever a process keeps of it."""
        return str(self.folder), self.stamps

    @property
    def digest(self) -> str:
        """Sixteen hex digits over config, generation config and tokenizer: what the weights do not say."""
        return digest_beside_weights(self.folder, self.stamps)

    @property
    def rounded_to(self) -> tuple[str, ...]:
        """The types of blocks that the baseline itself was rounded to, the most used first: of a GGUF file alone."""
        return tuple(kind for kind, _ in self.types if kind not in KEPT_AS)

    @property
    def baseline_bytes(self) -> int:
        """Before compression: the GGUF file as people have it; else the weights laid out as those of a run are."""
        return self.file_bytes if self.types else file_bytes(self.weights)

    def held_as(self, name: str) -> str:
        """The weight under whose name the files hold this one's values."""
        return dict(self.stand_ins).get(name, name)

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
    return _facts(name, source.folder, stamps(source.folder))


@lru_cache(maxsize=32)
def _facts(name: str, folder: Path, as_of: Stamps) -> ModelFacts:
    config, files = read_config(folder, name), weight_files(folder, name)
    parts = anatomy(config)
    keys = parts.keys
    depth = _size(config, name, keys.depth)
    held, left_out = _held(files, config, parts, depth, name)
    tables = resolve(held, parts, config, name)
    weights = [_weight(full, tensor.entry, parts, depth) for full, tensor in tables.held.items()]
    shapes = {w.name: w.shape for w in weights}
    _check_sizes(config, parts, shapes, depth, name)
    return ModelFacts(
        name=name,
        folder=folder,
        family=str(config["model_type"]),
        layers=depth + len({w.layer for w in weights if w.layer is not None and w.layer >= depth}),
        hidden_size=_size(config, name, keys.hidden),
        vocab_size=_size(config, name, "vocab_size"),
        context_length=_context(config, parts, name),
        tied=tables.tied,
        weights=tuple(sorted(weights, key=lambda w: w.name)),
        file_bytes=sum(file.stat().st_size for file in files),
        anatomy=parts,
        heads=_heads(parts, shapes, _size(config, name, keys.heads), name),
        mlp_width=_shape(shapes, parts.weight(0, parts.mlp.output), name)[1],
        activation=str(config.get(keys.activation or "") or parts.activation)[:LONGEST_WORD],
        labels=_labels(config, parts, shapes, name),
        left_out=left_out,
        generation=read_generation_defaults(folder, config, name),
        chat=read_chat_templates(folder) if parts.task == "causal" else ChatTemplates(),
        stand_ins=tables.stand_ins,
        types=_types(tables.held) if files[0].name == GGUF else (),
        stamps=as_of,
    )


def _check_sizes(
    config: dict[str, Any], parts: Anatomy, shapes: dict[str, tuple[int, ...]], depth: int, name: str
) -> None:
    """Before a model is built by its config: that takes as much memory as the config says, whatever the files hold."""
    for layer in range(depth):
        _shape(shapes, parts.weight(layer, parts.mlp.output), name)
    keys, written, width = parts.keys, parts.weight(0, parts.attention.output), parts.weight(0, parts.mlp.output)
    found = [("vocab_size", f"{parts.embedding}.weight", 0), (keys.hidden, written, 0), (keys.mlp_width, width, 1)]
    for key, weight, dimension in found:
        said, real = config.get(str(key)), _shape(shapes, weight, name)[dimension]
        if type(said) is int and said != real:
            raise BadInput("model.size_misfit", name=name, key=key, said=said, weight=weight, real=real)


def without(facts: ModelFacts, names: Collection[str]) -> ModelFacts:
    """The facts of a model that, as it turns out when it is built, has no place for some tensors of its files."""
    kept = tuple(weight for weight in facts.weights if weight.name not in names)
    layers = 1 + max(weight.layer for weight in kept if weight.layer is not None)
    return replace(facts, weights=kept, layers=layers, left_out=(*facts.left_out, *sorted(names)))


def _labels(config: dict[str, Any], parts: Anatomy, shapes: dict[str, tuple[int, ...]], name: str) -> tuple[str, ...]:
    """The classes of a classifier, as config.json calls them."""
    if parts.task != "classification":
        return ()
    count = _shape(shapes, f"{parts.head}.weight", name)[0]
    if count < 2:
        raise BadInput("model.regression", name=name)
    named = config.get("id2label") or {}
    labels = (named.get(str(n)) for n in range(count))
    return tuple(label if isinstance(label, str) else f"LABEL_{n}" for n, label in enumerate(labels))


def _heads(parts: Anatomy, shapes: dict[str, tuple[int, ...]], count: int, name: str) -> Heads:
    """Sizes from the shapes of the first block: configs leave out what is their family's default."""
    attention = parts.attention
    width = _shape(shapes, parts.weight(0, attention.output), name)[1]
    dim = max(1, width // count)
    last = _shape(shapes, parts.weight(0, attention.inputs[-1]), name)[0] // dim
    heads = Heads(count, last if attention.layout == "separate" else (last - count) // 2, dim)
    if dim * count != width or heads.kv_count < 1:
        raise BadInput("model.heads_misfit", name=name, key=parts.keys.heads, count=count, width=width)
    return heads


def _shape(shapes: dict[str, tuple[int, ...]], weight: str, name: str) -> tuple[int, ...]:
    if len(shapes.get(weight, ())) != 2 or 0 in shapes[weight]:
        raise BadInput("model.no_matrix", name=name, weight=weight)
    return shapes[weight]


def _context(config: dict[str, Any], parts: Anatomy, name: str) -> int:
    """In tokens; a model that reads fewer than two can't be asked for a next one."""
    found = _size(config, name, *parts.keys.context, default=parts.context) - parts.unused_positions
    if found < 2:
        raise BadInput("model.config_value", name=name, key=parts.keys.context[0], given=found + parts.unused_positions)
    return found


def _size(config: dict[str, Any], name: str, *keys: str, default: int | None = None) -> int:
    for key in keys:
        value = config.get(key)
        if type(value) is int and 0 < value < MOST_OF_A_SIZE:
            return value
    if default is not None:
        return default
    raise BadInput("model.config_lacks", name=name, key=keys[0])


def _held(
    files: Iterable[Path], config: dict[str, Any], parts: Anatomy, depth: int, name: str
) -> tuple[dict[str, Held], tuple[str, ...]]:
    """What the files hold of the model, by name, and the names of what else they hold. Raises BadInput."""
    found = {key: Held(file, entry) for file in files for key, entry in _entries(file, config, parts, name).items()}
    rooted = any(key.startswith(f"{parts.root}.") for key in found)
    held, left_out = {}, []
    for key, tensor in found.items():
        full, dtype = model_name(key, parts), tensor.entry.dtype
        if BUFFER.search(full):
            continue
        strange = rooted and full == f"{parts.root}.{key}"  # no old name: others of the file have their beginning
        if strange or _is_beyond(full, parts, depth) or dtype in NO_WEIGHTS:
            left_out.append(key)
        elif dtype not in KEPT_AS and tensor.file.name != GGUF:
            raise BadInput("model.dtype", name=name, weight=key, dtype=dtype)
        else:
            held[full] = tensor
    return held, tuple(sorted(left_out))


def _entries(file: Path, config: dict[str, Any], parts: Anatomy, name: str) -> dict[str, Entry]:
    """The tensors of one file, in the shapes that a checkpoint of the family has."""
    if file.name != GGUF:
        return read_header(file).tensors
    found = weights_of(file, FAMILIES[str(config["model_type"])], name)
    turned = {key for key, tensor in found.items() if parts.conv1d and len(tensor.shape) == 2 and BLOCK.search(key)}
    return {
        key: Entry(tensor.kind, tensor.shape[::-1] if key in turned else tensor.shape, tensor.begin, tensor.end)
        for key, tensor in found.items()
    }


def _types(held: dict[str, Held]) -> tuple[tuple[str, int], ...]:
    counts: Counter[str] = Counter()
    for tensor in held.values():
        if len(tensor.entry.shape) > 1:
            counts[tensor.entry.dtype] += prod(tensor.entry.shape)
    return tuple(counts.most_common())


def _is_beyond(name: str, parts: Anatomy, depth: int) -> bool:
    """Whether a tensor is of a block that the config does not count."""
    block = BLOCK.search(name)
    return name.startswith(f"{parts.blocks}.") and block is not None and int(block.group(1)) >= depth


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


def _weight(name: str, entry: Entry, parts: Anatomy, depth: int) -> WeightPlan:
    shape = entry.shape
    block = BLOCK.search(name)
    layer = int(block.group(1)) if block else None
    if layer is not None and parts.decoder and name.startswith(f"{parts.decoder}."):
        layer += depth  # of the encoder, which comes first
    role = _role(name, shape, layer, parts)
    if parts.conv1d and role == "linear":
        shape = shape[::-1]  # Conv1D stores [in, out]
    return WeightPlan(name, shape, KEPT_AS.get(entry.dtype, DEQUANTIZED), role, layer)


def _role(name: str, shape: tuple[int, ...], layer: int | None, parts: Anatomy) -> Role:
    if len(shape) != 2 or name.endswith(parts.tables):
        return "other"
    if layer is not None:
        return "linear"
    tables: dict[str, Role] = dict.fromkeys((f"{parts.embedding}.weight", *parts.copies), "embedding")
    return (tables | {f"{parts.head}.weight": "head"}).get(name, "other")  # others: positions, and projections
