"""Every parameter of the URL: what each page reads from it and writes into it. Nothing else touches it.

It holds what a reload, a link or the back button must bring back: language, model, recipe, and the job, run and texts
that are looked at.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import streamlit as st
from compresslab.errors import BadInput
from compresslab.models.source import BUNDLED
from compresslab.recipes.generation_request import Decoding
from compresslab.recipes.recipe import Recipe
from compresslab_dashboard.present.view import MODES
from compresslab_dashboard.recipe import forms
from compresslab_dashboard.recipe.sketch import Sketch, from_short, to_short
from compresslab_dashboard.session import state
from compresslab_dashboard.session.url_number import url_number
from compresslab_dashboard.texts import LANGUAGES

SETTLING_SECONDS = 3.0  # a rerun asked for before the browser has seen the new URL still carries an older one


@dataclass
class AddressBar:
    """What was written into the address bar, so that what others write there is noticed."""

    last: dict[str, str] = field(default_factory=dict)
    before: dict[tuple[tuple[str, str], ...], float] = field(default_factory=dict)  # when others took their place

    def news(self) -> dict[str, str] | None:
        """The URL's parameters where they are not this session's own; None where there is nothing to take over."""
        params = {key: st.query_params[key] for key in st.query_params}
        settling = time.monotonic() - self.before.get(tuple(sorted(params.items())), 0.0) < SETTLING_SECONDS
        if not params or params == self.last or settling:
            return None
        self.last = params
        return params

    def write(self, params: dict[str, str]) -> None:
        if dict(st.query_params) != params:
            self.before[tuple(sorted(self.last.items()))] = time.monotonic()
            self.last = params
            st.query_params.from_dict(params)


def address_bar() -> AddressBar:
    """This session's."""
    if "address_bar" not in st.session_state:
        st.session_state["address_bar"] = AddressBar()
    bar: AddressBar = st.session_state["address_bar"]
    return bar


def _news() -> dict[str, str] | None:
    """As `AddressBar.news`, the language taken over."""
    params = address_bar().news()
    if params is not None and params.get("lang") in LANGUAGES:
        state.current().language = st.session_state["language"] = params["lang"]
    return params


def _write(params: dict[str, str]) -> None:
    address_bar().write({"lang": state.current().language} | params)


def read_studio() -> None:
    """The Studio's: first visit, reload, link, back button. Nothing where the URL is what was written last."""
    params = _news()
    if params is not None:
        _read_studio(params)


def _read_studio(params: dict[str, str]) -> None:
    session = state.current()
    session.job, session.texts = url_number(params.get("job")), url_number(params.get("texts"))
    _read_prompt(session.texts)
    session.live = params.get("live", "on") != "off"
    st.session_state["live"] = session.live
    _read_recipe(params)
    _read_run(params.get("run"))


def read_history() -> None:
    params = _news()
    if params is not None:
        state.current().selected = [run_id for run_id in params.get("run", "").split(",") if run_id]


def write_history() -> None:
    selected = ",".join(state.current().selected)
    _write({"run": selected} if selected else {})


def read_layers() -> None:
    """The Studio's recipe, and what of it is looked at."""
    params = _news()
    if params is not None:
        _read_studio(params)
        state.current().looking.take(params)


def write_layers() -> None:
    _write(studio_params() | state.current().looking.params())


def read_explore() -> None:
    params = _news()
    if params is not None:
        state.current().exploring.take(params)


def write_explore() -> None:
    _write(state.current().exploring.params())


def read_compare() -> None:
    params = _news()
    if params is not None:
        comparing = state.current().comparing
        before = comparing.texts
        comparing.take(params)
        if comparing.texts != before:
            _read_prompt(comparing.texts)
            st.session_state["compare_prompt"] = state.current().prompt
            forms.fill("compare_decoding", state.current().decoding)


def write_compare() -> None:
    _write(state.current().comparing.params())


def read_models() -> None:
    params = _news()
    if params is not None:
        st.session_state["hub_search"] = params.get("search", "")


def write_models() -> None:
    text = st.session_state.get("hub_search", "").strip()
    _write({"search": text} if text else {})


def read_present() -> None:
    params = _news()
    if params is None:
        return
    showing = state.current().showing
    showing.model = params.get("model", showing.model)
    showing.mode = next((mode for mode in MODES if mode == params.get("mode")), showing.mode)
    showing.asked = url_number(params.get("asked"))
    showing.go(params.get("size", showing.size), url_number(params.get("prompt")))


def write_present() -> None:
    showing = state.current().showing
    params = {"model": showing.model, "size": showing.size, "mode": showing.mode, "prompt": str(showing.prompt)}
    params |= {"asked": "" if showing.asked is None else str(showing.asked)}
    _write({name: value for name, value in params.items() if value})


def _read_recipe(params: dict[str, str]) -> None:
    if "model" not in params and "recipe" not in params:
        return
    session = state.current()
    try:
        recipe = from_short(params.get("recipe", to_short(state.first_recipe())), params.get("model", BUNDLED))
    except BadInput as error:
        session.problem = error.message
        return
    if recipe != session.recipe:
        state.replace_sketch(Sketch.of(recipe), remember=False)


def _read_prompt(texts: int | None) -> None:
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


def _read_run(run_id: str | None) -> None:
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


def write_studio() -> None:
    _write(studio_params())


def studio_params() -> dict[str, str]:
    """What a reload of the Studio must bring back."""
    session = state.current()
    params = {"lang": session.language, "model": session.recipe.model, "recipe": to_short(session.recipe)}
    for name, value in (("job", session.job), ("run", session.run), ("texts", session.texts)):
        if value is not None:
            params[name] = str(value)
    if not session.live:
        params["live"] = "off"
    return params
