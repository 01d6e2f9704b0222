"""Memory that a job needs, from what is known before it begins. No torch."""

from __future__ import annotations

from collections.abc import Iterator

from cachetools import LRUCache, cached
from compresslab.errors import CompresslabError
from compresslab.models.facts import read_facts
from compresslab.models.source import locate
from compresslab.recipes.plan import fit
from compresslab.recipes.recipe import Recipe
from compresslab.store import JobRow
from compresslab.work.jobs import DownloadJob, ExportJob, GenerateJob, Job, WarmJob, parse


@cached(LRUCache(64), key=lambda row: (row.id, row.created))
def need(row: JobRow) -> int:
    """Bytes at the peak; 0 where that can't be told: of a model that is not here yet, or is damaged."""
    try:
        return max((_bytes(recipe) for recipe in _recipes(parse(row.payload))), default=0)
    except (CompresslabError, ValueError, OSError):  # the job itself says so
        return 0


def _bytes(recipe: Recipe) -> int:
    here = locate(recipe.model).folder is not None
    return fit(recipe, read_facts(recipe.model)).need if here else 0


def _recipes(job: Job) -> Iterator[Recipe]:
    """What it compresses or loads."""
    if isinstance(job, GenerateJob):
        for pane in job.request.panes:
            yield Recipe.from_dict(pane.recipe) if pane.recipe else Recipe(model=pane.model)
    elif isinstance(job, ExportJob):
        yield Recipe.from_dict(job.run.recipe)
    elif isinstance(job, WarmJob):
        yield Recipe(model=job.model)
    elif not isinstance(job, DownloadJob):
        yield Recipe.from_dict(job.recipe)
