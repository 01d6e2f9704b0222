"""What a pane of text says of itself: whether it is written, how fast; and which models write at all."""

from __future__ import annotations

from compresslab.errors import CompresslabError
from compresslab.store import JobRow
from compresslab_dashboard.components.text_panes import PaneState
from compresslab_dashboard.session import state
from compresslab_dashboard.session.job_view import PaneText
from compresslab_dashboard.texts import Words, formats


def writes(model: str) -> bool:
    """Whether the model writes text; one that is still to be fetched is taken for one."""
    try:
        return state.workspace().models.facts(model).task != "classification"
    except CompresslabError:
        return True


def pane_state(pane: PaneText, job: JobRow) -> PaneState:
    if pane.done is not None:
        return "done"
    if job.over:
        return "failed"
    return "writing" if pane.started else "waiting"


def pane_facts(pane: PaneText, words: Words) -> tuple[str, ...]:
    """Own speed and time to first token, timed alone."""
    if pane.done is None:
        return ()
    done = pane.done
    rate = done.decode_tokens_per_second
    speed = [] if rate is None else [formats.rate(rate, words.language)]
    first = words("pane.ttft", time=formats.duration(done.ttft_seconds, words.language))
    kernel = [words("kernel.simulated")] if done.kernel == "simulated" else []
    runtime = [words.said(done.runtime)] if done.runtime else []
    return (*speed, first, formats.tokens(done.tokens, words.language), *kernel, *runtime)
