"""How a job comes into each phase, with the stand-in and with the real engine."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from compresslab.recipes.generation_request import Decoding, GenerateRequest, Pane
from compresslab.recipes.recipe import Recipe
from compresslab.recipes.sweep import Sweep
from compresslab.records.results import RunRecord
from compresslab.work import jobs
from compresslab.work.exporting import export_jobs
from compresslab.work.sweeps import Sweeps

from benchmarks.chaos.arena import MODEL, Arena
from benchmarks.chaos.stand_in import WAITING, recipe_of
from tests.patience import eventually

PHASES = (
    "loading", "statistics", "solving", "measuring", "saving", "exporting", "sweep", "generation", "download",
)  # fmt: skip
STAGES = {  # of the real engine, by what a phase is
    "loading": ("load",),
    "statistics": ("quantize_gptq",),
    "solving": ("quantize_gptq",),
    "measuring": ("evaluate",),
    "saving": ("save",),
    "exporting": ("write", "reopen", "compare"),
    "sweep": ("quantize_rtn", "evaluate"),
}
SOLVED = 0.5  # of the stage: by then the statistics of some blocks are taken, and others solved


@dataclass
class Begun:
    phase: str
    jobs: list[int]
    sweep: int | None = None
    reached: bool = True  # the phase, before the job was over


def begin(arena: Arena, phase: str, chance: random.Random) -> Begun:
    """A job under way, and in that phase."""
    begun = _submit(arena, phase, chance)
    if phase == "download":
        eventually(lambda: arena.halfway.is_set() or _over(arena, begun))
    else:
        eventually(lambda: _is_there(arena, begun) or _over(arena, begun))
    begun.reached = not _over(arena, begun)
    return begun


def _submit(arena: Arena, phase: str, chance: random.Random) -> Begun:
    store = arena.store
    if phase == "download":
        return Begun(phase, [jobs.submit(store, jobs.DownloadJob(model=MODEL))])
    if phase == "generation":
        panes = (Pane(label="baseline", source="baseline"),)
        request = GenerateRequest(prompt="Once upon a time", panes=panes, decoding=Decoding(max_new_tokens=200))
        return Begun(phase, [jobs.submit(store, jobs.GenerateJob(request=request))])
    if phase == "sweep":
        base = recipe_of("measuring") if arena.engine == "stand-in" else Recipe().assign("metrics=perplexity")
        base = base.replace(seed=chance.randrange(2**31))  # what is measured already is not measured again
        sweep = Sweeps(store, _no_session).submit(Sweep.over(base, ["quantize_rtn.bits=3,4"], "draft"))
        return Begun(phase, [row.id for row in store.jobs() if row.sweep == sweep], sweep)
    if arena.engine == "stand-in":
        return Begun(phase, [jobs.submit(store, jobs.RunJob(recipe=recipe_of(phase).to_dict()))])
    if phase == "exporting":
        record = _finished(arena)
        form = chance.choice(["gguf", "gptq"])
        return Begun(phase, [jobs.submit(store, job) for job in export_jobs(record, [form], None, {}, None)])
    return Begun(phase, [jobs.submit(store, jobs.RunJob(recipe=_recipe(phase, chance).to_dict()))])


def _no_session() -> Any:
    raise AssertionError("Points of a sweep are for the worker.")


def _recipe(phase: str, chance: random.Random) -> Recipe:
    """Of few kinds, so that many are run twice: what differs then was made from half an artefact."""
    if phase == "saving":
        return Recipe().assign("metrics=perplexity").assign(f"quantize_rtn.bits={chance.choice([3, 4])}")
    samples = chance.choice([8, 16, 24])
    recipe = Recipe().assign("metrics=perplexity").assign("quantize_gptq.bits=4")
    return recipe.assign(f"calibration.samples={samples}")


def _finished(arena: Arena) -> RunRecord:
    """A run to export, made once."""
    recipe = Recipe().assign("metrics=perplexity").assign("quantize_rtn.bits=8")
    kept = [record for record in arena.store.runs() if record.recipe_hash == recipe.content_hash]
    if kept:
        return kept[0]
    job = jobs.submit(arena.store, jobs.RunJob(recipe=recipe.to_dict()))
    eventually(lambda: arena.store.job(job).over)
    return arena.store.run(str(arena.store.job(job).run_id))


def _is_there(arena: Arena, begun: Begun) -> bool:
    return any(_there(arena, begun.phase)(event) for job in begun.jobs for _, event in arena.store.events(job))


def _there(arena: Arena, phase: str) -> Callable[[object], bool]:
    if arena.engine == "stand-in":
        return lambda event: getattr(event, "stage", "") == WAITING
    if phase == "generation":
        return lambda event: getattr(event, "kind", "") == "token"
    return lambda event: (
        getattr(event, "stage", "") in STAGES[phase]
        and (
            phase != "solving" or event.done >= SOLVED * event.total  # type: ignore[attr-defined]
        )
    )


def _over(arena: Arena, begun: Begun) -> bool:
    return all(arena.store.job(job).over for job in begun.jobs)
