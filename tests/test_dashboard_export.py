"""The Studio's block of exports, driven without a browser: what it offers, submits, and says when it is done."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from compresslab.exports.registry import FORMATS
from compresslab.files.paths import run_folder
from compresslab.messages import plain
from compresslab.recipes.recipe import Recipe
from compresslab.records.events import Progress, to_json
from compresslab.records.results import ExportRecord, Measurement, RunRecord
from compresslab.work.exporting import CARD, folder_name
from compresslab.workspace import Workspace
from compresslab_dashboard.results import exported
from compresslab_dashboard.texts import words_of
from streamlit.testing.v1 import AppTest

from tests.patience import PATIENCE

APP = Path(__file__).resolve().parent.parent / "dashboard" / "app.py"
EN = words_of("en")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunRecord]:
    """A real run of the bundled model, in a data folder of its own."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMPRESSLAB_HOME", str(home))
        recipe = Recipe.from_dict({"steps": [{"quantize_rtn": {"bits": 4}}], "metrics": ["footprint"]})
        return home, Workspace().run(recipe)


@pytest.fixture
def home(ran: tuple[Path, RunRecord], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COMPRESSLAB_HOME", str(ran[0]))
    return ran[0]


@pytest.fixture
def record(ran: tuple[Path, RunRecord], home: Path) -> RunRecord:
    return Workspace().runs.find(ran[1].run_id)


def opened(record: RunRecord, page: str = "studio", **params: str) -> AppTest:
    """The Studio with the finished run on the screen."""
    app = AppTest.from_file(str(APP), default_timeout=PATIENCE)
    from compresslab_dashboard.recipe.sketch import to_short

    recipe = Recipe.from_dict(record.recipe)
    given = {"model": recipe.model, "recipe": to_short(recipe), "run": record.run_id, "live": "off"} | params
    for name, value in given.items():
        app.query_params[name] = value
    return app.run()


def said(app: AppTest) -> str:
    parts: list[Any] = [*app.markdown, *app.caption, *app.error, *app.info, *app.code]
    return "\n".join(str(part.value) for part in parts)


def bars(app: AppTest) -> list[str]:
    return [
        str(html.proto.body) for html in app.get("html") if str(html.proto.body).startswith('<div class="export-bar')
    ]


def written(record: RunRecord, **changes: Any) -> ExportRecord:
    quality = Measurement(metric="perplexity", variant="compressed", value=1.77, error=0.02, unit="perplexity")
    about: dict[str, Any] = {
        "format": "onnx",
        "settings": {},
        "folder": f"/somewhere/{folder_name(record, 'onnx')}",
        "created": "2026-11-21T09:00:00+00:00",
        "seconds": 3.0,
        "bytes": 3_600_000,
        "weight_bytes": 3_500_000,
        "estimated_bytes": 3_500_000,
        "opened_by": "onnxruntime 1.31.1",
        "read_by": None,
        "tokens": 2048,
        "largest_difference": 0.3,
        "relative_difference": 0.009,
        "bound": 0.1,
        "quality": [quality.model_copy(update={"dataset": plain("bundled stories, context 256")})],
    }
    return ExportRecord(**about | changes)


def test_every_format_is_offered_with_its_size(record: RunRecord) -> None:
    app = opened(record)
    assert not app.exception
    assert {f"export_write.{name}" for name in FORMATS} <= {button.key for button in app.button}
    sizes = bars(app)
    assert len(sizes) == 1 + len(FORMATS) and 'class="baseline"' in sizes[0]
    assert all('class="estimate"' in size and "about" in size for size in sizes[1:])


def test_what_a_run_can_not_be_written_in_says_why(home: Path) -> None:
    recipe = Recipe.from_dict({"steps": [{"prune_magnitude": {"sparsity": 0.3}}], "metrics": ["footprint"]})
    app = opened(Workspace().run(recipe))
    assert EN("export.refused") in said(app) and "export_write.gptq" not in {button.key for button in app.button}


def test_the_button_submits_a_job_and_its_progress_is_shown(record: RunRecord, tmp_path: Path) -> None:
    app = opened(record)
    app.button(key="export_write.onnx").click().run()
    workspace = Workspace()
    (job,) = [job for job in workspace.jobs.open() if job.kind == "export"]
    assert job.payload["format"] == "onnx" and job.payload["run"]["run_id"] == record.run_id
    workspace.store.claim("w")
    workspace.store.append_events(job.id, [to_json(Progress(stage="compare", done=1, total=2, fraction=0.8))])
    app.run()
    assert "export_stop.onnx" in {button.key for button in app.button}
    (tmp_path / CARD).write_text("# A model, compressed", encoding="utf-8")
    workspace.store.add_export(record.run_id, written(record, folder=str(tmp_path)))
    workspace.store.finish(job.id, "done")
    app.run()
    text = said(app)
    assert "Opened with onnxruntime 1" in text.replace("\\", "") and str(tmp_path) in text
    assert f"python {tmp_path}/run.py" in text and "# A model, compressed" in text
    assert any('class="written"' in html for html in bars(app))


def test_a_failed_export_says_why(record: RunRecord) -> None:
    app = opened(record)
    app.button(key="export_write.transformers").click().run()
    workspace = Workspace()
    (job,) = [job for job in workspace.jobs.open() if job.payload.get("format") == "transformers"]
    workspace.store.claim("w")
    workspace.store.finish(job.id, "failed", plain("The disk is full."))
    app.run()
    assert any("The disk is full" in error.value.replace("\\", "") for error in app.error)


def test_what_can_not_even_begin_says_why_beside_its_button(record: RunRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(record)
    monkeypatch.setattr("compresslab.work.exporting.shutil.disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    app.button(key="export_write.gptq").click().run()
    assert any("choose another place" in error.value for error in app.error)
    assert not [job for job in Workspace().jobs.open() if job.payload.get("format") == "gptq"]
    monkeypatch.undo()


def test_a_folder_that_was_taken_away_is_said_to_be_gone(record: RunRecord) -> None:
    Workspace().store.add_export(record.run_id, written(record, format="gguf", folder="/taken/away"))
    app = opened(record)
    assert any(EN("export.gone") in warning.value.replace("\\", "") for warning in app.warning)


def test_settings_change_the_estimate_and_what_is_submitted(record: RunRecord) -> None:
    app = opened(record)
    before = bars(app)[-1]
    app.selectbox(key="export.transformers.dtype").set_value("float32").run()
    assert bars(app)[-1] != before
    app.button(key="export_write.transformers").click().run()
    jobs = [job for job in Workspace().jobs.open() if job.payload.get("format") == "transformers"]
    assert jobs and jobs[0].payload["settings"] == {"dtype": "float32"}


def test_without_weights_it_says_what_to_do(record: RunRecord, tmp_path: Path) -> None:
    folder, away = run_folder(record.run_id), tmp_path / "away"
    folder.rename(away)
    try:
        app = opened(record)
        assert any("run its recipe again" in info.value for info in app.info)
    finally:
        away.rename(folder)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_was_found_is_said_in_both_languages(record: RunRecord, language: str) -> None:
    words = words_of(language)
    near = exported.finding(written(record), words)
    assert "onnxruntime 1.31.1" in near and "0.9" in near and "1.77" in near
    other = exported.finding(written(record, opened_by=None, read_by="gguf 0.19", relative_difference=0.0), words)
    assert "gguf 0.19" in other and words("export.same") in other
    table = exported.exports_table(record.with_export(written(record)), words)
    assert len(table) == 1 + len(record.exports) - sum(e.folder == written(record).folder for e in record.exports)
