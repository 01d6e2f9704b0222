"""Which version of compresslab this is."""

from __future__ import annotations


def version() -> str:
    """As it was installed; "unknown" where its folder was only put on the path."""
    from importlib import metadata  # a twentieth of a second that not every command has to wait for

    try:
        return metadata.version("compresslab")
    except metadata.PackageNotFoundError:
        return "unknown"
