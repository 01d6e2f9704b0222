"""The History, driven without a browser on a store of its own: finding, noting, comparing, deleting, taking along."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from compresslab.errors import BadInput
from compresslab.messages import plain
from compresslab.recipes.recipe import Recipe
from compresslab.records.results import RunRecord
from compresslab.store.runs import Annotation
from compresslab.workspace import Workspace
from compresslab_dashboard.results.csv_text import csv_bytes
from compresslab_dashboard.results.tables import change_text, everything
from compresslab_dashboard.texts import words_of
from sqlalchemy import Engine, event
from streamlit.testing.v1 import AppTest

from tests.patience import PATIENCE
from tests.test_dashboard_pages import FOUR_BITS, healthy, measured, record, said

MOST_STATEMENTS = 12
EN = words_of("en")


@pytest.fixture
def workspace(own_home: Any) -> Workspace:
    return Workspace()


def history(**params: str) -> AppTest:
    app = AppTest.from_function(draw_history, default_timeout=PATIENCE)
    for name, value in params.items():
        app.query_params[name] = value
    return healthy(app.run())


def draw_history() -> None:
    from compresslab_dashboard.app_pages import history

    history.PAGE.show()


def test_an_empty_history_offers_the_way_out(workspace: Workspace) -> None:
    app = history()
    assert app.button(key="to_studio").label == words_of("en")("history.empty.action")


def test_every_run_is_a_row(workspace: Workspace) -> None:
    for number in range(3):
        workspace.store.save_run(record(number))
    table = history().dataframe[0].value
    assert list(table["run"]) == ["run0000002", "run0000001", "run0000000"]
    assert table["size"][0] == pytest.approx(4.0)
    assert table["recipe"][0] == "4 bit"


def test_a_chosen_run_is_shown_whole_and_its_texts_are_only_text(workspace: Workspace) -> None:
    workspace.store.save_run(record())
    app = history(run="run0000000")
    assert "bits: 4" in app.code[0].value
    notice = next(caption.value for caption in app.caption if "onerror" in caption.value)
    assert "\\<img" in notice and "\\*\\*not" in notice
    numbers = app.dataframe[1].value
    assert "bundled stories" in set(numbers[words_of("en")("measure.dataset")])


def test_changes_are_read_with_sign_error_and_unit() -> None:
    english = words_of("en")
    perplexity = measured("perplexity", 3.0, 3.3)[1]
    accuracy = perplexity.model_copy(update={"change": -0.012, "change_error": 0.004, "change_unit": "fraction"})
    assert change_text(perplexity, english).replace("\u202f", " ") == "+10.0 ± 0.2 %"
    assert change_text(accuracy, english) == "−1.2 ± 0.4 points"
    assert change_text(None, english) == ""


def test_a_deleted_run_can_be_brought_back(workspace: Workspace) -> None:
    workspace.store.save_run(record())
    app = history(run="run0000000")
    app.button(key="delete_run").click().run()
    assert workspace.runs.all() == [] and "run0000000" in said(app)
    healthy(app.button(key="undo_delete").click().run())
    assert [run.run_id for run in workspace.runs.all()] == ["run0000000"]


def test_failed_jobs_are_listed_with_their_reason(workspace: Workspace) -> None:
    job = workspace.submit(FOUR_BITS)
    workspace.store.claim("w")
    workspace.store.finish(job, "failed", plain("The disk is full."))
    tables = [table.value for table in history().dataframe]
    assert any("The disk is full." in table.to_string() for table in tables)


def test_a_search_that_finds_nothing_says_so(workspace: Workspace) -> None:
    workspace.store.save_run(record())
    app = history()
    app.text_input(key="filter").set_value("qwen [x]").run()
    assert "qwen" in said(healthy(app))
    app.text_input(key="filter").set_value("STORY").run()
    assert len(healthy(app).dataframe[0].value) == 1


def test_many_runs_take_no_more_statements_than_few(workspace: Workspace) -> None:
    counted = []
    for many in (2, 200):
        for number in range(many):
            workspace.store.save_run(record(number))
        with statements() as asked:
            assert len(history().dataframe[0].value) == many
        counted.append(len(asked))
    assert max(counted) <= MOST_STATEMENTS, counted  # the same few, however many rows


def test_a_long_list_is_shown_page_by_page_and_sorted_as_a_whole(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in ("wanted", "listed"):
        monkeypatch.setattr(f"compresslab_dashboard.history.{part}.ROWS", 2)
    for number in range(5):
        kept = record(number)
        worse = [m.model_copy(update={"change": (number - 3.0) ** 2}) for m in kept.measurements]
        workspace.store.save_run(kept.model_copy(update={"measurements": worse}))

    def shown(app: AppTest) -> list[int]:
        return [int(run[-1]) for run in healthy(app).dataframe[0].value["run"]]

    app = history(run="run0000000")
    assert shown(app) == [4, 3] and EN("history.count", count=5) in said(app)
    assert app.button(key="delete_run")  # the chosen one stands on another page
    assert shown(app.selectbox(key="history_page").set_value(2).run()) == [0]
    assert shown(app.selectbox(key="history_order").set_value("best").run()) == [3, 4]
    assert shown(app.selectbox(key="history_page").set_value(1).run()) == [2, 1]
    assert shown(app.text_input(key="filter").set_value("run0000004").run()) == [4]


@contextmanager
def statements() -> Iterator[list[str]]:
    """The SQL that is sent meanwhile, by whatever store."""
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(Engine, "before_cursor_execute", note)


# -- tags, notes, filters ------------------------------------------------------------------------------------------


def test_tags_and_a_note_are_kept_and_found_again(workspace: Workspace) -> None:
    for number in range(2):
        workspace.store.save_run(record(number))
    app = history(run="run0000001")
    app.multiselect(key="tags.run0000001").set_value(["good", "to show"]).run()
    healthy(app.text_input(key="note.run0000001").set_value("**the** one").run())
    assert workspace.runs.annotations() == {"run0000001": Annotation(("good", "to show"), "**the** one")}
    again = history()
    assert again.dataframe[0].value["note"].tolist() == ["**the** one", ""]
    again.multiselect(key="filter_tags").set_value(["good"]).run()
    assert list(healthy(again).dataframe[0].value["run"]) == ["run0000001"]
    for text in ("to sh", "**The", "0000001"):
        healthy(again.text_input(key="filter").set_value(text).run())
        assert list(again.dataframe[0].value["run"]) == ["run0000001"], text


@pytest.mark.parametrize(
    ("tags", "note", "said"),
    [(["x" * 41], "", "characters"), ([str(n) for n in range(21)], "", "tags"), ([], "x" * 5000, "5,000")],
)
def test_a_note_without_end_is_refused_and_nothing_is_changed(
    workspace: Workspace, tags: list[str], note: str, said: str
) -> None:
    workspace.store.save_run(record())
    workspace.runs.annotate("run0000000", ["kept"], "kept")
    with pytest.raises(BadInput, match=said):
        workspace.runs.annotate("run0000000", tags, note)
    assert workspace.runs.annotations() == {"run0000000": Annotation(("kept",), "kept")}
    with pytest.raises(BadInput, match="no run"):
        workspace.runs.annotate("nobody", [], "")


def test_models_are_chosen_where_there_are_several(workspace: Workspace) -> None:
    workspace.store.save_run(record(0))
    workspace.store.save_run(record(1).model_copy(update={"model": "another"}))
    app = history()
    app.multiselect(key="filter_models").set_value(["another"]).run()
    assert list(healthy(app).dataframe[0].value["run"]) == ["run0000001"]
    assert EN("history.count.some", count=1, all=2) in said(app)


# -- several at once, again, away ----------------------------------------------------------------------------------


def test_several_runs_can_be_compared_and_deleted_and_come_back(workspace: Workspace) -> None:
    for number in range(3):
        workspace.store.save_run(record(number))
    app = history(run="run0000000,run0000002")
    assert EN("history.chosen", count=2) in said(app)
    assert not app.button(key="compare_runs").disabled
    healthy(app.button(key="delete_run").click().run())
    assert [run.run_id for run in workspace.runs.all()] == ["run0000001"]
    healthy(app.button(key="undo_delete").click().run())
    assert len(workspace.runs.all()) == 3
    assert EN("history.chosen", count=2) in said(app)


def test_more_than_six_do_not_fit_side_by_side(workspace: Workspace) -> None:
    for number in range(7):
        workspace.store.save_run(record(number))
    app = history(run=",".join(f"run000000{number}" for number in range(7)))
    assert app.button(key="compare_runs").disabled
    assert EN("history.too_many", most=6) in said(app)


def test_run_again_submits_the_same_recipe(workspace: Workspace) -> None:
    recipe = Recipe.from_dict({"steps": [{"quantize_rtn": {"bits": 3}}]})
    workspace.store.save_run(record(recipe=recipe))
    app = history(run="run0000000")
    app.button(key="run_again").click().run()  # then it turns to the Studio, which is not in this test
    (job,) = workspace.jobs.open()
    assert Recipe.from_dict(job.payload["recipe"]) == recipe and job.stage == "final" and not job.live


def test_a_recipe_of_another_version_is_refused_in_a_sentence(workspace: Workspace) -> None:
    strange = record().model_copy(update={"recipe": {"model": "storyteller", "steps": [{"shrink_by_magic": {}}]}})
    workspace.store.save_run(strange)
    app = history(run="run0000000")
    app.button(key="run_again").click().run()
    assert "shrink_by_magic" in said(healthy(app))
    assert workspace.jobs.open() == []


# -- CSV -----------------------------------------------------------------------------------------------------------


def rows(records: list[RunRecord], annotations: dict[str, Annotation]) -> list[dict[str, str]]:
    text = csv_bytes(everything(records, annotations, EN)).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_a_csv_holds_every_measurement_and_the_machine() -> None:
    one = record()
    (row,) = rows([one], {})
    perplexity, baseline = one.find("perplexity"), one.find("perplexity", "baseline")
    assert perplexity and baseline
    assert float(row["compressed perplexity []"]) == perplexity.value
    assert float(row["baseline perplexity []"]) == baseline.value
    assert float(row["perplexity change [%]"]) == pytest.approx(perplexity.change)
    assert (row["run"], row["device"], row["versions"]) == (one.run_id, "A machine (cpu)", "torch 2.13.0")


@pytest.mark.parametrize(
    "evil", ["=1+1", "+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "  =1", '=HYPERLINK("http://a","b")']
)
def test_a_csv_holds_no_formula(evil: str) -> None:
    named = record().model_copy(update={"model": evil})
    (row,) = rows([named], {named.run_id: Annotation((evil,), evil)})
    for cell in ("model", "tags", "note"):
        assert row[cell].startswith("'") and row[cell].removeprefix("'").strip() == evil.strip()


def test_negative_numbers_stay_numbers_in_a_csv() -> None:
    better = record().model_copy(update={"measurements": measured("perplexity", 3.0, 2.7)})
    assert float(rows([better], {})[0]["perplexity change [%]"]) == pytest.approx(-10.0)
    assert FOUR_BITS.content_hash == better.recipe_hash
