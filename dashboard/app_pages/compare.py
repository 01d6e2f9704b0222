"""Compare: two to six runs or baselines, their answers, numbers and recipes, and what people prefer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st
from compresslab.records.run_row import RunRow
from compresslab_dashboard.answers.panes import writes
from compresslab_dashboard.app_pages.page import Page
from compresslab_dashboard.compare.answers import answers
from compresslab_dashboard.compare.batch import batch
from compresslab_dashboard.compare.blind import blind
from compresslab_dashboard.compare.comparing import BASELINE, MOST, VIEWS, Comparing
from compresslab_dashboard.compare.measures import numbers_frame, rows_of, table_html
from compresslab_dashboard.compare.members import Member, baseline_name, members_of, run_name
from compresslab_dashboard.compare.recipes import difference
from compresslab_dashboard.recipe import forms
from compresslab_dashboard.report.button import report_button
from compresslab_dashboard.results.csv_text import csv_bytes
from compresslab_dashboard.session import address, recipe_address, state
from compresslab_dashboard.shell import frame
from compresslab_dashboard.texts import Words, escaped

LISTED = 200  # runs that can be chosen from here; older ones are compared from the History


def draw() -> None:
    words = state.words()
    records = state.workspace().runs.rows(limit=LISTED)
    frame.notices()
    if records or state.own(Comparing).members:
        members, problems = members_of(state.workspace(), state.own(Comparing).members, records, words)
        _chooser(records, members, words)
        for problem in problems:
            st.error(escaped(words.said(problem)))
        if len(members) > 1:
            _compare(members, words)
    else:
        _no_runs(words)
    frame.below()
    address.write(state.own(Comparing).params())


def _take(params: Mapping[str, str]) -> None:
    comparing = state.own(Comparing)
    before = comparing.texts
    comparing.take(params)
    if comparing.texts != before:
        recipe_address.take_prompt(comparing.texts)
        st.session_state["compare_prompt"] = state.current().prompt
        forms.fill("compare_decoding", state.current().decoding)


PAGE = Page("compare", draw, _take)


def _no_runs(words: Words) -> None:
    with st.container(border=True, key="compare_empty"):
        st.markdown(words("compare.empty"))
        if st.button(words("history.empty.action"), key="to_studio", type="primary"):
            st.switch_page(state.page("studio"), query_params=recipe_address.params())


# -- who is compared -------------------------------------------------------------------------------------------


def _chooser(records: Sequence[RunRow], members: Sequence[Member], words: Words) -> None:
    """Runs, and the baselines of their models; those of a link may be older than the list."""
    comparing = state.own(Comparing)
    names = {BASELINE + model: baseline_name(model, words) for model in dict.fromkeys(r.model for r in records)}
    names |= {record.run_id: run_name(record, words) for record in records}
    names |= {member.key: member.name for member in members}
    options = list(dict.fromkeys([*names, *comparing.members]))
    st.session_state["compare_members"] = comparing.members
    chosen = st.multiselect(
        words("compare.members"),
        options,
        format_func=lambda key: names.get(key, key),
        key="compare_members",
        max_selections=MOST,
        placeholder=words("compare.members.placeholder"),
        label_visibility="collapsed",
        on_change=_take_members,
    )
    st.html(chip_colors(members, comparing.members))
    if len(chosen) < 2:
        _too_few(records, words)


def chip_colors(members: Sequence[Member], keys: Sequence[str]) -> str:
    """A style that gives every chip of the chooser its member's colour."""
    colors = {member.key: member.color for member in members}
    rules = [
        f'.st-key-compare_members [data-tag-index="{place}"] {{ --member: {colors[key]}; }}'
        for place, key in enumerate(keys)
        if key in colors
    ]
    return f"<style>{' '.join(rules)}</style>"


def _take_members() -> None:
    state.own(Comparing).choose(list(st.session_state["compare_members"]))


def _too_few(records: Sequence[RunRow], words: Words) -> None:
    with st.container(border=True, horizontal=True, vertical_alignment="center", key="compare_few"):
        st.markdown(words("compare.few", most=MOST), width="stretch")
        if records:
            st.button(words("compare.newest"), key="compare_newest", type="primary", on_click=_newest, args=(records,))


def _newest(records: Sequence[RunRow]) -> None:
    """The newest run, two others of the same model at most, and their baseline."""
    same = [record.run_id for record in records if record.model == records[0].model]
    state.own(Comparing).choose([BASELINE + records[0].model, *same[:3]])


# -- the views -------------------------------------------------------------------------------------------------


def _compare(members: Sequence[Member], words: Words) -> None:
    comparing = state.own(Comparing)
    with st.container(key="compare_bar", horizontal=True, vertical_alignment="center"):
        st.session_state["compare_view"] = comparing.view
        st.segmented_control(
            words("compare.view"),
            VIEWS,
            format_func=lambda view: words(f"compare.view.{view}"),
            key="compare_view",
            required=True,
            label_visibility="collapsed",
            on_change=_take_view,
            width="stretch",
        )
        runs = [m.record.run_id for m in members if m.record is not None and m.variant == "compressed"]
        report_button(runs, words, disabled=not runs)
    if comparing.view == "numbers":
        _numbers(members, words)
    elif comparing.view == "recipes":
        _recipes(members, words)
    elif not all(writes(member.model) for member in members):
        st.caption(words("texts.not_a_writer"))
    else:
        {"answers": answers, "prompts": batch, "blind": blind}[comparing.view](members, words)


def _take_view() -> None:
    state.own(Comparing).view = st.session_state["compare_view"] or "answers"


def _numbers(members: Sequence[Member], words: Words) -> None:
    rows = rows_of(members)
    if not rows:
        st.caption(words("compare.no_numbers"))
        return
    st.html(table_html(members, rows, words))
    with st.container(key="compare_numbers_foot", horizontal=True, vertical_alignment="center"):
        st.caption(words("compare.numbers.how"), width="stretch")
        st.download_button(
            words("history.csv"),
            data=lambda: csv_bytes(numbers_frame(members, rows, words)),
            file_name="compresslab-comparison.csv",
            mime="text/csv",
            key="compare_csv",
            on_click="ignore",
        )


def _recipes(members: Sequence[Member], words: Words) -> None:
    everything = st.toggle(words("compare.recipes.all"), key="compare_all_settings")
    found = difference(members, words, everything=everything)
    if found.empty:
        st.caption(words("compare.recipes.same"))
    else:
        with st.container(key="compare_recipes"):
            st.dataframe(found, hide_index=True)
