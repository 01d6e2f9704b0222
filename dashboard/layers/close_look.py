"""Weights before and after, and what heads are worth: measured once for a recipe, by a job that is asked for here."""

from __future__ import annotations

import streamlit as st
from compresslab.errors import CompresslabError
from compresslab.profiles.layer_profile import LayerProfile
from compresslab.recipes.recipe import Recipe
from compresslab.store import JobRow
from compresslab_dashboard.components.stream_chart import figure_chart
from compresslab_dashboard.jobs import live
from compresslab_dashboard.jobs.progress import fraction, progress_text
from compresslab_dashboard.jobs.stopping import stop_button
from compresslab_dashboard.layers import charts
from compresslab_dashboard.layers.looking import Looking
from compresslab_dashboard.layers.shown import Shown
from compresslab_dashboard.session import state
from compresslab_dashboard.texts import Words, escaped

CHART_HEIGHT = 230  # pixels
CARD_HEIGHT = CHART_HEIGHT + 88


def close_look(shown: Shown) -> None:
    """Polls only while the job that looks is under way."""
    session = state.current()
    job = state.own(Looking).jobs.get(state.version_of(shown.recipe))
    every = live.SLOW_POLL_SECONDS if job is not None and live.is_open(session, job) else None
    st.fragment(_panel, run_every=every, key="close_look")(shown, every is not None)


def _panel(shown: Shown, watched: bool) -> None:
    session, words = state.current(), state.words()
    number = state.own(Looking).jobs.get(state.version_of(shown.recipe))
    job = (
        live.pull(number)
        if number is not None and live.is_open(session, number)
        else session.watched.ended.get(number or 0)
    )
    profile = state.workspace().profiles.find(shown.recipe)
    weights, heads = st.columns(2, gap="small")
    with weights, st.container(border=True, height=CARD_HEIGHT, key="chart_histogram"):
        st.markdown(f"**{words('layers.histogram')}**")
        st.caption(escaped(shown.matrix))
        if profile is None:
            _offer(shown, job, words)
        else:
            _histogram(profile, shown.matrix, words)
    with heads, st.container(border=True, height=CARD_HEIGHT, key="chart_heads"):
        st.markdown(f"**{words('layers.heads')}**")
        st.caption(words("layers.heads.help"))
        _heads(profile, words)
    if watched and (job is None or job.over):
        st.rerun()


def _histogram(profile: LayerProfile, name: str, words: Words) -> None:
    matrix = profile.matrix(name)
    figure_chart(
        "histogram_chart",
        None if matrix is None else charts.histogram(matrix, words),
        description="" if matrix is None else charts.describe_histogram(matrix, words),
        empty=words("layers.histogram.none"),
        height=CHART_HEIGHT,
    )


def _heads(profile: LayerProfile | None, words: Words) -> None:
    there = profile is not None and bool(profile.heads)
    figure_chart(
        "heads_chart",
        charts.heads_map(profile, words) if there and profile else None,
        description=charts.describe_heads(profile, words) if there and profile else "",
        empty=words("layers.heads.empty"),
        height=CHART_HEIGHT,
    )


def _offer(shown: Shown, job: JobRow | None, words: Words) -> None:
    """The one action that fills the place; how far it is, where it was taken."""
    session = state.current()
    if job is not None and not job.over:
        st.progress(fraction(session, job), text=escaped(progress_text(session, job, words)))
        stop_button(job, words, key="stop_look")
        return
    st.markdown(words("layers.look.help"))
    # A whole rerun: the fragment polls only where it was drawn with a job.
    if st.button(words("layers.look"), key="look", type="primary"):
        _look(shown.recipe, shown.run_id)
        st.rerun()
    if job is not None and job.state == "failed":
        st.error(escaped(words("layers.look.failed", reason=words.said(job.error))))


def _look(recipe: Recipe, run_id: str | None) -> None:
    session = state.current()
    try:
        job = state.workspace().profiles.submit(recipe, run_id, owner=state.visitor().owner)
    except CompresslabError as error:
        session.problem = error.message
        return
    state.own(Looking).jobs[state.version_of(recipe)] = job
