"""What one browser session remembers, and the widgets that show it.

Widgets lose their values when another page is opened; what counts is kept here and written into them again.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import streamlit as st
from compresslab.data.texts import example_prompts
from compresslab.errors import BadInput
from compresslab.files.paths import store_url
from compresslab.messages import Message
from compresslab.models.source import locate
from compresslab.recipes.generation_request import Decoding
from compresslab.recipes.named_files import named_files
from compresslab.recipes.recipe import Recipe
from compresslab.records.results import Hardware, RunRecord
from compresslab.store import JobRow
from compresslab.work import visitors
from compresslab.work.visitors import Visitor
from compresslab.workspace import Workspace
from compresslab_dashboard.recipe import forms
from compresslab_dashboard.recipe.sketch import Sketch
from compresslab_dashboard.session.editing import Editing
from compresslab_dashboard.session.known import Known
from compresslab_dashboard.session.watched import Watched
from compresslab_dashboard.texts import LANGUAGES, Words, words_of

T = TypeVar("T")


@dataclass
class State:
    """What one browser session remembers: the recipe in hand, the jobs it watches, what it has read, and what the
    Studio shows. What a single other page needs stands beside that page; see `own`."""

    owner: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    language: str = "en"
    problem: Message | str = ""  # one sentence about what was asked last and could not be done
    editing: Editing = field(default_factory=Editing)
    watched: Watched = field(default_factory=Watched)
    known: Known = field(default_factory=Known)
    own: dict[type, Any] = field(default_factory=dict)

    live: bool = True
    job: int | None = None  # the final run that is watched
    draft: int | None = None  # the live draft that is watched
    run: str | None = None  # a finished run that was opened
    texts: int | None = None  # the generation whose texts are shown
    texts_of: str = ""  # content hash of the recipe whose texts were asked for
    measuring: int | None = None  # the job that measures, or measured, how sensitive the model is
    prompt: str = field(default_factory=lambda: example_prompts()[0]["prompt"])
    decoding: Decoding = field(default_factory=Decoding)

    @property
    def recipe(self) -> Recipe:
        return self.editing.sketch.recipe


def visitor() -> Visitor:
    """Who sits before the screen: what they ask for is kept as theirs."""
    session = current().owner
    if not st.user.get("is_logged_in"):
        return Visitor(session, session)
    return visitors.signed_in(dict(st.user), session)


@st.cache_resource(show_spinner=False)
def _workspace(url: str) -> Workspace:
    return Workspace(url)


def workspace() -> Workspace:
    """One for the whole process; where its store lies is looked up once a session, not dozens of times a move."""
    if "workspace" not in st.session_state:
        st.session_state["workspace"] = _workspace(store_url())
    found: Workspace = st.session_state["workspace"]
    return found


def current() -> State:
    if "state" not in st.session_state:
        asked = st.query_params.get("lang") or (st.context.locale or "").split("-")[0]  # "zh-CN" says the browser
        st.session_state["state"] = State(language=asked if asked in LANGUAGES else "en")
    state: State = st.session_state["state"]
    return state


def own(kind: type[T]) -> T:
    """What the session remembers for one page: the class stands beside that page and says what there is at first."""
    kept = current().own
    if kind not in kept:
        kept[kind] = kind()
    found: T = kept[kind]
    return found


def is_remote(model: str) -> bool:
    """A Hub id whose model is not on this machine yet."""
    try:
        return locate(model).folder is None
    except BadInput:
        return False


def record(run_id: str) -> RunRecord:
    """A finished run, read once a session. Raises BadInput."""
    session = current()
    if run_id not in session.known.records:
        session.known.records[run_id] = workspace().runs.find(run_id)
    return session.known.records[run_id]


def last_hardware() -> Hardware | None:
    """The machine of the newest run, read once a session and after every run of it."""
    session = current()
    newest = "" if not session.watched.finals else list(session.watched.finals.values())[-1][0]
    if session.known.hardware_of != newest:
        session.known.hardware_of = newest
        records = [record(newest)] if newest else workspace().runs.all(limit=1)
        session.known.hardware = records[0].hardware if records else None
    return session.known.hardware


def version_of(recipe: Recipe) -> str:
    """Names a recipe and the state of the files that it names: once a model is edited, nothing of it is measured."""
    return f"{recipe.content_hash} {named_files(recipe)}"


def version_of_job(job: JobRow) -> str:
    """Of the recipe that a job runs."""
    return version_of(Recipe.from_dict(job.payload["recipe"]))


def page(name: str) -> st.Page:
    """For `st.switch_page`."""
    pages: dict[str, st.Page] = st.session_state["pages"]
    return pages[name]


def keep_pages(pages: dict[str, st.Page]) -> None:
    st.session_state["pages"] = pages


def words() -> Words:
    return words_of(current().language)


def forget_run(run_id: str) -> None:
    """A deleted run gives no numbers any more."""
    session = current()
    session.watched.forget_run(run_id)
    if session.run == run_id:
        session.run = None


# -- the recipe and its widgets --------------------------------------------------------------------------------


def change(sketch: Sketch, *, remember: bool = True) -> None:
    """The widgets say `sketch` now; what stood before can be undone."""
    session = current()
    if sketch == session.editing.sketch:
        return
    if sketch.recipe != session.recipe:
        session.run, session.problem, session.editing.unfit = None, "", None
    session.editing.change(sketch, remember=remember)


def replace_sketch(sketch: Sketch, *, remember: bool = True) -> None:
    """As `change`, for a sketch that does not come from the widgets: they are filled with it."""
    change(sketch, remember=remember)
    fill_widgets()


def fill_widgets() -> None:
    sketch = current().editing.sketch
    for block in sketch.blocks:
        st.session_state[f"{block.place}.on"] = block.on
        forms.fill(block.place, block.step)
    forms.fill("calibration", sketch.base.calibration)
    forms.fill("evaluation", sketch.base.evaluation)
    for metric in sketch.base.metrics:
        forms.fill(f"metric.{metric.name}", metric)
    st.session_state["model"] = sketch.base.model
    st.session_state["device"] = sketch.base.device
    st.session_state["runtime"] = sketch.base.runtime
    st.session_state["seed"] = sketch.base.seed


def set_base(**fields: object) -> Sketch:
    """The sketch with other fields of the recipe than its steps."""
    sketch = current().editing.sketch
    return replace(sketch, base=sketch.base.replace(**fields))


def undo() -> None:
    before = current().editing.undo()
    if before is not None:
        replace_sketch(before, remember=False)


def redo() -> None:
    after = current().editing.redo()
    if after is not None:
        replace_sketch(after, remember=False)


def to_baseline() -> None:
    replace_sketch(current().editing.sketch.all_off())


def open_run(record: RunRecord) -> None:
    """Show a finished run in the Studio, its recipe in the widgets. Raises BadInput for a recipe of another version."""
    recipe = Recipe.from_dict(record.recipe)
    state = current()
    replace_sketch(Sketch.of(recipe))
    state.known.records[record.run_id] = record
    state.watched.finals[version_of(recipe)] = (record.run_id, None)
    state.run, state.job = record.run_id, None


def watch_run(recipe: Recipe, job_id: int) -> None:
    """Show in the Studio how far a run of this recipe is that was just asked for."""
    state = current()
    replace_sketch(Sketch.of(recipe))
    state.watched.finals.pop(version_of(recipe), None)
    state.run, state.job = None, job_id
    state.watched.recipes[job_id] = version_of(recipe)
