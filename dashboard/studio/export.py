"""Out of the tool: the run on the screen in the formats that other programs load, sizes side by side."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from compresslab.errors import BadInput
from compresslab.messages import Message
from compresslab.records.results import ExportRecord, RunRecord
from compresslab.store import JobRow
from compresslab.work.exporting import Offer, card_of
from compresslab_dashboard.jobs import live
from compresslab_dashboard.jobs.progress import fraction, progress_text
from compresslab_dashboard.jobs.stopping import stop_button
from compresslab_dashboard.recipe import forms
from compresslab_dashboard.results import exported
from compresslab_dashboard.session import state
from compresslab_dashboard.session.state import State
from compresslab_dashboard.studio.exporting import Exporting, export
from compresslab_dashboard.texts import Words, escaped, formats

WIDTHS = [5, 4, 3]  # of a line: what it is, how large, what to do


def export_block() -> None:
    """Polls only while something is being written."""
    polled = bool(_open_jobs(state.current()))
    st.fragment(_block, run_every=live.SLOW_POLL_SECONDS / 2 if polled else None, key="export")(polled)


def _block(polled: bool) -> None:
    session, words = state.current(), state.words()
    record = _record(session)
    if record is None:
        return
    jobs = {job_id: live.pull(job_id) for job_id in _open_jobs(session)}
    with st.container(border=True, key="export_block"):
        st.markdown(f"**{words('export')}**")
        st.caption(words("export.help"))
        try:
            offers = state.workspace().exports.offers(record.run_id, state.own(Exporting).settings)
        except BadInput as error:
            st.info(escaped(words.said(error.message)))
            return
        _baseline(record, words)
        for offer in offers:
            _line(session, state.record(record.run_id), offer, jobs, words)
    if bool(_open_jobs(session)) != polled:  # something has begun, or nothing is left to wait for
        st.rerun()


def _record(session: State) -> RunRecord | None:
    """The finished run of the recipe on the screen, its weights kept."""
    found = session.watched.finals.get(state.version_of(session.recipe))
    if found is None:
        return None
    try:
        record = state.record(found[0])
    except BadInput:
        return None
    return record if record.saved_to else None


def _open_jobs(session: State) -> list[int]:
    return [job for job in state.own(Exporting).jobs.values() if live.is_open(session, job)]


# -- lines -------------------------------------------------------------------------------------------------------


def _baseline(record: RunRecord, words: Words) -> None:
    bytes_ = exported.baseline_bytes(record)
    _, size, _ = st.columns(WIDTHS, vertical_alignment="center", gap="medium")
    size.html(exported.bar("baseline", bytes_, bytes_, words("export.baseline", size=formats.file_size(bytes_))))


def _line(session: State, record: RunRecord, offer: Offer, jobs: dict[int, JobRow | None], words: Words) -> None:
    name = offer.form.name
    job_id = state.own(Exporting).jobs.get((record.run_id, name))
    job = None if job_id is None else jobs.get(job_id) or session.watched.ended.get(job_id)
    written = exported.newest(record, name)
    with st.container(key=f"exportline_{name}"):
        about, size, act = st.columns(WIDTHS, vertical_alignment="center", gap="medium")
        about.markdown(f"**{words.format_label(name)}**")
        about.caption(exported.what_it_is(offer, words))
        if offer.refusal:
            size.caption(f"{words('export.refused')} {escaped(words.said(offer.refusal))}")
            return
        size.html(exported.size_bar(record, offer, written, words))
        with act:
            _act(session, record, offer, job, words)
        problem = state.own(Exporting).unwritten.get((record.run_id, name)) or _failure(job)
        if problem:
            st.error(escaped(words("export.failed", reason=words.said(problem))))
        elif job is not None and job.state == "cancelled":
            st.caption(words("export.stopped"))
        if written is not None:
            _said(written, offer, words)


def _failure(job: JobRow | None) -> Message | None:
    return job.error if job is not None and job.state == "failed" else None


def _act(session: State, record: RunRecord, offer: Offer, job: JobRow | None, words: Words) -> None:
    name = offer.form.name
    if job is not None and not job.over:
        st.progress(fraction(session, job), text=escaped(progress_text(session, job, words)))
        stop_button(job, words, key=f"export_stop.{name}")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            words("export.again") if exported.newest(record, name) else words("export.write"),
            key=f"export_write.{name}",
            on_click=export,
            args=(record.run_id, name),
        )
        if offer.form.controls():
            with st.popover(words("export.settings"), key=f"export_settings.{name}"):
                _settings(session, offer, words)


def _settings(session: State, offer: Offer, words: Words) -> None:
    name = offer.form.name
    chosen = forms.form(f"export.{name}", name, offer.form, words)
    if chosen != offer.form:
        state.own(Exporting).settings[name] = chosen.model_dump()
        st.rerun()


def _said(written: ExportRecord, offer: Offer, words: Words) -> None:
    """What was found when it was opened again, where it lies, and how to open it."""
    st.caption(escaped(exported.finding(written, words)))
    for note in written.notes:
        if note not in offer.remarks:
            st.caption(escaped(words.said(note)))
    folder = Path(written.folder)
    if not folder.exists():
        st.warning(escaped(words("export.gone")))
        return
    place, way = st.columns([9, 3], vertical_alignment="center", gap="medium")
    place.code(written.folder, language=None, wrap_lines=True)
    with way.popover(words("export.open"), key=f"export_open.{written.format}"):
        for program, lines in offer.lines(written.folder).items():
            st.caption(program)
            st.code(lines, language=None, wrap_lines=True)
        st.caption(f"**{words('export.card')}**  \n{words('export.card.help')}")
        st.code(card_of(folder), language=None, height=320, wrap_lines=True)
