"""Every word that the pages say, by a code, in gettext's catalogues: one file a language beside this one.

What settings, methods and metrics are called in English is declared on their classes; another language has it here, as
setting.quantize_gptq.bits.plain or, for every setting of that name, setting.bits.plain. What a language lacks appears
in English.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from compresslab.exports.registry import FORMATS
from compresslab.messages import Message
from compresslab.messages.catalogue import Catalogue, read
from compresslab.recipes.method import METHODS
from compresslab.recipes.metric import METRICS
from compresslab.settings import Control

LANGUAGES = {"en": "English", "zh": "中文"}
_ENGLISH = "en"
_BRACKETS = re.compile(r"[(（](.+)[)）]")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~$:<>&^=])")


@dataclass(frozen=True)
class ControlWords:
    """What a widget says: `label` and `help` are markdown, `name` is the label as it is, `choice` names a value."""

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
    catalogue: Catalogue
    english: Catalogue

    def __call__(self, key: str, **values: object) -> str:
        """A `count` among the values chooses between one thing and several."""
        text = self._text(key, values.get("count"))
        if text is None:
            raise KeyError(key)
        return text.format(**values) if values else text

    def known(self, key: str, default: str) -> str:
        """For names that come from data: a kind of question, a stage."""
        text = self._text(key)
        return default if text is None else text

    def said(self, what: Message | str | None) -> str:
        """What core says: why it refused, what it noticed, what a number was measured on and in; a text as it is."""
        return what.in_language(self.language) if isinstance(what, Message) else what or ""

    def question_kind(self, kind: str) -> str:
        return self.known(f"question.{kind}", kind)

    def control(self, owner: str, control: Control) -> ControlWords:
        label, plain, help = (self._of_setting(owner, control, what) for what in ("label", "plain", "help"))
        return ControlWords(
            name=label,
            label=escaped(label),
            help=f"{escaped(plain)}\n\n{escaped(help)}",
            unit=self._unit(control),
            choice=lambda value: self._choice(owner, control, value),
            names_lowest=self._named(owner, control, control.minimum) is not None,
        )

    def _of_setting(self, owner: str, control: Control, what: str) -> str:
        own = self._text(f"setting.{owner}.{control.name}.{what}")
        return own or self.known(f"setting.{control.name}.{what}", getattr(control, what))

    def _unit(self, control: Control) -> str:
        return self.known(f"unit.{control.unit}", control.unit)

    def _choice(self, owner: str, control: Control, value: Any) -> str:
        """A value's own name ("whole row"), else the number with its unit."""
        plain = f"{value:g}" if isinstance(value, float) else str(value)
        return self._named(owner, control, value) or f"{plain} {self._unit(control)}".strip()

    def _named(self, owner: str, control: Control, value: Any) -> str | None:
        """A value's own name, for this owner or for every owner of such a setting."""
        own = self._text(f"choice.{owner}.{control.name}.{value}")
        return own or self._text(f"choice.{control.name}.{value}")

    def _text(self, key: str, count: object = None) -> str | None:
        own = self.catalogue.template(key, count)
        return self.english.template(key, count) if own is None else own

    def title(self, name: str) -> str:
        """Of a method or metric."""
        return self.known(f"{name}.title", _declared(name, "title"))

    def short_title(self, name: str) -> str:
        """What stands in brackets, the name in the literature; the whole title where there is none."""
        found = _BRACKETS.search(self.title(name))
        return found.group(1) if found else self.title(name)

    def summary(self, name: str) -> str:
        return self.known(f"{name}.summary", _declared(name, "summary"))

    def phrase(self, name: str, settings: Mapping[str, Any]) -> str:
        """A step in a few words. Raises KeyError for a setting that its phrase names and the step does not have."""
        phrase = self.known(f"step.{name}", _declared(name, "phrase"))
        return phrase.format(**settings) if phrase else self.title(name)

    def stage(self, name: str) -> str:
        """What is done while a stage, a method or a metric works."""
        return self.known(f"stage.{name}", _declared(name, "stage") or self.title(name))

    def measurement(self, name: str) -> str:
        """Of one value that a metric measures."""
        declared = (metric.values[name] for metric in METRICS.values() if name in metric.values)
        return self.known(f"metric.{name}", next(declared, name))

    def format_label(self, name: str) -> str:
        return self.known(f"format.{name}.label", FORMATS[name].label if name in FORMATS else name)


@cache
def words_of(language: str) -> Words:
    return Words(language, _catalogue(language), _catalogue(_ENGLISH))


@cache
def _catalogue(language: str) -> Catalogue:
    return read(files(__package__) / f"{language}.po")


def escaped(text: str) -> str:
    """Text of models and users for a place that reads markdown: shown letter by letter, never as markup."""
    return _MARKDOWN.sub(r"\\\1", text)


def _declared(name: str, what: str) -> str:
    """What a class says of itself in English; of one that is not known here its name, and nothing more."""
    kind = METHODS.get(name) or METRICS.get(name)
    return str(getattr(kind, what, "")) if kind else name if what == "title" else ""
