"""Texts that models write side by side, and what was written before."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from compresslab.recipes.generation_request import GenerateRequest
from compresslab.records.events import Cancelled, Report, never
from compresslab.store import Store
from compresslab.store.recorded_answers import RecordedAnswer, recorded_answers
from compresslab.work import jobs, limits
from compresslab.work.jobs import GenerateJob

if TYPE_CHECKING:
    from compresslab.engine.session import Session


class Texts:
    def __init__(self, store: Store, session: Callable[[], Session]) -> None:
        self._store, self._session = store, session

    def write(self, request: GenerateRequest, report: Report, cancelled: Cancelled = never) -> None:
        """Every pane here and now; the words arrive at `report`. Raises CompresslabError."""
        self._session().generate(request, report=report, cancelled=cancelled)

    def submit(self, request: GenerateRequest, *, owner: str = "", live: bool = True) -> int:
        """Put a side-by-side generation into the queue. A live one takes the place of the owner's before it, and its
        words are forgotten when many have come after it; one that is not live is kept. Raises BadInput for a prompt
        that is too long.
        """
        limits.check_prompts(request.prompts)
        return jobs.submit(self._store, GenerateJob(request=request), owner=owner, live=live)

    def recorded(self, weights: Iterable[str]) -> list[RecordedAnswer]:
        """What the weights of these content hashes have written so far, newest first."""
        return recorded_answers(self._store, weights)
