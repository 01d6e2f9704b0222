"""What models have written so far, by the content hash of the weights that wrote it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from compresslab.recipes.generation_request import Decoding, GenerateRequest
from compresslab.records.events import PaneDone, PaneStarted, from_json
from compresslab.store import Store
from compresslab.store.tables import EVENTS, JOBS
from sqlalchemy import select

LATEST = 500  # generations that are looked through
PANE_EVENT = '{"kind":"pane!_%'  # `kind` is the first field of every event


@dataclass(frozen=True)
class RecordedAnswer:
    """One pane of a generation that was written to its end; `done` says in which runtime, for another may differ."""

    prompt: str
    decoding: Decoding
    weights_hash: str
    text: str
    done: PaneDone

    @property
    def shown(self) -> str:
        """As it is read: an answer that was not at its end when it had to stop says so."""
        cut_off = self.done.tokens >= self.decoding.max_new_tokens
        return f"{self.text.strip()} …" if cut_off else self.text.strip()


def recorded_answers(store: Store, weights: Iterable[str]) -> list[RecordedAnswer]:
    """What these weights wrote, newest first; of the same question to the same weights the newest answer alone."""
    wanted = set(weights)
    found: dict[tuple[str, Decoding, str], RecordedAnswer] = {}
    for request, bodies in _generations(store):
        for answer in _panes(request, bodies):
            if answer.weights_hash in wanted:
                found.setdefault((answer.prompt, answer.decoding, answer.weights_hash), answer)
    return list(found.values())


def _generations(store: Store) -> Iterator[tuple[GenerateRequest, list[str]]]:
    """Requests that were carried out, newest first, with their events of panes; their tokens are left out."""
    done = (JOBS.c.kind == "generate") & (JOBS.c.state == "done")
    latest = select(JOBS.c.id, JOBS.c.payload).where(done).order_by(JOBS.c.id.desc()).limit(LATEST).subquery()
    query = (
        select(latest.c.id, latest.c.payload, EVENTS.c.body)
        .join(EVENTS, EVENTS.c.job_id == latest.c.id)
        .where(EVENTS.c.body.like(PANE_EVENT, escape="!"))
        .order_by(latest.c.id.desc(), EVENTS.c.seq)
    )
    jobs: dict[int, tuple[str, list[str]]] = {}
    with store.database.read() as connection:
        for number, payload, body in connection.execute(query):
            jobs.setdefault(number, (payload, []))[1].append(body)
    for payload, bodies in jobs.values():
        request = GenerateRequest.model_validate(json.loads(payload)["request"])
        if request.chat is None:  # what is said in a chat answers more than its last question
            yield request, bodies


def _panes(request: GenerateRequest, bodies: list[str]) -> Iterator[RecordedAnswer]:
    weights: dict[int, str] = {}
    for event in map(from_json, bodies):
        if isinstance(event, PaneStarted):
            weights[event.pane] = event.weights_hash
        elif isinstance(event, PaneDone) and event.pane in weights:
            prompt = request.prompts[event.pane // len(request.panes)]
            yield RecordedAnswer(prompt, request.decoding, weights[event.pane], event.text, event)
