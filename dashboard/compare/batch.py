"""The view of a prompt set: where its prompts come from, how far its answers are, the table and the file of them."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from compresslab.data.texts import example_prompts
from compresslab.errors import BadInput
from compresslab.recipes.generation_request import LONGEST_PROMPT, GenerateRequest
from compresslab.store import JobRow
from compresslab_dashboard.compare.asking import ask
from compresslab_dashboard.compare.comparing import Comparing
from compresslab_dashboard.compare.members import Member
from compresslab_dashboard.compare.prompt_set import (
    LARGEST_FILE,
    MOST_PROMPTS,
    agreement,
    answers_frame,
    read_prompts,
    uploaded_prompts,
    written,
)
from compresslab_dashboard.jobs import actions, live
from compresslab_dashboard.jobs.progress import queue_text
from compresslab_dashboard.results.csv_text import csv_bytes
from compresslab_dashboard.session import state
from compresslab_dashboard.texts import Words, escaped

SOURCES = ("bundled", "pasted", "uploaded")
TABLE_HEIGHT = 420


def batch(members: Sequence[Member], words: Words) -> None:
    session = state.current()
    prompts = _prompts(words)
    with st.container(key="compare_set_row", horizontal=True, vertical_alignment="center"):
        open_ = live.is_open(session, state.own(Comparing).batch)
        if open_:
            st.button(words("compare.set.stop"), key="compare_set_stop", on_click=_stop)
        elif st.button(words("compare.set.go"), key="compare_set_go", type="primary", disabled=not prompts):
            ask(members, prompts, batch=True)
            st.rerun()
        count = words("compare.set.count", prompts=len(prompts), members=len(members))
        st.caption(count if prompts else "\u00a0")
    st.fragment(_answers, run_every=live.SLOW_POLL_SECONDS if open_ else None, key="compare_set_fragment")(members)


# -- where the prompts come from -------------------------------------------------------------------------------


def _prompts(words: Words) -> list[str]:
    """Those of the chosen source, shown before anything is asked; empty where they can't be read."""
    source = st.segmented_control(
        words("compare.set.source"),
        SOURCES,
        format_func=lambda name: words(f"compare.set.{name}"),
        key="compare_set_source",
        default="bundled",
        required=True,
        label_visibility="collapsed",
    )
    try:
        found = _read(source or "bundled", words)
    except BadInput as error:
        st.error(escaped(words.said(error.message)))
        return []
    if found and source != "pasted":
        with st.expander(words("compare.set.preview", prompts=len(found)), key="compare_set_preview"):
            st.dataframe({words("texts.prompt"): found}, hide_index=True, key="compare_set_prompts")
    return found


def _read(source: str, words: Words) -> list[str]:
    if source == "bundled":
        return [given["prompt"] for given in example_prompts()]
    if source == "pasted":
        limit = MOST_PROMPTS * LONGEST_PROMPT
        text = st.text_area(words("compare.set.paste"), key="compare_set_text", height=140, max_chars=limit)
        return read_prompts(text) if text.strip() else []
    file = st.file_uploader(
        words("compare.set.upload"),
        type=["txt", "jsonl", "json"],
        key="compare_set_file",
        max_upload_size=LARGEST_FILE >> 20,
    )
    return [] if file is None else uploaded_prompts(file.getvalue(), file.name)


def _stop() -> None:
    number = state.own(Comparing).batch
    if number is not None:
        actions.stop(number)


# -- answers ---------------------------------------------------------------------------------------------------


def _answers(members: Sequence[Member]) -> None:
    session, words = state.current(), state.words()
    number = state.own(Comparing).batch
    under_way = live.is_open(session, number)
    job = live.generation(number)
    if job is None:
        st.caption(words("compare.set.hint"))
        return
    request = GenerateRequest.model_validate(job.payload["request"])
    view = session.watched.view(job.id)
    wanted = len(request.prompts) * len(request.panes)
    with st.container(key="compare_set_status"):
        if job.over:
            st.caption(escaped(_ended(job, request, members, words)))
        else:
            done = written(view)
            text = words("compare.set.progress", done=done, all=wanted) if done else queue_or_start(job, words)
            st.progress(done / wanted, text=text)
    frame = answers_frame(request, view, words)
    widths = {name: st.column_config.TextColumn(width="medium") for name in frame.columns[:-1]}
    st.dataframe(
        frame, hide_index=True, height=TABLE_HEIGHT, row_height=88, column_config=widths, key="compare_set_table"
    )
    st.download_button(
        words("history.csv"),
        data=lambda: csv_bytes(frame),
        file_name="compresslab-answers.csv",
        mime="text/csv",
        key="compare_set_csv",
        help=words("compare.set.csv.help"),
        on_click="ignore",
    )
    if under_way and not live.is_open(session, number):
        st.rerun()


def queue_or_start(job: JobRow, words: Words) -> str:
    return queue_text(job.id, words) if job.state == "queued" else words("job.starting")


def _ended(job: JobRow, request: GenerateRequest, members: Sequence[Member], words: Words) -> str:
    if job.state == "failed":
        return words("texts.failed", reason=words.said(job.error))
    view = state.current().watched.view(job.id)
    said = [
        words("compare.set.agrees", name=member.name, first=members[0].name, same=same, all=asked)
        for member, same, asked in agreement(request, view, members)
        if asked
    ]
    return " ".join([words("texts.cancelled")] * (job.state == "cancelled") + said) or "\u00a0"
