"""The estimate of the recipe in hand."""

from __future__ import annotations

from compresslab.errors import CompresslabError
from compresslab.messages import Message
from compresslab.planning.estimate import NO_TABLE, Estimate
from compresslab_dashboard.session import state
from compresslab_dashboard.session.state import State


def estimate_of(session: State) -> tuple[Estimate | None, Message | None]:
    """Computed once for each recipe, and once more when the model has been measured, which anyone may do meanwhile."""
    recipe = session.recipe
    known = session.known.estimates.get(recipe.content_hash)
    try:
        if known is None or (known.why_not == NO_TABLE and state.workspace().sensitivity.find(recipe) is not None):
            known = session.known.estimates[recipe.content_hash] = state.workspace().estimate(recipe)
    except CompresslabError as error:
        return None, None if state.is_remote(recipe.model) else error.message
    return known, None
