"""A GGUF file as a checkpoint folder: config and tokenizer in the words of transformers, the weights where they are.

What stands in the file's header is written out once, in the user's data folder, beside a link to the file; whoever
reads folders reads it like any other. The weights are read from the file itself.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from compresslab.errors import BadInput, reason
from compresslab.files.atomic import new_folder
from compresslab.files.paths import home
from compresslab.files.version import version
from compresslab.messages import Message
from compresslab.models.families import FAMILIES, titles
from compresslab.models.family import Family
from compresslab.models.gguf.header import Header, Tensor, read_header
from compresslab.models.gguf.metadata import config_values
from compresslab.models.gguf.rotation import FACTORS, stretching
from compresslab.models.gguf.tensors import model_name
from compresslab.models.gguf.tokenizer import ends, token_id, tokenizer_config, tokenizer_json

WEIGHTS = "model.gguf"  # the link
FORM = 1  # of what is written here: what an older one wrote is written again
PROJECTOR = "mmproj*"  # files that turn pictures and sounds into what a language model reads
ROPES = ("none", "linear")
SIZES = ("context_length", "embedding_length", "block_count", "feed_forward_length", "attention.head_count")


def checkpoint_folder(file: Path, name: str) -> Path:
    """Made where it is not there yet for the file as it is now. Raises BadInput for a file that is no model here."""
    try:
        whole = file.resolve()
        status = whole.stat()
    except (OSError, RuntimeError) as error:
        why = reason(error) if isinstance(error, OSError) else str(error)
        raise BadInput("text.unreadable", path=file, reason=why) from None
    about = (str(whole), status.st_size, status.st_mtime_ns, FORM, version())
    folder = home() / "gguf" / hashlib.sha256(repr(about).encode()).hexdigest()[:16]
    if not (folder / WEIGHTS).exists():
        _write(whole, folder, name)
    return folder


def file_in(folder: Path, name: str) -> Path | None:
    """The GGUF file of a folder that holds no other weights; None where there is none. Raises BadInput for several."""
    files = [file for file in sorted(folder.glob("*.gguf")) if not file.match(PROJECTOR)]
    if not files or any(folder.glob("*.safetensors")):
        return None
    if len(files) > 1:
        _refuse_parts(read_header(files[0]), name)
        raise BadInput("gguf_in.several", name=name, files=[file.name for file in files])
    return files[0]


def family_of(header: Header, name: str) -> Family:
    """Raises BadInput for what is no language model of a family that is known here."""
    _refuse_parts(header, name)
    architecture = str(header.values.get("general.architecture"))
    kind = header.values.get("general.type", "model")
    if kind == "adapter":
        raise BadInput("gguf_in.adapter", name=name)
    if kind == "mmproj" or architecture == "clip":
        raise BadInput("gguf_in.projector", name=name)
    if header.values.get(f"{architecture}.expert_count"):
        families = Message("model.families", families=titles())
        raise BadInput("model.experts", name=name, family=architecture, families=families)
    known = [family for family in FAMILIES.values() if family.gguf]
    found = next((family for family in known if family.gguf and family.gguf.architecture == architecture), None)
    if found is None:
        raise BadInput("gguf_in.architecture", name=name, family=architecture, families=[f.title for f in known])
    return found


def weights_of(file: Path, family: Family, name: str) -> dict[str, Tensor]:
    """The tensors of the model under transformers' names, [out, in] for matrices. Raises BadInput."""
    found = {}
    for key, tensor in read_header(file).tensors.items():
        weight = model_name(key, family)
        if weight is not None:
            found[weight] = tensor
        elif key != FACTORS:
            raise BadInput("gguf_in.tensor", name=name, weight=key, family=family.title)
    return found


# -- inside --------------------------------------------------------------------------------


def _refuse_parts(header: Header, name: str) -> None:
    parts = header.values.get("split.count", 1)
    if type(parts) is int and parts > 1:
        raise BadInput("gguf_in.split_file", name=name, count=parts)


def _write(file: Path, folder: Path, name: str) -> None:
    written = _written(file, name)
    try:
        with new_folder(folder) as part:
            for entry, values in written.items():
                (part / entry).write_text(json.dumps(values, ensure_ascii=False) + "\n", encoding="utf-8")
            (part / WEIGHTS).symlink_to(file)
    except OSError as error:
        raise BadInput("home.not_made", folder=folder, reason=reason(error)) from None


def _written(file: Path, name: str) -> dict[str, dict[str, Any]]:
    """What the files of the folder hold. Raises BadInput."""
    header = read_header(file)
    family = family_of(header, name)
    config = _config(header, family, file, name)
    edges = {key: config[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")}
    context = config[family.anatomy.keys.context[0]]
    return {
        "config.json": config,
        "generation_config.json": {key: value for key, value in edges.items() if value is not None},
        "tokenizer.json": tokenizer_json(header.values, name),
        "tokenizer_config.json": tokenizer_config(header.values, context, name),
    }


def _config(header: Header, family: Family, file: Path, name: str) -> dict[str, Any]:
    """config.json. Raises BadInput for what it lacks, and for what a model of the family can't do."""
    architecture = header.values["general.architecture"]
    start = f"{architecture}."
    own = {key.removeprefix(start): value for key, value in header.values.items() if key.startswith(start)}
    for key in SIZES:
        if type(own.get(key)) is not int or not 0 < own[key] < 2**31:
            raise BadInput("gguf_in.value", name=name, key=start + key, given=own.get(key))
    kind = own.get("rope.scaling.type", "none")
    if kind not in ROPES:
        raise BadInput("gguf_in.positions", name=name, kind=str(kind))
    shapes = {key: tensor.shape for key, tensor in header.tensors.items()}
    embedding = shapes.get("token_embd.weight", ())
    if len(embedding) != 2:
        raise BadInput("gguf_in.no_tensor", name=name, weight="token_embd.weight")
    try:
        values = config_values(family, own, shapes)
    except (KeyError, TypeError, ValueError, ArithmeticError):
        raise BadInput("gguf_in.value", name=name, key=f"{start}rope", given="") from None
    if FACTORS in header.tensors:
        values["rope_parameters"] |= stretching(file, header.tensors[FACTORS], values["rope_parameters"], name)
    stops = ends(header.values, name)
    return {
        "model_type": family.model_type,
        **values,
        "bos_token_id": token_id(header.values, "bos", name),
        "eos_token_id": stops if len(stops) > 1 else next(iter(stops), None),
        "pad_token_id": token_id(header.values, "padding", name),
    }
