"""Explore: a grid over a few settings, drawn while it is measured; each point leads to the Studio."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st
from compresslab_dashboard.app_pages.page import Page
from compresslab_dashboard.explore.board import board
from compresslab_dashboard.explore.exploring import Exploring
from compresslab_dashboard.explore.form import form
from compresslab_dashboard.session import state
from compresslab_dashboard.shell import frame


def draw() -> None:
    _leave()
    ready = form(state.words())
    frame.foot()
    frame.notices()
    board(ready)


def _take(params: Mapping[str, str]) -> None:
    state.own(Exploring).take(params)


PAGE = Page("explore", draw, _take)


def _leave() -> None:
    """To where the panel wants to go: a fragment by itself would leave this page's address behind."""
    exploring = state.own(Exploring)
    if exploring.leaving is not None:
        name, params = exploring.leaving
        exploring.leaving = None
        st.switch_page(state.page(name), query_params=params)
