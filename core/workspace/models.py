"""Models: those of this machine, those of the Hub, and how one is fetched."""

from __future__ import annotations

from pathlib import Path

from compresslab.models import hub
from compresslab.models.facts import ModelFacts, read_facts
from compresslab.models.hub import Cached, Found
from compresslab.models.source import BUNDLED, downloaded, locate
from compresslab.records.events import Cancelled, Report, ignored, never
from compresslab.store import Store
from compresslab.work import jobs
from compresslab.work.jobs import DownloadJob
from compresslab.work.visitors import HERE, Visitor, check_machine


class Models:
    def __init__(self, store: Store) -> None:
        self._store = store

    def names(self) -> list[str]:
        """The bundled one first, then what runs used last, then what else was fetched from the Hub; all of it here."""
        names = [BUNDLED, *self._store.models_used(), *downloaded()]
        return [name for name in dict.fromkeys(names) if _is_here(name)]

    def facts(self, model: str) -> ModelFacts:
        """Architecture and weights, from headers alone. Raises BadInput."""
        return read_facts(model)

    def search(self, text: str) -> list[Found]:
        """Models of the Hub with that in their name, the most used first. Raises BadInput."""
        return hub.search(text)

    def download(self, model: str, report: Report = ignored, cancelled: Cancelled = never) -> Path:
        """Fetch a model of the Hub here and now; returns its folder. Raises BadInput, Cancelled."""
        return hub.download(model, report, cancelled)

    def submit_download(self, model: str, *, owner: str = "") -> int:
        """Put the download of a model into the queue; returns the job's number."""
        return jobs.submit(self._store, DownloadJob(model=model), owner=owner)

    def cached(self) -> list[Cached]:
        """What the Hub's cache on this machine holds, what was used last first."""
        return hub.cached()

    def delete(self, model: str, *, by: Visitor = HERE) -> int:
        """Take a model out of the Hub's cache, which other programs of this user share; returns the bytes freed. Raises
        BadInput, also for visitors of a server who are no admins, and RunFailed."""
        check_machine(by)
        return hub.delete(model)


def _is_here(name: str) -> bool:
    """False for one that is damaged, whatever its files make the reading of them raise: who chooses it is told."""
    try:
        return locate(name).folder is not None
    except Exception:  # noqa: BLE001 one stranger's model must not take the list of all away
        return False
