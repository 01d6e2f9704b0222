"""Catalogues: gettext's PO files, with a code as msgid and the sentence as msgstr, read when the first is needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from gettext import c2py
from importlib.metadata import entry_points
from importlib.resources import files
from importlib.resources.abc import Traversable

PACKAGES = "compresslab.messages"  # entry points: a package that has en.po and others beside its modules


@dataclass(frozen=True)
class Catalogue:
    """Templates by code; those that depend on a number have one for each plural form of the language."""

    templates: Mapping[str, tuple[str, ...]]
    form_of: Callable[[int], int]

    def template(self, code: str, count: object = None) -> str | None:
        """The sentence of that code, in the form that goes with the count; None where it is not there."""
        forms = self.templates.get(code)
        if forms is None:
            return None
        return forms[self.form_of(count)] if len(forms) > 1 and isinstance(count, int) else forms[0]


def read(file: Traversable) -> Catalogue:
    """A PO file; what is marked fuzzy or not translated yet is left out."""
    from babel.messages.pofile import read_po

    with file.open("rb") as stream:
        found = read_po(stream)
    said = {_first(entry.id): _all(entry.string) for entry in found if entry.id and not entry.fuzzy}
    return Catalogue({code: forms for code, forms in said.items() if all(forms)}, c2py(found.plural_expr))


def template(language: str, code: str, count: object = None) -> str | None:
    """Of ours, or of a package that brings its own; None where nobody has it in that language."""
    own = _own(language).template(code, count)
    if own is not None:
        return own
    found = (catalogue.template(code, count) for catalogue in _others(language))
    return next((text for text in found if text is not None), None)


@cache
def _own(language: str) -> Catalogue:
    return _catalogue(files(__package__), language)


@cache
def _others(language: str) -> list[Catalogue]:
    found = []
    for package in entry_points(group=PACKAGES):
        with suppress(ImportError):  # whoever registers its methods tells that it is broken
            found.append(_catalogue(files(package.value), language))
    return found


def _catalogue(folder: Traversable, language: str) -> Catalogue:
    file = folder / f"{language}.po"
    return read(file) if file.is_file() else Catalogue({}, lambda count: 0)


def _first(ids: str | Sequence[str]) -> str:
    return ids if isinstance(ids, str) else ids[0]


def _all(said: str | Sequence[str] | None) -> tuple[str, ...]:
    return (said or "",) if said is None or isinstance(said, str) else tuple(said)
