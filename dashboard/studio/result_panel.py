"""The verdict, how far the work is, and the charts: one fragment, polled while a job is under way."""

from __future__ import annotations

from collections.abc import Callable

import plotly.graph_objects as go
import streamlit as st
from compresslab.recipes.recipe import Recipe
from compresslab.records.paces import paces
from compresslab.store import JobRow
from compresslab_dashboard.charts import figures
from compresslab_dashboard.components.stream_chart import figure_chart, stream_chart
from compresslab_dashboard.jobs import live
from compresslab_dashboard.jobs.progress import fraction, queue_text, run_text
from compresslab_dashboard.jobs.stopping import stop_button
from compresslab_dashboard.report.button import report_button
from compresslab_dashboard.results.verdict import make_verdict, verdict_html
from compresslab_dashboard.session import state
from compresslab_dashboard.session.state import State
from compresslab_dashboard.studio.outcome import Outcome, outcome_of
from compresslab_dashboard.texts import Words, escaped, formats

CHART_HEIGHT = 176
CARD_HEIGHT = 236  # with its heading and border
WORTH_SAYING = 3.0  # seconds: a draft takes about one, and longer where statistics have to be taken first


def result_panel() -> None:
    """Polls only while there is something to hear of."""
    every = live.pace(live.watched(state.current()), live.POLL_SECONDS)
    st.fragment(_panel, run_every=every, key="result")(every)


def _panel(every: float | None) -> None:
    session = state.current()
    before = live.watched(session)
    jobs = {job_id: live.pull(job_id) for job_id in before}
    words = state.words()
    outcome = outcome_of(session)
    with st.container(key="verdict", height="content"):
        st.html(verdict_html(make_verdict(outcome.estimate, outcome.measurements, words), words))
    with st.container(key="status"):
        _status(session, jobs, outcome, words)
    _charts(session.recipe, outcome, words)
    if live.watched(session) != before or live.turn_has_come(before, every, live.POLL_SECONDS):
        st.rerun()


# -- how far it is ---------------------------------------------------------------------------------------------


def _status(session: State, jobs: dict[int, JobRow | None], outcome: Outcome, words: Words) -> None:
    """One line of constant height: the full run if there is one, else the draft, else what the numbers are."""
    final = jobs.get(session.job or 0)
    draft = jobs.get(session.draft or 0)
    if final is not None and not final.over:
        _progress(session, final, words)
    elif draft is not None and not draft.over:
        st.progress(fraction(session, draft), text=_draft_text(session, draft, words))
    else:
        _said(session, outcome, words)


def _progress(session: State, job: JobRow, words: Words) -> None:
    bar, button = st.columns([6, 1], vertical_alignment="center")
    bar.progress(fraction(session, job), text=escaped(run_text(session, job, words)))
    with button:
        stop_button(job, words, key="stop", width="stretch")


def _draft_text(session: State, job: JobRow, words: Words) -> str:
    if job.state == "queued":
        return escaped(queue_text(job.id, words))
    progress = session.watched.view(job.id).progress
    left = progress.seconds_left if progress and (progress.seconds_left or 0) >= WORTH_SAYING else None
    return " · ".join(filter(None, [words("draft.running"), formats.seconds_left(left, words.language)]))


def _said(session: State, outcome: Outcome, words: Words) -> None:
    """What the numbers on the screen are, or why there are none."""
    ended = [session.watched.ended.get(job or 0) for job in (session.job, session.draft)]
    wanted = state.version_of(session.recipe)
    mine = [job for job in ended if job is not None and session.watched.recipes.get(job.id) == wanted]
    failed = next((job for job in mine if job.state == "failed"), None)
    stopped = any(job.state == "cancelled" and not job.live for job in mine)
    if outcome.problem:
        st.error(escaped(words.said(outcome.problem)))
    elif failed is not None:
        st.error(escaped(words("job.failed", reason=words.said(failed.error))))
    elif stopped:
        st.caption(words("job.cancelled"))
    else:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(escaped(_label(session, outcome, words)), width="stretch")
            if outcome.record is not None:
                report_button([outcome.record.run_id], words)


def _label(session: State, outcome: Outcome, words: Words) -> str:
    if outcome.record is not None:
        took = formats.duration(outcome.record.seconds, words.language)
        return words("idle.final", seconds=took, device=outcome.record.hardware.device_name)
    if outcome.stage == "draft":
        return words("idle.draft")
    if not session.recipe.steps:
        return words("idle.baseline")
    return words("idle.estimate") if session.live else words("idle.waiting")


# -- the charts ------------------------------------------------------------------------------------------------


def _charts(recipe: Recipe, outcome: Outcome, words: Words) -> None:
    distils = any(step.kind == "distill" for step in recipe.steps)
    columns = iter(st.columns(4 if distils else 3, gap="small"))
    with next(columns), _card("quality", words):
        _quality(outcome, words)
    if distils:
        with next(columns), _card("loss", words):
            _loss(outcome, words)
    with next(columns), _card("accuracy", words):
        rows = figures.kinds(outcome.measurements)
        _figure("accuracy", bool(rows), figures.accuracy_by_kind_chart, figures.describe_kinds, outcome, words)
    with next(columns), _card("speed", words):
        timed = paces(outcome.measurements)
        _figure("speed", bool(timed), figures.speed_chart, figures.describe_speed, outcome, words)


def _card(name: str, words: Words) -> st.delta_generator.DeltaGenerator:
    card = st.container(border=True, key=f"chart_{name}", height=CARD_HEIGHT)
    card.markdown(f"**{words(f'panel.{name}')}**")
    return card


def _quality(outcome: Outcome, words: Words) -> None:
    chart = figures.quality_stream(
        outcome.drafts,
        outcome.measurements,
        words,
        stream=f"{outcome.stream}.{words.language}",
    )
    stream_chart("quality_chart", chart, CHART_HEIGHT)


def _loss(outcome: Outcome, words: Words) -> None:
    losses = outcome.record.losses if outcome.record else outcome.view.losses
    total = outcome.view.loss_total or None
    chart = figures.loss_stream(losses, words, stream=f"{outcome.stream}.{words.language}", total=total)
    stream_chart("loss_chart", chart, CHART_HEIGHT)


def _figure(
    name: str,
    ready: bool,
    draw: Callable[..., go.Figure],
    describe: Callable[..., str],
    outcome: Outcome,
    words: Words,
) -> None:
    figure_chart(
        f"{name}_chart",
        draw(outcome.measurements, words) if ready else None,
        description=describe(outcome.measurements, words) if ready else "",
        empty=words(f"panel.{name}.empty"),
        height=CHART_HEIGHT,
    )
