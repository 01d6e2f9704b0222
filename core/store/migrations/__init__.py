"""Numbered steps that bring a store up to date. A step that was released is never edited: add the next one."""

from pathlib import Path

FOLDER = Path(__file__).resolve().parent
VERSION_TABLE = "compresslab_version"


def head() -> str:
    """The version of the newest step, read off its file name: alembic is slow to import and seldom needed."""
    return max(path.stem[1:5] for path in (FOLDER / "versions").glob("v[0-9]*.py"))
