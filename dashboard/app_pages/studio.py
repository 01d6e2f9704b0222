"""The Studio: make a recipe, see what it costs and buys, read both models' answers."""

from __future__ import annotations

from compresslab_dashboard.app_pages.page import Page
from compresslab_dashboard.jobs import actions, live
from compresslab_dashboard.session import address, recipe_address, state
from compresslab_dashboard.shell import frame
from compresslab_dashboard.studio.export import export_block
from compresslab_dashboard.studio.result_panel import result_panel
from compresslab_dashboard.studio.side_by_side import side_by_side
from compresslab_dashboard.studio.sidebar import sidebar


def draw() -> None:
    sidebar()
    frame.foot()
    session = state.current()
    frame.notices()
    live.catch_up(session)
    actions.draft_if_due(session)
    actions.follow(session)
    result_panel()
    side_by_side()
    export_block()
    address.write(recipe_address.params())


PAGE = Page("studio", draw, recipe_address.take)
