"""Everything that core says to people, by code: from the English catalogue."""

from __future__ import annotations

from importlib.resources import files
from itertools import groupby

from compresslab.messages.catalogue import read

from scripts.docs.markdown import code, page, table

ABOUT = """
Errors, notices and refusals carry a code and values. With `--json`, an error shows its code beside its sentence, so
that a program can tell one from another; what stands in braces is filled in. Codes stay the same when a sentence is
reworded. Other languages are catalogues beside this one, in gettext's PO format."""


def messages() -> str:
    templates = read(files("compresslab.messages") / "en.po").templates
    groups = groupby(sorted(templates.items()), key=lambda entry: entry[0].partition(".")[0])
    return page("Messages", ABOUT, *(_group(name, list(entries)) for name, entries in groups))


def _group(name: str, entries: list[tuple[str, tuple[str, ...]]]) -> str:
    rows = [(code(key), " / ".join(_literal(form) for form in forms)) for key, forms in entries]
    return f"## `{name}` {{ #{name} }}\n\n{table(('code', 'sentence'), rows)}"


def _literal(sentence: str) -> str:
    """As it is, not as Markdown."""
    return sentence.replace("\\", "\\\\").replace("*", "\\*").replace("_", "\\_").replace("<", "&lt;")
