"""How a model writes by itself: what `model.generate` of transformers knows of a folder. No torch.

generation_config.json says it; where there is none, config.json does, and nothing else: not the defaults of the
config's class, not the tokenizer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from compresslab.errors import BadInput
from compresslab.files.reading import NotJson, parse_json, read_text

FILE = "generation_config.json"
LARGEST = 4 * 2**20  # bytes
# Tokens with which a text begins, ends, or is filled up.
EDGES = (
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "decoder_start_token_id",
    "forced_bos_token_id",
    "forced_eos_token_id",
)
# What a text may not hold, and where else it may end or may not end yet.
LIMITS = (
    "suppress_tokens",
    "begin_suppress_tokens",
    "bad_words_ids",
    "min_length",
    "min_new_tokens",
    "stop_strings",
)
# How the next token is chosen.
HABITS = (
    "do_sample",
    "num_beams",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "typical_p",
    "epsilon_cutoff",
    "eta_cutoff",
    "repetition_penalty",
    "encoder_repetition_penalty",
    "no_repeat_ngram_size",
    "encoder_no_repeat_ngram_size",
    "length_penalty",
    "early_stopping",
)


@dataclass(frozen=True)
class GenerationDefaults:
    """What `text`, a JSON object, says: generation_config.json as it is, or as transformers makes it of config.json."""

    text: str = "{}"

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """All tokens at which a text ends."""
        return _tokens(self._values.get("eos_token_id"))

    @property
    def padding(self) -> int | None:
        """What fills up texts that are shorter than others."""
        return self._first("pad_token_id")

    @property
    def decoder_start(self) -> int | None:
        """What the answer of an encoder-decoder begins with."""
        return self._first("decoder_start_token_id", "bos_token_id")

    def edges(self) -> dict[str, Any]:
        """Under transformers' names: tokens with which a text begins, ends, or is filled up."""
        return {
            "eos_token_id": list(self.ends) or None,
            "pad_token_id": self._first("pad_token_id", "eos_token_id"),
            "bos_token_id": self._first("bos_token_id"),
            "decoder_start_token_id": self.decoder_start,
            "forced_bos_token_id": self._first("forced_bos_token_id"),
            "forced_eos_token_id": list(_tokens(self._values.get("forced_eos_token_id"))) or None,
        }

    def limits(self) -> dict[str, Any]:
        """Under transformers' names: what a text may not hold, and where else it may end or may not end yet."""
        return self._said(LIMITS)

    def habits(self) -> dict[str, Any]:
        """Under transformers' names: how the model's makers would have the next token chosen."""
        return self._said(HABITS)

    def write(self, folder: Path) -> None:
        """For transformers, as it was read."""
        (folder / FILE).write_text(self.text, encoding="utf-8")

    def _first(self, *names: str) -> int | None:
        return next((token for name in names for token in _tokens(self._values.get(name))), None)

    def _said(self, names: Iterable[str]) -> dict[str, Any]:
        return {name: self._values[name] for name in names if self._values.get(name) is not None}

    @cached_property
    def _values(self) -> dict[str, Any]:
        values: dict[str, Any] = json.loads(self.text)
        return values


def read_generation_defaults(folder: Path, config: Mapping[str, Any], name: str) -> GenerationDefaults:
    """Of the folder whose config.json is given. Raises BadInput for a file that makes no sense."""
    file = folder / FILE
    if not file.is_symlink() and not file.exists():
        said = {key: config[key] for key in (*EDGES, *LIMITS, *HABITS) if config.get(key) is not None}
        _check(said, "config.json", name)
        return GenerationDefaults(json.dumps({"_from_model_config": True, **said}, indent=2) + "\n")
    try:
        text = read_text(file, LARGEST)
        values = parse_json(text)
    except (BadInput, NotJson):
        raise BadInput("model.generation_not_json", file=FILE, name=name) from None
    if not isinstance(values, dict):
        raise BadInput("model.generation_not_json", file=FILE, name=name)
    _check(values, FILE, name)
    return GenerationDefaults(text)


def _check(values: Mapping[str, Any], file: str, name: str) -> None:
    """Raises BadInput for what should be tokens and is not."""
    for key in EDGES:
        value = values.get(key)
        several = value if isinstance(value, list) else [value]
        if value is not None and not all(type(token) is int for token in several):
            raise BadInput("model.generation_token", file=file, name=name, key=key, value=json.dumps(value))


def _tokens(value: Any) -> tuple[int, ...]:
    """One token or several, in their order; a negative one stands for none, as in many a config."""
    several = value if isinstance(value, list) else [] if value is None else [value]
    return tuple(dict.fromkeys(token for token in several if token >= 0))
