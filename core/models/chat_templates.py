"""The chat templates of a model's tokenizer: which there are, and their text. No torch, and nothing is rendered here.

They lie where transformers looks for them: under `chat_template` in tokenizer_config.json, as one text or as a list of
named ones; or in chat_template.jinja and additional_chat_templates/NAME.jinja, which take the place of the former.
chat_template.json, which processors write, counts where there is no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compresslab.errors import BadInput
from compresslab.files.reading import NotJson, read_json, read_text
from compresslab.models.own_files import TEMPLATES

DEFAULT = "default"
LARGEST, LARGEST_CONFIG = 2**20, 64 * 2**20  # bytes; a tokenizer's config lists its added tokens


@dataclass(frozen=True)
class ChatTemplates:
    """Name and text of each, the one that is used unless another is named first."""

    named: tuple[tuple[str, str], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.named)

    def text(self, name: str | None, model: str) -> str:
        """Of the template of that name, of the first for None. Raises BadInput where there is none."""
        if not self.named:
            raise BadInput("chat.no_template", name=model)
        found = dict(self.named).get(self.names[0] if name is None else name)
        if found is None:
            raise BadInput("chat.unknown_template", name=model, given=name, known=self.names)
        return found


def read_chat_templates(folder: Path) -> ChatTemplates:
    """Raises BadInput for a file of a template that can't be read."""
    found = (
        _in_files(folder) or _in_config(folder / "tokenizer_config.json") or _in_config(folder / "chat_template.json")
    )
    return ChatTemplates(tuple(sorted(found.items(), key=lambda one: (one[0] != DEFAULT, one[0]))))


def _in_files(folder: Path) -> dict[str, str]:
    files = {file.name.removesuffix(".jinja"): file for file in (folder / TEMPLATES).glob("*.jinja")}
    if (folder / "chat_template.jinja").is_file():
        files[DEFAULT] = folder / "chat_template.jinja"
    return {name: read_text(file, LARGEST) for name, file in files.items()}


def _in_config(file: Path) -> dict[str, str]:
    try:
        config = read_json(file, LARGEST_CONFIG)
    except (BadInput, NotJson):  # none there, or one that stops the tokenizer from being loaded, which says why
        return {}
    said: Any = config.get("chat_template") if isinstance(config, dict) else None
    if isinstance(said, str):
        return {DEFAULT: said}
    several = said if isinstance(said, list) else []
    pairs = ((one.get("name"), one.get("template")) for one in several if isinstance(one, dict))
    return {name: text for name, text in pairs if isinstance(name, str) and isinstance(text, str)}
