"""Models: what is on this machine, and what the Hub has; fetched with progress, stopped, deleted."""

from __future__ import annotations

import streamlit as st

from core.errors import CompresslabError
from core.models.hub import Cached, Found
from core.store import JobRow
from dashboard import formats, frame, live, state
from dashboard.studio import actions
from dashboard.studio.progress import fraction, progress_text
from dashboard.studio.sidebar import parameters_text
from dashboard.texts import Words, escaped

WIDTH = 960  # pixels: the eye finds the button that belongs to a name
ROW = [6, 2, 4]  # of a line: what it is, how large, what can be done


def page() -> None:
    words = state.words()
    state.read_models_url()
    with st.container(key="models", width=WIDTH):
        st.title(words("models.title"))
        frame.notices()
        if state.current().said:
            st.info(escaped(state.current().said))
        _downloads(words)
        _here(words)
        _hub(words)
        frame.language()
    state.write_models_url()


# -- under way ---------------------------------------------------------------------------------------------------


def _downloads(words: Words) -> None:
    """Everybody's, so that nobody fetches the same model again."""
    every = live.SLOW_POLL_SECONDS / 2 if _open() else None
    st.fragment(_under_way, run_every=every)(words)


def _open() -> list[JobRow]:
    return [job for job in state.workspace().jobs() if job.kind == "download"]


def _under_way(words: Words) -> None:
    session = state.current()
    jobs = _open()
    for job in jobs:
        live.pull(job.id)
        name = escaped(job.payload["model"])
        with st.container(border=True, key=f"download.{job.id}"):
            bar, stop = st.columns([10, 2], vertical_alignment="center")
            text = " · ".join(filter(None, [name, progress_text(session, job, words), _bytes(job)]))
            bar.progress(fraction(session, job), text=text)
            stop.button(words("job.stop"), key=f"stop_download.{job.id}", on_click=actions.stop, args=(job.id,))
    now = {job.id for job in jobs}
    if now != session.downloads:
        _tell_ends(session.downloads - now, words)
        session.downloads = now
        st.rerun()


def _tell_ends(over: set[int], words: Words) -> None:
    """How those ended that were under way a moment ago; one that is here needs no words."""
    for job in filter(None, map(live.pull, over)):
        said = {"cancelled": "models.stopped", "failed": "models.failed"}.get(job.state)
        if said:
            state.current().said = words(said, model=job.payload["model"], reason=job.error or "")


def _bytes(job: JobRow) -> str:
    progress = state.current().view(job.id).progress
    if progress is None or progress.stage != "download":
        return ""
    return f"{formats.file_size(progress.done)} / {formats.file_size(progress.total)}"


# -- here --------------------------------------------------------------------------------------------------------


def _here(words: Words) -> None:
    st.subheader(words("models.here"))
    downloaded = {model.name: model for model in state.workspace().downloaded()}
    known = state.workspace().models()
    for name in dict.fromkeys([*known, *downloaded]):
        _local(name, downloaded.get(name), words)


def _local(name: str, cached: Cached | None, words: Words) -> None:
    about, size, act = st.columns(ROW, vertical_alignment="center", gap="medium")
    about = about.container(gap=None)
    about.markdown(f"**{escaped(name)}**")
    unfit = ""
    try:
        facts = state.workspace().facts(name)
        parameters = parameters_text(facts.parameters)
        about.caption(words("models.facts", family=escaped(facts.family), parameters=parameters, layers=facts.layers))
        size.markdown(formats.file_size(facts.file_bytes))
    except CompresslabError as error:
        unfit = words("models.part") if cached and not cached.whole else str(error)
        about.caption(escaped(unfit))
        size.markdown(formats.file_size(cached.bytes) if cached else "")
    with act.container(horizontal=True, key=f"model_act.{name}"):
        if not unfit and st.button(words("models.open"), key=f"open_model.{name}"):
            state.replace_sketch(state.set_base(model=name))
            st.switch_page(state.page("studio"))
        elif cached and not cached.whole:
            st.button(words("models.go_on"), key=f"fetch.{name}", on_click=_fetch, args=(name,))
        if cached is not None:
            _delete(cached, words)


def _delete(cached: Cached, words: Words) -> None:
    with st.popover(words("models.delete"), key=f"delete_menu.{cached.name}"):
        st.markdown(words("models.delete.sure", model=escaped(cached.name), size=formats.file_size(cached.bytes)))
        st.button(
            words("models.delete.yes"), key=f"delete_model.{cached.name}", on_click=_forget, args=(cached.name, words)
        )


def _forget(name: str, words: Words) -> None:
    try:
        freed = state.workspace().delete_downloaded(name)
        state.current().said = words("models.deleted", model=name, size=formats.file_size(freed))
    except CompresslabError as error:
        state.current().said = str(error)


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
            found = state.found_on_hub(text)
    except CompresslabError as error:
        st.info(escaped(str(error)))
        return
    if not found:
        st.caption(escaped(words("models.none", text=text)))
    here = {model.name for model in state.workspace().downloaded() if model.whole}
    for model in found:
        _found(model, model.name in here, words)


def _found(model: Found, is_here: bool, words: Words) -> None:
    about, size, act = st.columns(ROW, vertical_alignment="center", gap="medium")
    about = about.container(gap=None)
    about.markdown(f"**{escaped(model.name)}**")
    about.caption(words("models.found", family=escaped(model.family or "?"), downloads=f"{model.downloads:,}"))
    size.markdown(parameters_text(model.parameters) if model.parameters else "")
    if is_here:
        act.caption(words("models.is_here"))
    elif not model.supported:
        act.caption(words("models.unsupported"))
    elif model.gated:
        act.caption(words("models.gated"))
    else:
        act.button(words("models.fetch"), key=f"fetch.{model.name}", on_click=_fetch, args=(model.name,))


def _fetch(name: str) -> None:
    session = state.current()
    if any(job.payload["model"] == name for job in _open()):
        return
    session.downloads.add(state.workspace().submit_download(name, owner=session.owner))
