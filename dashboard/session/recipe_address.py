"""The recipe in hand in the address bar, with the job, the run and the texts that are looked at: the Studio's, which
the Layers page and links into the Studio share."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st
from compresslab.errors import BadInput, CompresslabError
from compresslab.models.source import BUNDLED
from compresslab.recipes.generation_request import Decoding
from compresslab.recipes.recipe import Recipe
from compresslab_dashboard.recipe import forms
from compresslab_dashboard.recipe.sketch import Sketch, from_short, to_short
from compresslab_dashboard.session import state
from compresslab_dashboard.session.editing import first_recipe
from compresslab_dashboard.session.url_number import url_number


def take(params: Mapping[str, str]) -> None:
    session = state.current()
    session.job, session.texts = _run_number(params.get("job")), url_number(params.get("texts"))
    take_prompt(session.texts)
    session.live = params.get("live", "on") != "off"
    st.session_state["live"] = session.live
    _take_recipe(params)
    _take_run(params.get("run"))


def params() -> dict[str, str]:
    """What a reload of the Studio must bring back."""
    session = state.current()
    told = {"lang": session.language, "model": session.recipe.model, "recipe": to_short(session.recipe)}
    for name, value in (("job", session.job), ("run", session.run), ("texts", session.texts)):
        if value is not None:
            told[name] = str(value)
    if not session.live:
        told["live"] = "off"
    return told


def take_prompt(texts: int | None) -> None:
    """The box shows the prompt that the texts on the screen continue."""
    if texts is None:
        return
    try:
        request = state.workspace().jobs.find(texts).payload.get("request")
    except BadInput:
        return  # the panes say that the store does not know them
    if request:
        st.session_state["prompt"] = state.current().prompt = request["prompt"]
        state.current().decoding = Decoding.parse(request["decoding"], "decoding")
        forms.fill("decoding", state.current().decoding)


def _run_number(text: str | None) -> int | None:
    """Of a job that runs a recipe, or that the store does not know: the page says so. Others show nothing here."""
    number = url_number(text)
    try:
        return number if number is None or state.workspace().jobs.find(number).kind == "run" else None
    except CompresslabError:
        return number


def _take_recipe(params: Mapping[str, str]) -> None:
    if "model" not in params and "recipe" not in params:
        return
    session = state.current()
    try:
        recipe = from_short(params.get("recipe", to_short(first_recipe())), params.get("model", BUNDLED))
    except BadInput as error:
        session.problem = error.message
        return
    if recipe != session.recipe:
        state.replace_sketch(Sketch.of(recipe), remember=False)


def _take_run(run_id: str | None) -> None:
    """The run whose numbers are shown, if it is a run of the recipe that the URL says."""
    if run_id is None:
        return
    session = state.current()
    try:
        found = state.record(run_id)
        if to_short(Recipe.from_dict(found.recipe)) == to_short(session.recipe):
            state.open_run(found)
    except BadInput as error:
        session.problem = error.message
