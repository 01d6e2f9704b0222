"""The pages, driven without a browser on a store of their own: what they show, what they submit, how they refuse."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from compresslab.messages import plain
from compresslab.recipes.recipe import Recipe
from compresslab.records.events import Draft, Loss, Notice, PaneDone, PaneStarted, Progress, Token, to_json
from compresslab.records.results import Hardware, Measurement, RunRecord
from compresslab.work import jobs
from compresslab.work.jobs import WarmJob
from compresslab.workspace import Workspace
from compresslab_dashboard.session.job_view import JobView
from compresslab_dashboard.texts import Words, words_of
from streamlit.testing.v1 import AppTest

from tests.patience import PATIENCE

APP = Path(__file__).resolve().parent.parent / "dashboard" / "app.py"
FOUR_BITS = Recipe.from_dict({"steps": ["quantize_rtn"]})


def measured(metric: str, baseline: float, compressed: float, unit: str = "", **more: Any) -> list[Measurement]:
    common = {"metric": metric, "unit": unit, "samples": 400, **more}
    paired = {"change": 100 * (compressed / baseline - 1), "change_error": 0.2, "change_unit": "%"}
    return [
        Measurement(variant="baseline", value=baseline, **common),
        Measurement(variant="compressed", value=compressed, **common, **paired),
    ]


def record(number: int = 0, recipe: Recipe = FOUR_BITS) -> RunRecord:
    minute, second = divmod(number, 60)
    return RunRecord(
        run_id=f"run{number:07d}",
        recipe=recipe.to_dict(),
        recipe_hash=recipe.content_hash,
        model=recipe.model,
        created=f"2026-11-20T{minute // 60:02d}:{minute % 60:02d}:{second:02d}+00:00",
        seconds=12.5,
        stages={"load": 1.0, "quantize_rtn": 0.5, "evaluate": 9.0},
        baseline_hash="aaaa1111",
        compressed_hash="bbbb2222",
        hardware=Hardware(
            device="cpu",
            device_name="A machine",
            device_reason="There is no other device.",
            dtype="float32",
            dtype_reason="It was the faster one.",
            threads=2,
            memory_bytes=8_000_000_000,
            versions={"torch": "2.13.0"},
        ),
        measurements=[
            *measured("perplexity", 3.0, 3.1 + number / 1000, dataset="bundled stories"),
            *measured("accuracy", 0.96, 0.91, "fraction", by_kind={"colour": 0.9, "count": 0.8}),
            *measured("size_on_disk_bytes", 8e6, 2e6, "bytes"),
            *measured("decode_tokens_per_second", 100.0, 99.0, "tokens/s", kernel="simulated"),
        ],
        notices=["<img src=x onerror=alert(1)> **not bold**"],
    )


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COMPRESSLAB_HOME", str(tmp_path))
    monkeypatch.delenv("COMPRESSLAB_STORE", raising=False)
    return tmp_path


@pytest.fixture
def workspace(home: Path) -> Workspace:
    return Workspace()


def opened(**params: str) -> AppTest:
    app = AppTest.from_file(APP, default_timeout=PATIENCE)
    for name, value in params.items():
        app.query_params[name] = value
    return healthy(app.run())


def healthy(app: AppTest) -> AppTest:
    assert not app.exception, [error.message for error in app.exception]
    return app


def param(app: AppTest, name: str) -> str:
    """Of the URL: a list where the test wrote it, a text where the page did."""
    value = app.query_params[name]
    return value[0] if isinstance(value, list) else value


def left_in_english(shown: str, words: Words) -> list[str]:
    """English texts of more than a word, in each of their forms, that another language has a text for."""
    return [
        form
        for key, forms in words.english.templates.items()
        for form in forms
        if " " in form and form in shown and words(key) != form
    ]


def said(app: AppTest) -> str:
    parts = [*app.markdown, *app.caption, *app.error, *app.warning, *app.info]
    return "\n".join(str(part.value) for part in parts).replace("\\", "")


def visible(app: AppTest) -> str:
    """Also what is drawn as HTML: the verdict."""
    return said(app) + "\n".join(str(element.proto.body) for element in app.get("html"))


# -- torch stays out -----------------------------------------------------------------------------------------------


def test_no_page_imports_torch() -> None:
    code = (
        "import sys; from compresslab_dashboard.app_pages import history, present, studio;"
        "from compresslab_dashboard.report import writing; from compresslab_dashboard.results import verdict;"
        "print([name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=APP.parent.parent, timeout=PATIENCE
    )
    assert done.stdout.strip() == "[]", done.stderr[-500:]


# -- Studio: the recipe --------------------------------------------------------------------------------------------


def test_a_first_visit_is_ready_for_one_click(workspace: Workspace) -> None:
    app = opened()
    assert app.toggle(key="step.quantize.on").value is True
    assert app.text_area(key="prompt").value
    assert not app.button(key="compress").disabled
    assert not app.button(key="generate").disabled
    assert "storyteller" in app.selectbox(key="model").options
    app.button(key="generate").click().run()
    request = next(job for job in workspace.jobs.open() if job.kind == "generate").payload["request"]
    assert [pane["source"] for pane in request["panes"]] == ["baseline", "recipe"]


def test_a_step_gets_another_method_a_place_and_an_end(workspace: Workspace) -> None:
    app = opened()
    app.button(key="add.prune_magnitude").click().run()
    assert param(healthy(app), "recipe") == "quantize_gptq;prune_magnitude"
    app.button(key="step.prune.2.earlier").click().run()
    assert param(healthy(app), "recipe") == "prune_magnitude;quantize_gptq"
    app.button(key="step.prune.2.remove").click().run()
    assert param(healthy(app), "recipe") == "quantize_gptq"
    app.button(key="undo").click().run()
    assert param(healthy(app), "recipe") == "prune_magnitude;quantize_gptq"


def test_a_file_that_is_not_there_is_refused_where_it_is_named(workspace: Workspace) -> None:
    app = opened()
    app.session_state["measured_on"] = True
    app.run()
    app.text_input(key="evaluation.text").set_value("/no/such/file.txt").run()
    assert "There is no file /no/such/file.txt" in said(app)


def test_what_stands_in_a_closed_section_is_the_recipes(workspace: Workspace) -> None:
    """It is not drawn; opened again it says what the recipe says then, undone changes included."""
    app = opened(model="storyteller", recipe="quantize_rtn;recipe,seed=7,runtime=torch")

    def turn(is_open: bool) -> list[object]:
        app.session_state["measured_on"] = is_open
        healthy(app.run())
        return [widget.value for widget in (*app.number_input, *app.selectbox) if widget.key in ("seed", "runtime")]

    assert turn(False) == [] and param(app, "recipe") == "quantize_rtn;recipe,seed=7,runtime=torch"
    assert turn(True) == [7, "torch"]
    app.number_input(key="seed").set_value(9).run()
    app.selectbox(key="runtime").set_value("auto").run()
    assert turn(False) == [] and param(app, "recipe") == "quantize_rtn;recipe,seed=9"
    assert turn(True) == [9, "auto"]
    turn(False)
    for _ in range(2):
        app.button(key="undo").click().run()
    assert turn(True) == [7, "torch"] and param(app, "recipe") == "quantize_rtn;recipe,seed=7,runtime=torch"


def test_without_a_worker_the_page_says_so_and_goes_on(workspace: Workspace) -> None:
    app = opened()
    assert "compresslab worker" in said(app)
    app.slider(key="step.quantize.bits").set_value(3).run()
    assert param(healthy(app), "recipe") == "quantize_gptq,bits=3"


def test_with_a_worker_nothing_is_said(workspace: Workspace) -> None:
    workspace.store.beat("me", host="here", pid=1, device="cpu", state="idle")
    assert "compresslab worker" not in said(opened())


def test_a_slider_submits_a_draft_and_the_latest_wins(workspace: Workspace) -> None:
    app = opened()
    app.slider(key="step.quantize.bits").set_value(3).run()
    app.slider(key="step.quantize.bits").set_value(2).run()
    waiting = [job for job in workspace.jobs.open() if job.kind == "run"]
    assert len(waiting) == 1 and waiting[0].live and waiting[0].stage == "draft"
    assert waiting[0].payload["recipe"]["steps"][0]["quantize_gptq"]["bits"] == 2
    assert len(workspace.jobs.in_states(("cancelled",))) == 2


def test_without_live_mode_only_compress_submits(workspace: Workspace) -> None:
    app = opened(live="off", recipe="quantize_rtn")
    app.slider(key="step.quantize.bits").set_value(3).run()
    assert workspace.jobs.open() == []
    healthy(app.button(key="compress").click().run())
    (job,) = workspace.jobs.open()
    assert (job.stage, job.live) == ("final", False)
    assert param(app, "job") == str(job.id)


def test_undo_and_back_to_the_baseline(workspace: Workspace) -> None:
    app = opened(live="off", recipe="quantize_rtn")
    assert app.button(key="undo").disabled
    app.slider(key="step.quantize.bits").set_value(6).run()
    app.button(key="to_baseline").click().run()
    assert param(app, "recipe") == "baseline"
    assert app.button(key="compress").disabled
    app.button(key="undo").click().run()
    assert param(app, "recipe") == "quantize_rtn,bits=6"
    app.button(key="undo").click().run()
    assert app.slider(key="step.quantize.bits").value == 4
    assert healthy(app).button(key="undo").disabled


def test_the_url_brings_model_recipe_and_language_back(workspace: Workspace) -> None:
    app = opened(lang="zh", model="storyteller", recipe="prune_magnitude,sparsity=0.5;quantize_rtn,bits=3")
    assert app.slider(key="step.prune.sparsity").value == 0.5
    assert app.slider(key="step.quantize.bits").value == 3
    assert app.button(key="compress").label == words_of("zh")("compress")


@pytest.mark.parametrize("recipe", ["nonsense", "quantize_rtn,bits=77", "quantize_rtn;quantize_rtn", "%%%"])
def test_a_wrong_recipe_in_the_url_is_named_and_does_no_harm(workspace: Workspace, recipe: str) -> None:
    app = opened(recipe=recipe, job="abc", texts="99999", run="nope")
    assert app.error
    assert app.selectbox(key="model").value == "storyteller"


@pytest.mark.parametrize("name", ["/no/such/folder", "no such model!", "**bold** ![x](http://a/b.png)"])
def test_a_wrong_model_is_refused_in_a_sentence_and_the_old_one_stays(workspace: Workspace, name: str) -> None:
    app = AppTest.from_file(APP, default_timeout=PATIENCE)
    app.session_state["model"] = name  # as typed: not among the options
    app.session_state["device"] = app.session_state["runtime"] = "auto"
    app.run()
    assert app.error and name in said(app)
    assert "![" not in app.error[0].value
    assert param(healthy(app), "model") == "storyteller"


def test_steps_that_conflict_are_refused_before_they_run(workspace: Workspace) -> None:
    app = opened(recipe="quantize_rtn;prune_sparsegpt")
    assert "Step 2" in said(app)
    assert workspace.jobs.open() == []


# -- Studio: work --------------------------------------------------------------------------------------------------


def running(workspace: Workspace, app: AppTest) -> int:
    """Compress, and a worker that has claimed the job and reported a little."""
    app.button(key="compress").click().run()
    workspace.store.beat("w", host="here", pid=1, device="cpu", state="busy")
    job = workspace.store.claim("w")
    assert job is not None and job.stage == "final"
    events = [
        Progress(stage="evaluate", done=1, total=4, fraction=0.25, seconds_left=8.0),
        Draft(
            measurements=[m.model_copy(update={"stage": "draft"}) for m in measured("perplexity", 3.0, 3.3)],
            samples=900,
        ),
        Loss(step=1, total=10, loss=2.5),
        Notice(text="Something to know."),
    ]
    workspace.store.append_events(job.id, [to_json(event) for event in events])
    return job.id


def test_a_running_job_shows_its_stage_and_can_be_stopped(workspace: Workspace) -> None:
    app = opened(live="off", recipe="quantize_rtn")
    job = running(workspace, app)
    app.run()
    assert "+10.0" in visible(app) and "draft" in visible(app)
    assert app.button(key="stop").label == words_of("en")("job.stop")
    healthy(app.button(key="stop").click().run())
    assert workspace.jobs.find(job).cancel_reason
    assert app.button(key="stop").disabled


def test_a_draft_says_how_long_it_takes_where_it_takes_long(workspace: Workspace) -> None:
    app = opened()
    app.slider(key="step.quantize.bits").set_value(3).run()
    workspace.store.beat("w", host="here", pid=1, device="cpu", state="busy")
    job = workspace.store.claim("w")
    assert job is not None and job.live
    words = words_of("en")("draft.running")
    for left, said_so in ((None, False), (1.5, False), (12.0, True)):
        told = Progress(stage="quantize_gptq", done=1, total=4, fraction=0.25, seconds_left=left)
        workspace.store.append_events(job.id, [to_json(told)])
        (bar,) = healthy(app.run()).get("progress")
        assert bar.proto.text.startswith(words) and ("about 12" in bar.proto.text) == said_so


def test_a_reload_in_mid_job_brings_it_back(workspace: Workspace) -> None:
    first = opened(live="off", recipe="quantize_rtn")
    job = running(workspace, first)
    again = opened(**{name: param(first, name) for name in first.query_params})
    assert "+10.0" in visible(again)
    assert again.button(key="stop")
    assert param(again, "job") == str(job)


def test_a_job_that_ends_well_becomes_the_final_result(workspace: Workspace) -> None:
    app = opened(live="off", recipe="quantize_rtn")
    job = running(workspace, app)
    run_id = workspace.jobs.find(job).run_id
    workspace.store.save_run(record().model_copy(update={"run_id": run_id}), job)
    workspace.store.finish(job, "done")
    app.run()
    assert "final" in visible(app) and "4.0" in visible(app)
    assert param(healthy(app), "run") == run_id


@pytest.mark.parametrize(("state", "shown"), [("failed", "Out of memory"), ("cancelled", "Stopped")])
def test_a_job_that_ends_badly_says_why(workspace: Workspace, state: Any, shown: str) -> None:
    app = opened(live="off", recipe="quantize_rtn")
    job = running(workspace, app)
    workspace.store.finish(job, state, plain("Out of memory <b>here</b>."))
    app.run()
    assert shown in said(app)
    assert not [button for button in healthy(app).button if button.key == "stop"]


def test_one_session_does_not_stop_the_work_of_another(workspace: Workspace) -> None:
    first = opened(live="off", recipe="quantize_rtn")
    job = running(workspace, first)
    second = opened(recipe="prune_magnitude")
    second.button(key="compress").click().run()
    second.slider(key="step.prune.sparsity").set_value(0.6).run()
    assert workspace.jobs.find(job).cancel_reason is None and workspace.jobs.find(job).state == "running"


def test_a_waiting_job_shows_its_place(workspace: Workspace) -> None:
    workspace.store.beat("w", host="here", pid=1, device="cpu", state="busy")
    for _ in range(3):
        workspace.submit(FOUR_BITS)
    app = opened(live="off", recipe="quantize_rtn,bits=3")
    app.button(key="compress").click().run()
    job = workspace.jobs.open()[0]
    assert workspace.jobs.queue_place(job.id) == 3
    bar = next(element for element in app.get("progress"))
    assert "3" in bar.proto.text


def test_a_waiting_job_names_the_one_it_waits_for(workspace: Workspace) -> None:
    workspace.store.beat("w", host="here", pid=1, device="cpu", state="busy")
    for model in ("storyteller", "/models/large"):
        ahead = jobs.submit(workspace.store, WarmJob(model=model))
    first = workspace.store.claim("w", ahead)
    told = Progress(stage="evaluate", done=1, total=2, fraction=0.5, seconds_left=180.0)
    workspace.store.append_events(first.id, [to_json(told), to_json(Notice(text=plain("no progress")))])
    app = opened(live="off", recipe="quantize_rtn,bits=3")
    app.button(key="compress").click().run()
    text = next(element for element in app.get("progress")).proto.text
    assert f"Waiting for job {first.id} on large" in text
    assert "3\N{NARROW NO-BREAK SPACE}min left" in text
    assert "2 before it" in text


def test_an_empty_prompt_is_refused(workspace: Workspace) -> None:
    app = opened(live="off")
    app.text_area(key="prompt").set_value("   ").run()
    app.button(key="generate").click().run()
    assert words_of("en")("texts.empty_prompt") in said(app)
    assert workspace.jobs.open() == []


def test_an_example_fills_the_prompt(workspace: Workspace) -> None:
    app = opened(live="off")
    before = app.text_area(key="prompt").value
    app.selectbox(key="example").select_index(2).run()
    assert healthy(app).text_area(key="prompt").value not in ("", before)


def test_in_live_mode_the_answers_follow_the_recipe(workspace: Workspace) -> None:
    app = opened(recipe="quantize_rtn")
    app.button(key="generate").click().run()
    while job := workspace.store.claim("w"):
        workspace.store.finish(job.id, "done")
    app.run()
    app.slider(key="step.quantize.bits").set_value(2).run()
    assert [job.kind for job in workspace.jobs.open()] == ["run"]
    job = workspace.store.claim("w")
    assert job is not None
    workspace.store.finish(job.id, "done")
    healthy(app.run())
    (following,) = workspace.jobs.open()
    assert following.payload["request"]["panes"][1]["recipe"]["steps"][0]["quantize_rtn"]["bits"] == 2


def test_a_job_view_loses_and_doubles_nothing() -> None:
    events = [
        PaneStarted(pane=0, label="Baseline", weights_hash="ab"),
        *(Token(pane=0, index=i, token_id=i, text=f" {i}", seconds=i / 10) for i in range(5)),
        PaneDone(pane=0, text=" 0 1 2 3 4", tokens=5, ttft_seconds=0.1, decode_tokens_per_second=10.0),
    ]
    numbered = list(enumerate(events, 1))
    view = JobView()
    view.feed(numbered[:4])
    view.feed(numbered[2:])
    assert [text for _, text in view.panes[0].tokens] == [" 0", " 1", " 2", " 3", " 4"]
    assert view.cursor == len(events) and view.panes[0].done is not None
