"""Whether a model fits this machine, and what would."""

from __future__ import annotations

import streamlit as st
from compresslab.errors import CompresslabError
from compresslab.models.source import BUNDLED
from compresslab.recipes.plan import Fit
from compresslab_dashboard.session import state
from compresslab_dashboard.texts import Words, escaped, formats


def model_name(model: str, words: Words) -> str:
    """As it stands in the list: one that is too large for this machine says so."""
    room = _fit(model)
    return model if room is None or room.fits else words("fits.too_large.short", model=model)


def room_line(model: str, words: Words) -> None:
    """One line below the model that is chosen."""
    room = _fit(model)
    if room is None:
        return
    shown = {"need": formats.file_size(room.need), "memory": formats.file_size(room.memory)}
    if not room.fits:
        largest = formats.parameters(room.parameters, words.language)
        st.warning(escaped(words("fits.too_large", **shown, largest=largest)))
    else:
        st.caption(escaped(words("fits.from_disk" if room.offloaded else "fits", **shown)))


def room_text(model: str, words: Words) -> str:
    """The same in a few words; empty where it can't be said."""
    room = _fit(model)
    if room is None:
        return ""
    name = "fits.offloaded" if room.fits and room.offloaded else "fits.well" if room.fits else "fits.not"
    return words(name, need=formats.file_size(room.need))


def largest_model() -> int | None:
    """Parameters, about, of the largest model that this machine has room for."""
    room = _fit(BUNDLED)
    return room.parameters if room else None


def _fit(model: str) -> Fit | None:
    """None where the model's facts are not here. The steps count: training needs more than pruning."""
    try:
        return state.workspace().fit(state.current().recipe.replace(model=model))
    except CompresslabError:
        return None
