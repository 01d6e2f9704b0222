"""Writes the pages of docs/ that follow from the code, so that the reference never disagrees with it.

Run `python -m scripts.write_docs`; a test fails where a page is not what this writes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from scripts.docs import commands, families, grids, messages, packed_file, records, rooms, settings, store

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES: dict[str, Callable[[], str]] = {
    "reference/methods.md": settings.methods,
    "reference/metrics.md": settings.metrics,
    "reference/texts.md": settings.texts,
    "reference/grids.md": grids.grids,
    "reference/exports.md": settings.exports,
    "reference/families.md": families.families,
    "reference/commands.md": commands.commands,
    "reference/events.md": records.events,
    "reference/packed-file.md": packed_file.packed_file,
    "reference/store.md": store.store,
    "pictures/rooms.svg": rooms.picture,
    "reference/messages.md": messages.messages,
}


def main() -> None:
    for name, write in PAGES.items():
        (DOCS / name).write_text(write(), encoding="utf-8")
        print(DOCS / name)


if __name__ == "__main__":
    main()
