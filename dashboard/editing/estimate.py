"""The estimate of the recipe in hand."""

from __future__ import annotations

from compresslab.errors import CompresslabError
from compresslab.messages import Message
from compresslab.planning.estimate import NO_TABLE, Estimate
from compresslab_dashboard.session import state
from compresslab_dashboard.session.state import State


def estimate_of(session: State) -> tuple[Estimate | None, Message | None]:
    """Computed once for each recipe and its model's files as they are, and once more when the model has been measured,
    which anyone may do meanwhile.
    """
    recipe, workspace = session.recipe, state.workspace()
    try:
        key = recipe.content_hash, workspace.models.facts(recipe.model).identity
        known = session.known.estimates.get(key)
        if known is None or (known.why_not == NO_TABLE and workspace.sensitivity.find(recipe) is not None):
            known = session.known.estimates[key] = workspace.estimate(recipe)
    except CompresslabError as error:
        return None, None if state.is_remote(recipe.model) else error.message
    return known, None
