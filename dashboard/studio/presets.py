"""Recipes in users' words: one press replaces the steps, and one sentence says by what and with what in return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import streamlit as st
from compresslab.errors import CompresslabError
from compresslab.planning.presets import TELLS, Goal, Preset
from compresslab_dashboard.jobs import actions
from compresslab_dashboard.recipe.sketch import Sketch
from compresslab_dashboard.recipe.words import steps_text
from compresslab_dashboard.session import state
from compresslab_dashboard.texts import Words, escaped, formats

GOALS: tuple[Goal, ...] = get_args(Goal)
NEEDS_TABLE: tuple[Goal, ...] = ("smallest",)


@dataclass
class LastPreset:
    """What it did, and the content hash of the recipe that it made."""

    sentence: str = ""
    recipe: str = ""


def presets(words: Words, *, known: bool) -> None:
    """`known` is False for a model whose facts are not here: nothing can be chosen for it."""
    with st.popover(words("presets"), type="tertiary", key="presets", disabled=not known):
        st.caption(words("presets.help"))
        measured = known and _is_measured()
        for goal in GOALS:
            told = words(f"preset.{goal}.help", percent=f"{TELLS - 1:.0%}")
            st.button(
                f"**{words(f'preset.{goal}')}**  \n{told}",
                key=f"preset.{goal}",
                width="stretch",
                disabled=goal in NEEDS_TABLE and not measured,
                on_click=_take,
                args=(goal,),
            )
        if known and not measured:
            st.caption(words("preset.unmeasured"))
            st.button(words("fit.measure"), key="preset.measure", on_click=actions.measure_sensitivity, width="stretch")


def said() -> None:
    """What the last preset did, as long as its recipe is the one on the screen."""
    last = state.own(LastPreset)
    if last.recipe == state.current().recipe.content_hash:
        st.caption(escaped(last.sentence))


def _is_measured() -> bool:
    try:
        return state.workspace().sensitivity.find(state.current().recipe) is not None
    except CompresslabError:
        return False


def _take(goal: Goal) -> None:
    session = state.current()
    try:
        chosen = state.workspace().preset(goal, session.recipe)
    except CompresslabError as error:
        session.problem = error.message
        return
    state.replace_sketch(Sketch.of(chosen.recipe))
    last = state.own(LastPreset)
    last.sentence, last.recipe = sentence(chosen, state.words()), session.recipe.content_hash


def sentence(chosen: Preset, words: Words) -> str:
    """ "Half the size: 5 bit, mixed. 4.1 MB of 12.3 MB. Expected …": what was taken, and what is expected of it."""
    told = chosen.estimate
    size = words(
        "preset.size", size=formats.file_size(told.compressed_bytes), baseline=formats.file_size(told.baseline_bytes)
    )
    parts = [f"{words(f'preset.{chosen.goal}')}: {steps_text(chosen.recipe.to_dict(), words)}. {size}"]
    if chosen.goal == "fastest":
        parts.append(words("preset.bound", times=formats.times(told.decode_bound)))
    if told.predicted is not None:
        percent = formats.change(100 * (told.predicted.perplexity_ratio - 1))
        parts.append(words("preset.predicted", percent=percent, dataset=words.said(told.predicted.dataset)))
    else:
        parts.append(words("preset.not_predicted"))
    return " ".join(parts)
