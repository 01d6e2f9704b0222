"""What a fault has cost: work that was lost, processes that nobody watches, and what lies about."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from compresslab.errors import BadInput
from compresslab.files.atomic import PART
from compresslab.files.paths import BUNDLED_MODEL, run_folder
from compresslab.models.safetensors_header import read_header
from compresslab.store import JobRow
from compresslab.work import leftovers

from benchmarks.chaos.arena import Arena
from benchmarks.chaos.faults import Fault
from benchmarks.chaos.phases import Begun
from benchmarks.chaos.stand_in import HALF, HALVES
from tests.patience import eventually

MADE = ("statistics", "runs", "exports")  # folders of the data folder in which each one takes its name when it is whole


@dataclass
class Damage:
    lost: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.lost or self.orphans or self.left_over)


def found(arena: Arena, begun: Begun, fault: Fault) -> Damage:
    """Once all that was asked for has ended."""
    damage = Damage()
    try:
        eventually(lambda: not arena.store.jobs())
    except AssertionError:
        damage.lost += [f"job {row.id} stays {row.state}" for row in arena.store.jobs()]
    leftovers.tidy(arena.store)
    ends = fault.ends if begun.sweep is None else fault.sweep_ends
    if not begun.reached or arena.engine == "real":
        ends = (*ends, "done")  # it was quicker than the fault
    for row in _jobs(arena, begun):
        damage.lost += _job_trouble(arena, row, ends)
    damage.lost += _store_trouble(arena)
    damage.lost += _half_written(arena)
    damage.orphans += _orphans(arena)
    damage.left_over += [str(path.relative_to(arena.home)) for path in arena.home.rglob(f"*{PART}*")]
    return damage


def _jobs(arena: Arena, begun: Begun) -> list[JobRow]:
    """Those that were begun, and of a sweep those that took their place."""
    rows = [arena.store.job(job) for job in begun.jobs]
    if begun.sweep is None:
        return rows
    ended = arena.store.jobs(("done", "failed", "cancelled"))
    return rows + [row for row in ended if row.sweep == begun.sweep and row.id not in begun.jobs]


def _job_trouble(arena: Arena, row: JobRow, ends: tuple[str, ...]) -> Iterator[str]:
    if row.state not in ends:
        yield f"job {row.id} is {row.state}: {row.error}"
    if row.state != "done" and (row.error is None or len(str(row.error)) > 600):
        yield f"job {row.id} is {row.state}, and says {row.error}"
    if row.kind != "run" or row.run_id is None:
        return
    kept = row.state == "done" and (row.stage == "final" or row.sweep is not None)
    try:
        arena.store.run(row.run_id)
    except BadInput:
        if kept:
            yield f"job {row.id} is done, and its run is not kept"
    else:
        if not kept:
            yield f"job {row.id} is {row.state}, and its run is kept"
    if row.state != "done" and run_folder(row.run_id).exists():
        yield f"job {row.id} is {row.state}, and its weights are kept"


def _store_trouble(arena: Arena) -> Iterator[str]:
    with closing(sqlite3.connect(arena.home / "store.db", timeout=60)) as connection:
        said = connection.execute("PRAGMA integrity_check").fetchone()[0]
    if said != "ok":
        yield f"the store says {said}"
    values: dict[str, set[float]] = {}
    for record in arena.store.runs():
        perplexity = record.find("perplexity")
        if arena.engine == "real" and record.stage == "final":
            values.setdefault(record.recipe_hash, set()).add(perplexity.value)
    for recipe, different in values.items():
        if len(different) > 1:
            yield f"recipe {recipe} has perplexities {different}"


def _half_written(arena: Arena) -> Iterator[str]:
    for place in MADE:
        for folder in (arena.home / place).glob("*"):
            if folder.is_dir() and not folder.name.endswith(PART) and not _is_whole(arena, folder):
                yield f"{place}/{folder.name} is half-written"
    for file in (arena.home / "hub").rglob("snapshots/*/*"):
        if file.read_bytes() != (BUNDLED_MODEL / file.name).read_bytes():
            yield f"{file.name} of the Hub is half-written"


def _is_whole(arena: Arena, folder: Path) -> bool:
    if arena.engine == "stand-in":
        return [file.stat().st_size for file in folder.iterdir()] == [HALF] * len(HALVES)
    for file in folder.rglob("*.safetensors"):
        read_header(file)  # refuses one whose tensors don't fill the file
    return any(folder.iterdir())


def _orphans(arena: Arena) -> list[str]:
    """Whoever is neither the worker nor the one child that it has now."""

    def strangers() -> list[str]:
        worker = arena.worker
        known = {worker.pid, *(process.pid for process in worker.children())}
        return [f"{process.pid} {process.name()}" for process in arena.ours() if process.pid not in known]

    try:
        eventually(lambda: not strangers(), patience=60.0)
    except AssertionError:
        return strangers()
    return []
