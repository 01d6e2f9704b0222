"""Fit to a size: one slider for the file's size, bits and sparsity matrix by matrix, once the model is measured."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from compresslab.errors import CompresslabError
from compresslab.models.facts import ModelFacts
from compresslab.store import JobRow
from compresslab_dashboard.editing.estimate import estimate_of
from compresslab_dashboard.jobs import actions, live
from compresslab_dashboard.jobs.progress import fraction, progress_text
from compresslab_dashboard.jobs.stopping import stop_button
from compresslab_dashboard.session import state
from compresslab_dashboard.texts import Words, escaped, formats

LEAST_SHARE = 0.05  # of the baseline's bytes: below it no method keeps a model together
STOPS = 96


def fit_to_size(facts: ModelFacts | None, words: Words, *, expanded: bool = False) -> None:
    if facts is None:
        return
    with st.expander(words("fit"), key="fit", expanded=expanded):
        try:
            known = state.workspace().sensitivity.find(state.current().recipe) is not None
        except CompresslabError as error:
            st.error(escaped(words.said(error.message)))
            return
        if known:
            _budget(words)
        else:
            measure_first(words)


# -- the slider ------------------------------------------------------------------------------------------------


def _budget(words: Words) -> None:
    """It always says the size of the recipe on the screen; where it is let go, the recipe becomes one of that size."""
    session = state.current()
    told, _ = estimate_of(session)
    if told is None or not session.recipe.steps:
        st.caption(words("fit.nothing"))
        return
    stops = budgets(told.baseline_bytes)
    stop = stop_for(told.compressed_bytes, stops)
    if st.session_state.get("budget") != stop:  # what is assigned takes back what the hand did in the meantime
        st.session_state["budget"] = stop
    st.select_slider(
        words("fit.budget"),
        options=stops,
        key="budget",
        format_func=formats.file_size,
        help=words("fit.budget.help"),
        on_change=_take_budget,
    )
    st.caption(
        words("fit.mixed" if any(getattr(step, "overrides", {}) for step in session.recipe.steps) else "fit.how")
    )
    if session.editing.unfit:
        st.error(escaped(words.said(session.editing.unfit)))


def budgets(baseline: int) -> list[int]:
    """Bytes that the slider offers, evenly spread; the last is the baseline itself."""
    return [round(baseline * (LEAST_SHARE + (1 - LEAST_SHARE) * stop / (STOPS - 1))) for stop in range(STOPS)]


def stop_for(size: int, stops: Sequence[int]) -> int:
    """The first stop that the size fits into."""
    return next((stop for stop in stops if stop >= size), stops[-1])


def _take_budget() -> None:
    session = state.current()
    try:
        fitted = state.workspace().allocate(session.recipe, budget_bytes=int(st.session_state["budget"]))
    except CompresslabError as error:
        session.editing.unfit = error.message
        return
    state.replace_sketch(session.editing.sketch.with_steps(fitted.steps))
    session.editing.unfit = None


# -- measuring the model, once ---------------------------------------------------------------------------------


def measure_first(words: Words) -> None:
    """The offer to measure the model; how far it is, where someone does already."""
    job = _under_way()
    if job is not None:
        state.current().measuring = job.id
        st.fragment(_progress, run_every=live.SLOW_POLL_SECONDS, key="sensitivity")(job.id)
        return
    st.caption(words("fit.unknown"))
    st.button(words("fit.measure"), key="measure_sensitivity", on_click=actions.measure_sensitivity, width="stretch")
    before = state.current().watched.ended.get(state.current().measuring or 0)
    if before is not None and before.state == "failed":
        st.error(escaped(words("job.failed", reason=words.said(before.error))))


def _under_way() -> JobRow | None:
    """Whoever asked for it: the table serves everyone."""
    model = state.current().recipe.model
    jobs = state.workspace().jobs.open()
    return next((job for job in jobs if job.kind == "sensitivity" and job.payload["recipe"]["model"] == model), None)


def _progress(job_id: int) -> None:
    session = state.current()
    words = state.words()
    job = live.pull(job_id)
    if job is None or job.over:
        st.rerun()
        return
    st.progress(fraction(session, job), text=escaped(progress_text(session, job, words)))
    stop_button(job, words, key="stop_sensitivity")
