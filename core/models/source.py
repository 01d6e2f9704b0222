"""Where a model comes from: the bundled one, a folder, a GGUF file, the Hub. Finds it, checks it, loads no weights."""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from compresslab.errors import BadInput, first_line
from compresslab.files.paths import BUNDLED_MODEL, user_path
from compresslab.files.reading import NotJson, read_json
from compresslab.messages import Message
from compresslab.models.families import FAMILIES, anatomy, titles
from compresslab.models.gguf import folder as gguf
from compresslab.models.gguf.header import is_gguf
from compresslab.models.own_files import TEMPLATES, check_file, check_files
from compresslab.models.unsupported import UNSUPPORTED

BUNDLED = "storyteller"
HUB_ID = re.compile(r"(?=.{1,96}\Z)[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
NOT_HUB_FILES = ["*/*", "consolidated*"]  # the same weights again, for other programs
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
CONFIGS = {"config.json", "generation_config.json"}
TOKENIZERS = {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"}
TOKENIZERS |= {"vocab.json", "vocab.txt", "merges.txt", "chat_template.jinja", "chat_template.json"}  # and *.model
Stamps = tuple[tuple[str, int, int], ...]  # name, bytes and time of change (nanoseconds) of every file that is read
MOST_HEADS = 3  # named by a config; there is one in nearly all
LONGEST_NAME = 250  # letters of a shard's; no disk takes many more
LARGEST_CONFIG, LARGEST_INDEX = 4 * 2**20, 64 * 2**20  # bytes
KINDS: dict[str, type] = {  # what is made use of here; of null each family has its default
    "model_type": str,
    "architectures": list,
    "id2label": dict,
    "quantization_config": dict,
    "rope_parameters": dict,
    "rope_scaling": dict,
}


@dataclass(frozen=True)
class ModelSource:
    """`name` is what the recipe says; `folder` is None while a Hub model is not on this machine yet."""

    name: str
    kind: Literal["bundled", "folder", "hub"]
    folder: Path | None


def locate(name: str) -> ModelSource:
    """Find a model without fetching it; raises BadInput for what can't be a model."""
    if name == BUNDLED:
        return ModelSource(name, "bundled", checked(BUNDLED_MODEL, name))
    folder = Path(name) if HUB_ID.fullmatch(name) and not Path(name).exists() else user_path(name)
    if folder.is_dir():
        return ModelSource(name, "folder", _of_folder(folder, name))
    if folder.is_file() and (folder.suffix == ".gguf" or is_gguf(folder)):
        return ModelSource(name, "folder", checked(gguf.checkpoint_folder(folder, name), name))
    if folder.is_file():
        raise BadInput("model.is_file", path=name)
    if not HUB_ID.fullmatch(name) or name.startswith((".", "/", "~")):
        raise BadInput("model.no_folder", path=name, bundled=BUNDLED)
    cached = _cached(name)
    return ModelSource(name, "hub", checked(cached, name) if cached else None)


def _of_folder(folder: Path, name: str) -> Path:
    """The folder itself, or what is made of the one GGUF file in it."""
    file = gguf.file_in(folder, name)
    if file is None:
        return checked(folder, name)
    check_file(file, folder, name)
    return checked(gguf.checkpoint_folder(file, name), name)


def _cached(name: str) -> Path | None:
    """The newest complete snapshot in the Hub's cache, looked up without the network."""
    revisions = sorted((_hub_folder(name) / "snapshots").glob("*"), key=_changed, reverse=True)
    return next((revision for revision in revisions if is_whole(revision, name)), None)


def _changed(place: Path) -> int:
    """When, in nanoseconds; long ago where it has gone in the meantime."""
    try:
        return place.stat().st_mtime_ns
    except OSError:
        return 0


def _hub_folder(name: str) -> Path:
    """Where the Hub's cache keeps a model. Scanning the whole cache instead would take long where it is large."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=name, repo_type="model")


def downloaded() -> list[str]:
    """Names of the models that the Hub's cache holds whole, the newest first."""
    from huggingface_hub import constants

    start = "models--"
    folders = sorted(Path(constants.HF_HUB_CACHE).glob(f"{start}*"), key=_changed, reverse=True)
    names = [folder.name.removeprefix(start).replace("--", "/") for folder in folders]
    return [name for name in names if HUB_ID.fullmatch(name) and _cached(name) is not None]


def is_whole(folder: Path, name: str) -> bool:
    """False for what a download that was cut off has left: it goes on when it is asked for again."""
    index = folder / INDEX
    if not index.is_file():
        return any(folder.glob("*.safetensors"))
    try:
        return all((folder / file).is_file() for file in _shards(index, name))
    except BadInput:
        return False


def checked(folder: Path, name: str) -> Path:
    """The folder itself, when it holds what is needed: config.json of a known family, and safetensors."""
    check_files(folder, name)
    config = read_config(folder, name)
    _check_kinds(config, name)
    try:
        _check_family(config, name)
        anatomy(config)
    except (TypeError, ValueError, OverflowError, AttributeError) as error:  # a value of another kind than families ask
        raise BadInput("model.config_unusable", folder=folder, reason=first_line(error)) from None
    if config.get("quantization_config"):
        raise BadInput("model.quantized", name=name)
    weight_files(folder, name)
    return folder


def _check_kinds(config: dict[str, Any], name: str) -> None:
    for key, kind in KINDS.items():
        value = config.get(key)
        if value is not None and not isinstance(value, kind):
            raise BadInput("model.config_value", name=name, key=key, given=value)


def _check_family(config: dict[str, Any], name: str) -> None:
    known = FAMILIES.get(str(config.get("model_type")))
    refusal = next((refusal for refusal in (known.refuses if known else UNSUPPORTED) if refusal.applies(config)), None)
    if refusal is not None:
        families = Message("model.families", families=titles())
        raise BadInput(refusal.code, name=name, family=config.get("model_type"), families=families)
    _check_head(config, name)


def _check_head(config: dict[str, Any], name: str) -> None:
    """The families that are no decoders come with heads for many purposes."""
    task = FAMILIES[str(config["model_type"])].anatomy.task
    heads = [head for head in config.get("architectures") or [] if isinstance(head, str)][:MOST_HEADS]
    if task == "classification" and not any(head.endswith("ForSequenceClassification") for head in heads):
        raise BadInput("model.no_head", name=name, heads=heads or [Message("model.no_architecture")])
    if task == "classification" and config.get("problem_type") in ("regression", "multi_label_classification"):
        raise BadInput("model.many_labels", name=name, kind=config["problem_type"])
    if task == "seq2seq" and not any(head.endswith(("ForConditionalGeneration", "LMHeadModel")) for head in heads):
        raise BadInput("model.no_lm_head", name=name, heads=heads or [Message("model.no_architecture")])


def stamps(folder: Path) -> Stamps:
    """Names the model in a folder as it is now: a file that was written again makes it another one.

    Whatever is kept of a model within a process is kept under this; what lies on disk, under `digest_beside_weights`.
    """
    found = []
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries]
    names += [f"{TEMPLATES}/{file.name}" for file in (folder / TEMPLATES).glob("*.jinja")]
    for name in names:
        if name == INDEX or name.endswith((".safetensors", ".gguf")) or _is_beside_weights(name):
            with suppress(OSError):  # it was taken away this moment, or is a link to nowhere
                status = (folder / name).stat()
                found.append((name, status.st_size, status.st_mtime_ns))
    return tuple(sorted(found))


@lru_cache(maxsize=32)
def digest_beside_weights(folder: Path, files: Stamps) -> str:
    """Sixteen hex digits over the contents of config, generation config and tokenizer, whatever the folder's name."""
    digest = hashlib.sha256()
    for name, size, _ in files:
        if _is_beside_weights(name):
            digest.update(f"{name} {size} ".encode() + (folder / name).read_bytes())
    return digest.hexdigest()[:16]


def _is_beside_weights(name: str) -> bool:
    return name in CONFIGS | TOKENIZERS or name.endswith(".model") or name.startswith(f"{TEMPLATES}/")


def weight_files(folder: Path, name: str) -> tuple[Path, ...]:
    """The safetensors files that make up the model, as transformers takes them, or the GGUF file that it comes from;
    others in the folder do not count."""
    if (folder / WEIGHTS).is_file():
        return (folder / WEIGHTS,)
    if (folder / INDEX).is_file():
        files = tuple(folder / file for file in _shards(folder / INDEX, name))
        missing = next((file.name for file in files if not file.is_file()), None)
        if missing:
            raise BadInput("model.shard_missing", name=name, file=missing)
        return files
    if (folder / gguf.WEIGHTS).is_file():
        return (folder / gguf.WEIGHTS,)
    if [*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.pth")]:
        raise BadInput("model.pickle", name=name)
    raise BadInput("model.no_weights", name=name, folder=folder, weights=WEIGHTS, index=INDEX)


def _shards(index: Path, name: str) -> list[str]:
    try:
        places = read_json(index, LARGEST_INDEX)
    except (NotJson, BadInput):
        places = None
    map_ = places.get("weight_map") if isinstance(places, dict) else None
    files = {str(file)[:LONGEST_NAME] for file in map_.values()} if isinstance(map_, dict) else set()
    if not files or not all(_is_name(file) for file in files):  # a shard lies beside its index, nowhere else
        raise BadInput("model.index_damaged", index=index.name, name=name)
    return sorted(files)


def _is_name(file: str) -> bool:
    """Of a file, in no folder."""
    return len(file) < LONGEST_NAME and "\x00" not in file and file not in ("", ".", "..") and Path(file).name == file


def read_config(folder: Path, name: str) -> dict[str, Any]:
    file = folder / "config.json"
    if not file.is_symlink() and not file.exists():
        raise BadInput("model.no_config", name=name, folder=folder)
    try:
        config = read_json(file, LARGEST_CONFIG)
    except NotJson:
        raise BadInput("model.config_not_json", name=name) from None
    if not isinstance(config, dict):
        raise BadInput("model.config_not_mapping", name=name)
    return config
