"""Which runs the History lists, and in what order: what its fields say, for the store to answer."""

from __future__ import annotations

import streamlit as st
from compresslab.store.runs import RunFilter
from compresslab_dashboard.history.picked import ORDERS, Picked
from compresslab_dashboard.recipe.words import phrase_of
from compresslab_dashboard.session import state
from compresslab_dashboard.texts import Words

ROWS = 500  # on one page: what a table and a chart show at once


def wanted(words: Words) -> RunFilter:
    """The fields in the sidebar."""
    labels = state.workspace().runs.labels()
    every = words("history.filter.every")
    with st.sidebar:
        text = (st.text_input(words("history.filter"), key="filter", help=words("history.filter.help")) or "").strip()
        of_models = (
            st.multiselect(words("model"), labels.models, key="filter_models", placeholder=every)
            if len(labels.models) > 1
            else []
        )
        of_tags = (
            st.multiselect(words("history.tags"), labels.tags, key="filter_tags", placeholder=every)
            if labels.tags
            else []
        )
    steps = _saying(text, words) if text else ()
    return RunFilter(tuple(of_models), tuple(of_tags), text, steps)


def _saying(text: str, words: Words) -> tuple[str, ...]:
    """The steps whose phrase, as the table has it, holds the text."""
    used = state.workspace().runs.steps_used()
    return tuple(steps for steps in used if text.casefold() in phrase_of(steps, words).casefold())


def page_and_order(count: int, words: Words) -> None:
    """Choices that only a list of several pages needs: a click on a head sorts the rows of one page alone."""
    picked = state.own(Picked)
    picked.page = min(picked.page, (count - 1) // ROWS)
    if count <= ROWS:
        return
    st.session_state["history_order"], st.session_state["history_page"] = picked.order, picked.page
    st.selectbox(
        words("history.order"),
        ORDERS,
        format_func=lambda order: words(f"history.order.{order}"),
        key="history_order",
        label_visibility="collapsed",
        width=190,
        on_change=_take,
    )
    st.selectbox(
        words("history.page"),
        range((count - 1) // ROWS + 1),
        format_func=lambda page: f"{page * ROWS + 1:,}–{min((page + 1) * ROWS, count):,}",
        key="history_page",
        label_visibility="collapsed",
        width=150,
        on_change=_take,
    )


def _take() -> None:
    picked = state.own(Picked)
    order = st.session_state["history_order"]
    picked.page = st.session_state["history_page"] if order == picked.order else 0
    picked.order = order
