"""Where a model comes from: the bundled one, a folder, or the Hub. Finds it, checks it, loads no weights."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from compresslab.errors import BadInput
from compresslab.files.paths import BUNDLED_MODEL, user_path
from compresslab.models.families import FAMILIES, titles

BUNDLED = "storyteller"
HUB_ID = re.compile(r"(?=.{1,96}\Z)[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "README.md", "LICENSE*", "LICENCE*", "NOTICE*"]
NOT_HUB_FILES = ["*/*", "consolidated*"]  # the same weights again, for other programs
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts", "moe_intermediate_size")
SENSES = ("vision_config", "audio_config", "text_config", "thinker_config")


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
        return ModelSource(name, "folder", checked(folder, name))
    if folder.is_file():
        raise BadInput(f"{name} is a file; give the folder that holds config.json and the safetensors weights.")
    if not HUB_ID.fullmatch(name) or name.startswith((".", "/", "~")):
        raise BadInput(
            f"There is no folder {name}; give {BUNDLED!r}, an existing folder, or a Hub id such as owner/name."
        )
    cached = _cached(name)
    return ModelSource(name, "hub", checked(cached, name) if cached else None)


def _cached(name: str) -> Path | None:
    """The newest complete snapshot in the Hub's cache, looked up without the network."""
    revisions = sorted((_hub_folder(name) / "snapshots").glob("*"), key=lambda v: v.stat().st_mtime_ns, reverse=True)
    return next((revision for revision in revisions if is_whole(revision, name)), None)


def _hub_folder(name: str) -> Path:
    """Where the Hub's cache keeps a model. Scanning the whole cache instead would take long where it is large."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=name, repo_type="model")


def downloaded() -> list[str]:
    """Names of the models that the Hub's cache holds whole, the newest first."""
    from huggingface_hub import constants

    start = "models--"
    folders = sorted(Path(constants.HF_HUB_CACHE).glob(f"{start}*"), key=lambda f: f.stat().st_mtime_ns, reverse=True)
    names = [folder.name.removeprefix(start).replace("--", "/") for folder in folders]
    return [name for name in names if HUB_ID.fullmatch(name) and _cached(name) is not None]


def is_whole(folder: Path, name: str) -> bool:
    """False for what a download that was cut off has left: it goes on when it is asked for again."""
    index = folder / INDEX
    if not index.is_file():
        return any(folder.glob("*.safetensors"))
    return all((folder / file).is_file() for file in _shards(index, name))


def checked(folder: Path, name: str) -> Path:
    """The folder itself, when it holds what is needed: config.json of a known family, and safetensors."""
    config = read_config(folder, name)
    _check_family(config, name)
    if "quantization_config" in config:
        raise BadInput(f"{name} is quantized already; give the full-precision checkpoint that it was made from.")
    weight_files(folder, name)
    return folder


def _check_family(config: dict[str, Any], name: str) -> None:
    family = config.get("model_type")
    if family in FAMILIES:
        if config.get("use_bidirectional_attention"):
            raise BadInput(
                f"{name} reads in both directions and writes no text; take a model that predicts the next word."
            )
        _check_head(config, name)
        return
    known = f"these families are supported: {titles()}."
    if any(config.get(key) for key in EXPERTS):
        raise BadInput(
            f"{name} is a mixture of experts ({family!r}), which is not supported; take a dense model: {known}"
        )
    if any(isinstance(config.get(key), dict) for key in SENSES):
        raise BadInput(f"{name} is a multimodal model ({family!r}), which is not supported; take a text model: {known}")
    raise BadInput(f"{name} is a {family!r} model; {known}")


def _check_head(config: dict[str, Any], name: str) -> None:
    """The families that are no decoders come with heads for many purposes."""
    task = FAMILIES[str(config["model_type"])].anatomy.task
    heads = [str(head) for head in config.get("architectures") or []]
    if task == "classification" and not any(head.endswith("ForSequenceClassification") for head in heads):
        raise BadInput(
            f"{name} is an encoder without a classification head ({', '.join(heads) or 'no architecture named'}); take "
            "a model that was fine-tuned to classify texts."
        )
    if task == "classification" and config.get("problem_type") in ("regression", "multi_label_classification"):
        raise BadInput(f"{name} is made for {config['problem_type']}; take a classifier that names one class a text.")
    if task == "seq2seq" and not any(head.endswith(("ForConditionalGeneration", "LMHeadModel")) for head in heads):
        raise BadInput(
            f"{name} is an encoder-decoder without a language model's head ({', '.join(heads) or 'none named'}); take "
            "one that writes text."
        )


def weight_files(folder: Path, name: str) -> tuple[Path, ...]:
    """The safetensors files that make up the model, as transformers takes them; others in the folder do not count."""
    if (folder / WEIGHTS).is_file():
        return (folder / WEIGHTS,)
    if (folder / INDEX).is_file():
        files = tuple(folder / file for file in _shards(folder / INDEX, name))
        missing = next((file.name for file in files if not file.is_file()), None)
        if missing:
            raise BadInput(f"{name} has no {missing}, which its index names; fetch the checkpoint again.")
        return files
    if [*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.pth")]:
        raise BadInput(f"{name} has pickle weights only, which can run code; convert them to safetensors first.")
    raise BadInput(f"{name} has no safetensors weights in {folder}: neither {WEIGHTS} nor {INDEX}.")


def _shards(index: Path, name: str) -> list[str]:
    try:
        files = {str(file) for file in json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()}
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        files = set()
    if not files or any(Path(file).name != file for file in files):  # a shard lies beside its index, nowhere else
        raise BadInput(f"{index.name} of {name} is damaged; fetch the checkpoint again.")
    return sorted(files)


def read_config(folder: Path, name: str) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(
            f"{name} has no config.json in {folder}; give the folder of a Hugging Face checkpoint."
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise BadInput(f"config.json of {name} is not valid JSON; fetch the checkpoint again.") from None
    if not isinstance(config, dict):
        raise BadInput(f"config.json of {name} is not a mapping; fetch the checkpoint again.")
    return config
