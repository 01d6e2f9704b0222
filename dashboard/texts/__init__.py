"""Every word the user reads, one file a language. The English of settings comes from their fields, where it is declared."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from compresslab.messages import Message
from compresslab.recipes.method import METHODS
from compresslab.recipes.metric import METRICS
from compresslab.settings import Control
from compresslab_dashboard.texts import en, zh

LANGUAGES = {"en": "English", "zh": "中文"}
_MODULES = {"en": en, "zh": zh}
_BRACKETS = re.compile(r"[(（](.+)[)）]")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~$:<>&^=])")


@dataclass(frozen=True)
class ControlWords:
    """What a widget says: `label` and `help` are markdown, `name` is the label letter by letter, `choice` names a value."""

    name: str
    label: str
    help: str
    unit: str
    choice: Callable[[Any], str]
    names_lowest: bool  # the smallest value has a name of its own: 0 layers to keep are "all"


@dataclass(frozen=True)
class Words:
    """`words(key, **values)` in one language; a key that is not there is a mistake and raises KeyError."""

    language: str
    texts: dict[str, str]
    settings: dict[str, tuple[str, str, str]]  # owner.setting, or the setting of many owners -> label, plain, help
    units: dict[str, str]

    def __call__(self, key: str, **values: object) -> str:
        return self.texts[key].format(**values) if values else self.texts[key]

    def known(self, key: str, default: str) -> str:
        """For names that come from data: a kind of question, a stage."""
        return self.texts.get(key, default)

    def said(self, what: Message | str | None) -> str:
        """What core says: why it refused, what it noticed, what a number was measured on and in; a text as it is."""
        return what.in_language(self.language) if isinstance(what, Message) else what or ""

    def question_kind(self, kind: str) -> str:
        return self.known(f"question.{kind}", kind)

    def control(self, owner: str, control: Control) -> ControlWords:
        own = self.settings.get(f"{owner}.{control.name}") or self.settings.get(control.name)
        label, plain, help = own or (control.label, control.plain, control.help)
        return ControlWords(
            name=label,
            label=escaped(label),
            help=f"{escaped(plain)}\n\n{escaped(help)}",
            unit=self.units.get(control.unit, control.unit),
            choice=lambda value: self._choice(owner, control, value),
            names_lowest=self._named(owner, control, control.minimum) is not None,
        )

    def _choice(self, owner: str, control: Control, value: Any) -> str:
        """A value's own name ("whole row"), else the number with its unit."""
        plain = f"{value:g}" if isinstance(value, float) else str(value)
        unit = self.units.get(control.unit, control.unit)
        return self._named(owner, control, value) or f"{plain} {unit}".strip()

    def _named(self, owner: str, control: Control, value: Any) -> str | None:
        """A value's own name, for this owner or for every owner of such a setting."""
        own = self.texts.get(f"choice.{owner}.{control.name}.{value}")
        return own or self.texts.get(f"choice.{control.name}.{value}")

    def title(self, name: str) -> str:
        """Of a method or metric."""
        return self.known(f"{name}.title", _declared(name, "title"))

    def short_title(self, name: str) -> str:
        """What stands in brackets, the name in the literature; the whole title where there is none."""
        found = _BRACKETS.search(self.title(name))
        return found.group(1) if found else self.title(name)

    def summary(self, name: str) -> str:
        return self.known(f"{name}.summary", _declared(name, "summary"))


@cache
def words_of(language: str) -> Words:
    module = _MODULES[language]
    return Words(language, module.TEXTS, module.SETTINGS, module.UNITS)


def escaped(text: str) -> str:
    """Text of models and users for a place that reads markdown: shown letter by letter, never as markup."""
    return _MARKDOWN.sub(r"\\\1", text)


def _declared(name: str, what: str) -> str:
    kind = METHODS.get(name) or METRICS.get(name)
    return str(getattr(kind, what)) if kind else name
