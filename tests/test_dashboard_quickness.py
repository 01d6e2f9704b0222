"""What makes the dashboard quick, counted: statements for a move or a click, whole records read, looks at a queue."""

from __future__ import annotations

from typing import Any

import pytest
from compresslab.recipes.recipe import Recipe
from compresslab.records.results import RunRecord, RunSummary
from compresslab.workspace import Workspace
from compresslab_dashboard.jobs import live
from compresslab_dashboard.session import state
from pydantic import BaseModel
from streamlit.testing.v1 import AppTest

from tests.test_dashboard_history import history, statements
from tests.test_dashboard_pages import healthy, opened, record

MOST_FOR_A_MOVE, MOST_FOR_COMPRESS = 6, 24  # a read is two: BEGIN and the query
FOUR_BITS = Recipe.from_dict({"steps": ["quantize_rtn"]})


@pytest.fixture
def workspace(own_home: Any) -> Workspace:
    return Workspace()


@pytest.fixture
def studio(workspace: Workspace) -> AppTest:
    return opened(model="storyteller", recipe="quantize_rtn", live="off")


def test_a_moved_slider_asks_the_store_for_little(studio: AppTest) -> None:
    slider = studio.slider(key="step.quantize.bits")
    with statements() as asked:
        healthy(slider.set_value(3).run())
    assert 0 < len(asked) <= MOST_FOR_A_MOVE, asked


def test_compress_is_one_write_and_its_progress_is_in_the_same_answer(studio: AppTest) -> None:
    with statements() as asked:
        healthy(studio.button(key="compress").click().run())
    assert len([statement for statement in asked if statement.startswith("INSERT")]) == 1
    assert 0 < len(asked) <= MOST_FOR_COMPRESS, asked
    assert studio.button(key="stop")


def test_who_waits_behind_others_looks_seldom(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "workspace", lambda: workspace)
    first, second = workspace.submit(FOUR_BITS), workspace.submit(FOUR_BITS)
    assert live.pace([], 0.2) is None
    assert live.pace([first], 0.2) == 0.2 == live.pace([first, second], 0.2)  # the next one is about to begin
    assert live.pace([second], 0.2) == live.SLOW_POLL_SECONDS
    workspace.store.claim("worker")
    assert live.pace([second], 0.2) == live.SLOW_POLL_SECONDS  # the running one is before it
    assert not live.turn_has_come([second], live.SLOW_POLL_SECONDS, 0.2)
    workspace.store.finish(first, "done")
    assert live.turn_has_come([second], live.SLOW_POLL_SECONDS, 0.2)
    assert not live.turn_has_come([second], 0.2, 0.2)  # it is looked at often already


def test_who_waits_for_many_looks_hardly_at_all(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "workspace", lambda: workspace)
    jobs = [workspace.submit(FOUR_BITS) for _ in range(live.FAR + 1)]
    assert live.pace(jobs[-1:], 0.2) == live.FAR_POLL_SECONDS
    assert not live.turn_has_come(jobs[-1:], live.FAR_POLL_SECONDS, 0.2)
    workspace.jobs.cancel(jobs[0])
    assert live.pace(jobs[-1:], 0.2) == live.SLOW_POLL_SECONDS
    assert live.turn_has_come(jobs[-1:], live.FAR_POLL_SECONDS, 0.2)  # the page is drawn anew, to look more often


def test_a_moved_slider_looks_up_its_store_and_asks_for_room_once_a_model(
    studio: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    for module, name in ((state, "store_url"), (Workspace, "fit")):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *args, real=real, name=name: (asked.append(name), real(*args))[1])
    healthy(studio.slider(key="step.quantize.bits").set_value(3).run())
    assert asked == ["fit", "fit"]  # the only model in the list, and the line below it


def test_the_history_reads_only_the_chosen_run_whole(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        workspace.store.save_run(record(number))
    read: list[type[BaseModel]] = []
    validate = BaseModel.__dict__["model_validate_json"].__func__

    def note(cls: type[BaseModel], *args: Any, **options: Any) -> Any:
        read.append(cls)
        return validate(cls, *args, **options)

    monkeypatch.setattr(BaseModel, "model_validate_json", classmethod(note))
    history()
    assert (read.count(RunSummary), read.count(RunRecord)) == (0, 0)
    history(run="run0000003")
    assert (read.count(RunSummary), read.count(RunRecord)) == (0, 1)


def test_a_summary_says_what_the_record_says(workspace: Workspace) -> None:
    for number in range(2):
        workspace.store.save_run(record(number))
    whole = [run.model_dump(include=set(RunSummary.model_fields)) for run in workspace.runs.all()]
    assert [summary.model_dump() for summary in workspace.runs.summaries()] == whole
    assert len(list(workspace.runs.summaries(limit=1))) == 1
