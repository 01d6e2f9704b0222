"""Runs in the formats of other programs: what each format makes of a run, and its files written and opened again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compresslab.records.events import Cancelled, Report, ignored, never
from compresslab.records.results import ExportRecord
from compresslab.store import Store
from compresslab.work import exporting, jobs
from compresslab.work.exporting import Offer
from compresslab.work.jobs import ExportJob

if TYPE_CHECKING:
    from compresslab.engine.session import Session

Settings = Mapping[str, dict[str, Any]]  # by format


class Exports:
    def __init__(self, store: Store, session: Callable[[], Session]) -> None:
        self._store, self._session = store, session

    def offers(self, run_id: str, settings: Settings | None = None) -> list[Offer]:
        """Every format, held against a run: how large, and what speaks against it.

        Raises BadInput where the run's weights are gone.
        """
        return exporting.offers(self._store.run(run_id), settings or {})

    def write(
        self,
        run_id: str,
        formats: str | Iterable[str],
        out: str | Path | None = None,
        *,
        settings: Settings | None = None,
        push: str | None = None,
        report: Report = ignored,
        cancelled: Cancelled = never,
    ) -> list[ExportRecord]:
        """Write a run here and now so that other programs load it; each format gets a folder in `out`, is opened again,
        and the run's record says how it answered. `push` is a Hub id that one format is uploaded to.

        Raises CompresslabError.
        """
        done = []
        for job in self._jobs(run_id, formats, out, settings, push):
            done.append(exporting.export(self._session(), job, report, cancelled))
            self._store.add_export(job.run.run_id, done[-1])
        return done

    def submit(
        self,
        run_id: str,
        formats: str | Iterable[str],
        out: str | Path | None = None,
        *,
        settings: Settings | None = None,
        push: str | None = None,
        owner: str = "",
    ) -> list[int]:
        """Put exports into the queue, one job a format, once all are known to make sense; see `write`."""
        found = self._jobs(run_id, formats, out, settings, push)
        return [jobs.submit(self._store, job, owner=owner) for job in found]

    def _jobs(
        self,
        run_id: str,
        formats: str | Iterable[str],
        out: str | Path | None,
        settings: Settings | None,
        push: str | None,
    ) -> list[ExportJob]:
        names = [formats] if isinstance(formats, str) else formats
        return exporting.export_jobs(self._store.run(run_id), names, out, settings or {}, push)
