"""What the Studio's buttons do: submit, stop, write texts. Each is one quick write to the store."""

from __future__ import annotations

from contextlib import suppress

from compresslab.errors import BadInput, CompresslabError
from compresslab.recipes.generation_request import GenerateRequest, Pane
from compresslab_dashboard.jobs import live
from compresslab_dashboard.session import state
from compresslab_dashboard.session.state import State


def compress() -> None:
    """Submit the recipe in full. The session's draft gives way: its numbers come with the run."""
    session = state.current()
    session.problem = ""
    try:
        job = state.workspace().submit(session.recipe, stage="final", owner=state.visitor().owner)
    except CompresslabError as error:
        session.problem = error.message
        return
    stop_draft(session)
    session.job = job
    session.watched.recipes[job] = state.version_of(session.recipe)


def measure_sensitivity() -> None:
    """Have the model measured once, so that estimates of quality and fits to a size are possible."""
    session = state.current()
    session.problem = ""
    try:
        session.measuring = state.workspace().sensitivity.submit(session.recipe, owner=state.visitor().owner)
    except CompresslabError as error:
        session.problem = error.message


def stop(job_id: int) -> None:
    session = state.current()
    try:
        state.workspace().jobs.cancel(job_id, by=state.visitor())
        session.watched.stopping.add(job_id)
    except CompresslabError as error:
        session.problem = error.message


def stop_draft(session: State) -> None:
    if session.draft is not None and live.is_open(session, session.draft):
        with suppress(BadInput):  # of another session, whose link this is
            state.workspace().jobs.cancel(session.draft, by=state.visitor())
    session.draft = None


def draft_if_due(session: State) -> None:
    """In live mode a recipe without a number gets a draft; the store ends this session's earlier one."""
    recipe = session.recipe
    wanted = state.version_of(recipe)
    if not session.live or not recipe.steps or wanted in session.watched.finals or wanted in session.watched.tried:
        return
    if session.watched.recipes.get(session.job or 0) == wanted:
        return
    session.watched.tried[wanted] = True
    try:
        state.workspace().models.facts(recipe.model)  # a model that is still to be downloaded waits for Compress
        session.draft = state.workspace().submit(recipe, stage="draft", owner=session.owner, live=True)
    except CompresslabError:
        return  # the estimate says the same sentence
    session.watched.recipes[session.draft] = wanted


def generate() -> None:
    """Have the baseline and the compressed model write from the prompt, one after the other."""
    session = state.current()
    session.problem = ""
    if not session.prompt.strip():
        session.problem = state.words()("texts.empty_prompt")
        return
    recipe = session.recipe
    words = state.words()
    panes = (
        Pane(label=words("pane.baseline"), source="baseline", model=recipe.model),
        _compressed_pane(session, words("pane.compressed")),
    )
    request = GenerateRequest(
        prompt=session.prompt,
        panes=panes,
        decoding=session.decoding,
        device=recipe.device,
        dtype=recipe.dtype,
        runtime=recipe.runtime,
    )
    try:
        session.texts = state.workspace().texts.submit(request, owner=session.owner)
    except CompresslabError as error:
        session.problem = error.message
        return
    session.texts_of = state.version_of(recipe)


def follow(session: State) -> None:
    """In live mode the answers follow the recipe, once they have been asked for and its numbers are there."""
    wanted = state.version_of(session.recipe)
    asked_for = session.texts is not None and session.texts_of not in ("", wanted)
    if not session.live or not asked_for or live.is_open(session, session.texts) or not session.prompt.strip():
        return
    mine = [session.watched.ended.get(job) for job, recipe in session.watched.recipes.items() if recipe == wanted]
    measured = wanted in session.watched.finals or any(job is not None and job.state == "done" for job in mine)
    if measured or not session.recipe.steps:
        generate()


def _compressed_pane(session: State, label: str) -> Pane:
    """The saved weights where the recipe has been run in full, else the recipe, compressed on the spot."""
    recipe = session.recipe
    final = session.watched.finals.get(state.version_of(recipe))
    if final is not None and _is_kept(final[0]):
        return Pane(label=label, source="run", model=recipe.model, run_id=final[0])
    return Pane(label=label, source="recipe", model=recipe.model, recipe=recipe.to_dict())


def _is_kept(run_id: str) -> bool:
    try:
        return state.workspace().runs.find(run_id).saved_to is not None
    except BadInput:
        return False
