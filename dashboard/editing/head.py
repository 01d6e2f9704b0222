"""The heading of the recipe in hand: undo, redo, back to the baseline."""

from __future__ import annotations

from compresslab_dashboard.session import state
from compresslab_dashboard.texts import Words
from streamlit.delta_generator import DeltaGenerator


def recipe_head(head: DeltaGenerator, words: Words) -> None:
    session = state.current()
    head.markdown(f"**{words('recipe')}**", width="stretch")
    head.button(
        words("recipe.undo"),
        key="undo",
        help=words("recipe.undo.help"),
        disabled=not session.editing.before,
        on_click=state.undo,
        type="tertiary",
    )
    head.button(
        words("recipe.redo"),
        key="redo",
        help=words("recipe.redo.help"),
        disabled=not session.editing.undone,
        on_click=state.redo,
        type="tertiary",
    )
    head.button(
        words("recipe.baseline"),
        key="to_baseline",
        help=words("recipe.baseline.help"),
        disabled=not session.recipe.steps,
        on_click=state.to_baseline,
        type="tertiary",
    )
