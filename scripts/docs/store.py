"""The tables of the store, from SQLAlchemy's metadata and the comments beside the columns."""

from __future__ import annotations

import inspect
import re

from compresslab.store import tables
from sqlalchemy import Column, Table

from scripts.docs.markdown import code, comment, page, table

ABOUT = """
Everything that outlives a process is in one SQL database: SQLite in the data folder, or whatever `COMPRESSLAB_STORE`
names as an SQLAlchemy URL. Its schema is changed by numbered Alembic migrations, which run when a newer compresslab
opens an older store. Read it as you like; write to it through `compresslab.Workspace`. Times are seconds since 1970
in UTC, by the database's clock."""
PURPOSES = {
    "jobs": "The queue: one row a job, from the moment it is asked for until long after it has ended.",
    "events": "What jobs report while they work, in order; see [events](events.md).",
    "runs": "Finished runs: what lists and charts of thousands say of each, and what people wrote on it.",
    "run_records": "The whole of each, as a [run record](events.md#run-records).",
    "workers": "Who is there to do the work. A worker whose heart has stopped beating loses its job.",
    "sweeps": "Sweeps that were asked for.",
    "sweep_points": "Their points: one row for each combination of settings.",
    "people": "Names of those who have signed in.",
    "votes": "Votes of blind tests, by the content hashes of the weights that wrote the two texts.",
}


def store() -> str:
    return page("Store", ABOUT, *(_entry(found) for found in tables.METADATA.sorted_tables))


def _entry(found: Table) -> str:
    said = _comments(found.name)
    rows = [_row(column, said.get(column.name, "")) for column in found.columns]
    indexes = [f"`{index.name}` on {', '.join(index.columns.keys())}" for index in sorted(found.indexes, key=str)]
    below = f"\n\nIndexes: {'; '.join(sorted(indexes))}." if indexes else ""
    return (
        f"## `{found.name}` {{ #{found.name} }}\n\n{PURPOSES[found.name]}\n\n"
        f"{table(('column', 'type', 'key', 'may be null', 'meaning'), rows)}{below}"
    )


def _row(column: Column[object], meaning: str) -> tuple[str, ...]:
    target = [f"→ {key.target_fullname}" for key in column.foreign_keys]
    keys = ", ".join([*(["primary"] if column.primary_key else []), *target])
    return code(column.name), str(column.type), keys, "yes" if column.nullable else "", meaning


def _comments(name: str) -> dict[str, str]:
    """By column, of one table of the source."""
    source = inspect.getsource(tables)
    part = source[source.index(f'    "{name}",') :].split("\n)\n", 1)[0]
    found = (re.search(r'Column\("(\w+)"', line) for line in part.splitlines())
    return {hit[1]: comment(hit.string) for hit in found if hit}
