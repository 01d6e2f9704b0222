"""Models: what is on this machine, and what the Hub has; fetched with progress, stopped, deleted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import streamlit as st
from compresslab.errors import CompresslabError
from compresslab.models.hub import Cached, Found
from compresslab.store import JobRow
from compresslab.work.visitors import refusal_of_machine
from compresslab_dashboard.app_pages.data_folder import data_folder
from compresslab_dashboard.app_pages.page import Page
from compresslab_dashboard.editing.room import largest_model, room_text
from compresslab_dashboard.jobs import live
from compresslab_dashboard.jobs.progress import fraction, progress_text
from compresslab_dashboard.jobs.stopping import stop_button
from compresslab_dashboard.recipe.words import model_text
from compresslab_dashboard.session import address, state
from compresslab_dashboard.shell import frame
from compresslab_dashboard.texts import Words, escaped, formats
from streamlit.delta_generator import DeltaGenerator

WIDTH = 960  # pixels: the eye finds the button that belongs to a name


@dataclass
class Fetching:
    """What a browser session remembers of this page."""

    downloads: set[int] = field(default_factory=set)  # models that are being fetched, by anybody
    said: str = ""  # what there is to tell of the last thing done
    gone: str = ""  # the model that was deleted with it


def draw() -> None:
    words = state.words()
    with st.container(key="models", width=WIDTH):
        st.title(words("models.title"))
        frame.notices()
        _said(words)
        _downloads(words)
        _here(words)
        _hub(words)
        data_folder(words)
        frame.below()
    address.write(_params())


def _take(params: Mapping[str, str]) -> None:
    st.session_state["hub_search"] = params.get("search", "")


def _params() -> dict[str, str]:
    text = st.session_state.get("hub_search", "").strip()
    return {"search": text} if text else {}


PAGE = Page("models", draw, _take)


# -- under way ---------------------------------------------------------------------------------------------------


def _downloads(words: Words) -> None:
    """Everybody's, so that nobody fetches the same model again."""
    every = live.SLOW_POLL_SECONDS / 2 if _open() else None
    st.fragment(_under_way, run_every=every)(words)


def _open() -> list[JobRow]:
    return [job for job in state.workspace().jobs.open() if job.kind == "download"]


def _coming() -> set[str]:
    return {job.payload["model"] for job in _open()}


def _under_way(words: Words) -> None:
    session, fetching = state.current(), state.own(Fetching)
    jobs = _open()
    for job in jobs:
        live.pull(job.id)
        name = escaped(job.payload["model"])
        with st.container(border=True, key=f"download.{job.id}"):
            bar, stop = st.columns([10, 2], vertical_alignment="center")
            text = " · ".join(filter(None, [name, progress_text(session, job, words), _bytes(job)]))
            bar.progress(fraction(session, job), text=text)
            with stop:
                stop_button(job, words, key=f"stop_download.{job.id}")
    now = {job.id for job in jobs}
    if now != fetching.downloads:
        _tell_ends(fetching.downloads - now, words)
        fetching.downloads = now
        st.rerun()


def _tell_ends(over: set[int], words: Words) -> None:
    """How those ended that were under way a moment ago; one that is here needs no words."""
    for job in filter(None, map(live.pull, over)):
        said = {"cancelled": "models.stopped", "failed": "models.failed"}.get(job.state)
        if said:
            state.own(Fetching).said = words(said, model=job.payload["model"], reason=words.said(job.error))


def _bytes(job: JobRow) -> str:
    progress = state.current().watched.view(job.id).progress
    if progress is None or progress.stage != "download":
        return ""
    return f"{formats.file_size(progress.done)} / {formats.file_size(progress.total)}"


# -- here --------------------------------------------------------------------------------------------------------


def _here(words: Words) -> None:
    st.subheader(words("models.here"))
    downloaded = {model.name: model for model in state.workspace().models.cached()}
    parts = _coming()  # what is here of these is shown above, as it grows
    known = state.workspace().models.names()
    for name in dict.fromkeys([*known, *(model for model in downloaded if model not in parts)]):
        _local(name, downloaded.get(name), words)


def _local(name: str, cached: Cached | None, words: Words) -> None:
    about, act = _row(f"model.{name}")
    short = model_text(name)
    about.markdown(f"**{escaped(short)}**")
    unfit = ""
    try:
        facts = state.workspace().models.facts(name)
        parameters = formats.parameters(facts.parameters, words.language)
        said = words("models.facts", family=facts.family, parameters=parameters, layers=facts.layers)
        told = [said, formats.file_size(facts.file_bytes), room_text(name, words)]
    except CompresslabError as error:
        unfit = words("models.part") if cached and not cached.whole else words.said(error.message)
        told = [unfit, formats.file_size(cached.bytes) if cached else ""]
    about.caption(escaped(" · ".join(filter(None, told))))
    if short != name:
        about.caption(escaped(name))
    with act:
        if not unfit and st.button(words("models.open"), key=f"open_model.{name}"):
            state.replace_sketch(state.set_base(model=name))
            st.switch_page(state.page("studio"))
        elif cached and not cached.whole:
            st.button(words("models.go_on"), key=f"fetch.{name}", on_click=_fetch, args=(name,))
        if cached is not None and refusal_of_machine(state.visitor()) is None:
            _delete(cached, words)


def _row(key: str) -> tuple[DeltaGenerator, DeltaGenerator]:
    """What it is, and at the end of the line what can be done with it."""
    row = st.container(key=f"row.{key}", horizontal=True, vertical_alignment="center", gap="medium")
    return row.container(gap=None, width="stretch"), row.container(horizontal=True, width="content")


def _delete(cached: Cached, words: Words) -> None:
    with st.popover(words("models.delete"), key=f"delete_menu.{cached.name}"):
        st.markdown(words("models.delete.sure", model=escaped(cached.name), size=formats.file_size(cached.bytes)))
        st.button(
            words("models.delete.yes"), key=f"delete_model.{cached.name}", on_click=_forget, args=(cached.name, words)
        )


def _forget(name: str, words: Words) -> None:
    fetching = state.own(Fetching)
    fetching.gone = ""
    try:
        freed = state.workspace().models.delete(name, by=state.visitor())
        fetching.said, fetching.gone = (
            words("models.deleted", model=name, size=formats.file_size(freed)),
            name,
        )
    except CompresslabError as error:
        fetching.said = words.said(error.message)


def _said(words: Words) -> None:
    """What came of the last thing done; the way back from a deletion is to fetch the model again."""
    fetching = state.own(Fetching)
    if not fetching.said:
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center", key="models_said"):
        st.markdown(escaped(fetching.said), width="stretch")
        if fetching.gone:
            st.button(
                words("models.again"),
                key=f"again.{fetching.gone}",
                on_click=_fetch,
                args=(fetching.gone,),
            )


# -- the Hub -----------------------------------------------------------------------------------------------------


def _hub(words: Words) -> None:
    st.subheader(words("models.hub"))
    st.text_input(
        words("models.search"),
        key="hub_search",
        placeholder=words("models.search.placeholder"),
        help=words("models.search.help"),
        max_chars=96,
    )
    text = st.session_state["hub_search"].strip()
    if not text:
        return
    try:
        with st.spinner(words("models.searching")):
            found = found_on_hub(text)
    except CompresslabError as error:
        st.info(escaped(words.said(error.message)))
        return
    if not found:
        st.caption(escaped(words("models.none", text=text)))
    here = {model.name for model in state.workspace().models.cached() if model.whole}
    coming = _coming()
    largest = largest_model()
    for model in found:
        place = "models.is_here" if model.name in here else "models.coming" if model.name in coming else ""
        _found(model, place, largest, words)


def _found(model: Found, place: str, largest: int | None, words: Words) -> None:
    about, act = _row(f"found.{model.name}")
    about.markdown(f"**{escaped(model.name)}**")
    told = [words("models.found", family=model.family or "?", downloads=f"{model.downloads:,}")]
    if model.parameters:
        told.insert(0, words("models.parameters", parameters=formats.parameters(model.parameters, words.language)))
        told += [words("models.too_large")] if largest and model.parameters > largest else []
    about.caption(escaped(" · ".join(told)))
    with act:
        if place:
            st.caption(words(place))
        elif not model.supported:
            st.caption(words("models.unsupported"))
        elif model.gated:
            st.caption(words("models.gated"))
        else:
            st.button(words("models.fetch"), key=f"fetch.{model.name}", on_click=_fetch, args=(model.name,))


def _fetch(name: str) -> None:
    fetching = state.own(Fetching)
    if name in _coming():
        return
    fetching.said = fetching.gone = ""
    try:
        fetching.downloads.add(state.workspace().models.submit_download(name, owner=state.visitor().owner))
    except CompresslabError as error:
        fetching.said = state.words().said(error.message)


@st.cache_data(ttl=300, show_spinner=False)
def found_on_hub(text: str) -> list[Found]:
    """Raises BadInput; asked again after five minutes."""
    return state.workspace().models.search(text)
