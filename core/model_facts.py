"""What a checkpoint says of itself: layers, shapes and bytes, from config.json and the safetensors headers alone."""

from __future__ import annotations

import json
import re
import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from core.errors import BadInput
from core.model_source import locate, read_config
from core.weights import Role, WeightPlan

BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
LARGEST_HEADER = 100 * 2**20  # bytes, the limit of the safetensors format
BLOCK = re.compile(r"(?:^|\.)(?:layers|h)\.(\d+)\.")
CONV1D = re.compile(r"\.(attn\.c_attn|attn\.c_proj|mlp\.c_fc|mlp\.c_proj)\.weight$")
BUFFER = re.compile(r"\.attn\.(bias|masked_bias)$|\.rotary_emb\.inv_freq$")  # kept by old checkpoints, not weights


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

    @property
    def parameters(self) -> int:
        return sum(w.count for w in self.weights)


def read_facts(name: str) -> ModelFacts:
    """Facts of a model that is on this machine; raises BadInput where it is not, or is damaged."""
    source = locate(name)
    if source.folder is None:
        raise BadInput(f"{name} is not on this machine yet; it is downloaded when a run with it starts.")
    files = tuple(sorted((f, f.stat().st_mtime_ns) for f in source.folder.glob("*.safetensors")))
    return _facts(name, source.folder, files)


@lru_cache(maxsize=32)
def _facts(name: str, folder: Path, files: tuple[tuple[Path, int], ...]) -> ModelFacts:
    config = read_config(folder, name)
    family = str(config["model_type"])
    tied = bool(config.get("tie_word_embeddings", family == "gpt2"))
    weights = [w for file, _ in files for w in _read_header(file, family)]
    if tied:
        weights = [w for w in weights if w.role != "head"]
    return ModelFacts(
        name=name,
        folder=folder,
        family=family,
        layers=_size(config, name, "num_hidden_layers", "n_layer"),
        hidden_size=_size(config, name, "hidden_size", "n_embd"),
        vocab_size=_size(config, name, "vocab_size"),
        context_length=_size(config, name, "max_position_embeddings", "n_positions"),
        tied=tied,
        weights=tuple(sorted(weights, key=lambda w: w.name)),
        file_bytes=sum(file.stat().st_size for file, _ in files),
    )


def _size(config: dict[str, Any], name: str, *keys: str) -> int:
    for key in keys:
        if isinstance(config.get(key), int) and config[key] > 0:
            return int(config[key])
    raise BadInput(f"config.json of {name} does not say {keys[0]}; the checkpoint is not complete.")


def _read_header(file: Path, family: str) -> list[WeightPlan]:
    with file.open("rb") as stream:
        start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 0 < length <= LARGEST_HEADER:
            raise BadInput(f"{file} is not a safetensors file; fetch the checkpoint again.")
        try:
            header = json.loads(stream.read(length))
        except (json.JSONDecodeError, UnicodeDecodeError):
            raise BadInput(f"{file} is cut off or damaged; fetch the checkpoint again.") from None
    end = max((entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"), default=0)
    if file.stat().st_size != 8 + length + end:
        raise BadInput(f"{file} is cut off or damaged; fetch the checkpoint again.")
    entries = {model_name(key, family): entry for key, entry in header.items() if key != "__metadata__"}
    return [_weight(key, entry, family) for key, entry in entries.items() if not BUFFER.search(key)]


def model_name(key: str, family: str) -> str:
    """The name in the loaded model: old GPT-2 checkpoints leave the leading 'transformer.' away."""
    if family == "gpt2" and not key.startswith(("transformer.", "lm_head.")):
        return "transformer." + key
    return key


def _weight(name: str, entry: dict[str, Any], family: str) -> WeightPlan:
    shape = tuple(entry["shape"])
    if family == "gpt2" and CONV1D.search(name):
        shape = shape[::-1]  # Conv1D stores [in, out]
    block = BLOCK.search(name)
    layer = int(block.group(1)) if block else None
    return WeightPlan(name, shape, entry["dtype"], _role(name, shape, layer), layer)


def _role(name: str, shape: tuple[int, ...], layer: int | None) -> Role:
    if len(shape) != 2 or name.endswith("wpe.weight"):
        return "other"
    if layer is not None:
        return "linear"
    return "head" if name.startswith("lm_head") else "embedding"
