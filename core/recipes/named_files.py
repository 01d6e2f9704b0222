"""The files that a recipe names, as they are now: a run is one of this recipe only as long as they are the same."""

from __future__ import annotations

import hashlib
from contextlib import suppress

from compresslab.data.hub_text import PREFIX
from compresslab.errors import BadInput
from compresslab.files.paths import user_path
from compresslab.models.source import locate, stamps
from compresslab.recipes.recipe import Recipe


def named_files(recipe: Recipe) -> str:
    """Sixteen hex digits over the state of the model's files, and of texts and questions of the user's; empty where
    the model is not here."""
    try:
        model = _model(recipe.model)
    except (BadInput, OSError):
        return ""
    texts = (recipe.calibration.text, recipe.evaluation.text, recipe.evaluation.questions)
    found = [model, *(None if name == "bundled" or name.startswith(PREFIX) else _stamp(name) for name in texts)]
    return hashlib.sha256(repr(found).encode()).hexdigest()[:16] if model else ""


def _model(name: str) -> tuple[object, ...]:
    """A folder may be edited: names, sizes and times of change. A revision of the Hub and the bundled model are what
    they are, whenever they were written here."""
    source = locate(name)
    if source.folder is None:
        return ()
    if source.kind == "hub":
        return (source.folder.name,)
    files = stamps(source.folder)
    return files if source.kind == "folder" else tuple((file, size) for file, size, _ in files)


def _stamp(name: str) -> tuple[int, int] | None:
    with suppress(BadInput, OSError):
        status = user_path(name).stat()
        return status.st_size, status.st_mtime_ns
    return None
