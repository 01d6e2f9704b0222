"""Out of the tool, in a browser: a run written for other programs, stopped, refused, opened and found again."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from compresslab.exports.onnx import SCRIPT
from compresslab.exports.registry import FORMATS
from compresslab.work.exporting import CARD, RECORD, folder_name
from playwright.sync_api import Locator, expect

from tests.dashboard_server import Dashboard
from tests.studio_page import EN, PATIENCE, StudioPage, keyed

SMALL = "evaluation,max_tokens=2048,max_questions=20;speed,repeats=2,new_tokens=8"
RECIPE = f"quantize_rtn,bits=4;{SMALL}"


@pytest.fixture
def finished(studio: StudioPage, dashboard: Dashboard) -> Path:
    """The Studio with a finished run on the screen; the folder that exports go into."""
    runs = dashboard.workspace.runs.all()
    studio.open(RECIPE, live="off", **({"run": runs[0].run_id} if runs else {}))
    if not runs:
        studio.button("compress").click()
    expect(block(studio)).to_be_visible(timeout=2 * PATIENCE)
    return dashboard.home / "exports"


def block(studio: StudioPage) -> Locator:
    return keyed(studio.page, "export_block")


def line(studio: StudioPage, name: str) -> Locator:
    return keyed(studio.page, f"exportline_{name}")


def folder(dashboard: Dashboard, name: str) -> Path:
    (record,) = dashboard.workspace.runs.all()
    return dashboard.home / "exports" / folder_name(record, name)


def test_every_format_stands_beside_the_baseline_with_its_size(studio: StudioPage, finished: Path) -> None:
    expect(block(studio).locator(".export-bar i.baseline")).to_have_count(1)
    expect(block(studio).locator(".export-bar i.estimate")).to_have_count(len(FORMATS))
    widths = {name: line(studio, name).locator(".export-bar i").bounding_box() for name in ("gguf", "transformers")}
    assert widths["gguf"] and widths["transformers"]
    assert widths["gguf"]["width"] < 0.6 * widths["transformers"]["width"], "four bits beside sixteen"


def test_a_format_is_written_found_and_opened_by_its_own_script(
    studio: StudioPage, dashboard: Dashboard, finished: Path
) -> None:
    onnx = line(studio, "onnx")
    studio.button("export_write.onnx").click()
    expect(onnx.locator(".export-bar i.written")).to_be_visible(timeout=PATIENCE)
    place = folder(dashboard, "onnx")
    expect(onnx).to_contain_text(str(place))
    expect(onnx).to_contain_text(EN("export.opened", program="onnxruntime")[:-1])
    kept = json.loads((place / RECORD).read_text())
    expect(onnx.locator(".export-bar span")).to_have_text(re.compile(f"{kept['weight_bytes'] / 1e6:.2f}.MB"))

    onnx.get_by_role("button", name=EN("export.open")).click()
    opened = studio.page.locator("[data-testid=stPopoverBody]")
    expect(opened).to_contain_text(f"python {place / SCRIPT}")
    expect(opened).to_contain_text((place / CARD).read_text().splitlines()[0])
    command = [sys.executable, str(place / SCRIPT), "Once upon a time", "--tokens", "12"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE / 1000, check=True)
    assert len(said.stdout.split()) > 5

    studio.page.reload()
    expect(onnx.locator(".export-bar i.written")).to_be_visible()


def test_a_stopped_export_leaves_nothing_and_its_button_comes_back(
    studio: StudioPage, dashboard: Dashboard, finished: Path
) -> None:
    worker = dashboard.worker
    worker.suspend()  # a file is written faster than a busy machine draws its progress
    try:
        for name in ("gguf", "gptq"):
            studio.button(f"export_write.{name}").click()
            expect(line(studio, name).get_by_role("progressbar").first).to_be_visible()
        studio.button("export_stop.gptq").click()
        expect(line(studio, "gptq")).to_contain_text(EN("export.stopped"))
    finally:
        worker.resume()
    expect(studio.button("export_write.gptq")).to_be_visible()
    expect(line(studio, "gguf").locator(".export-bar i.written")).to_be_visible(timeout=PATIENCE)
    expect(line(studio, "gguf")).to_contain_text("Not opened by llama.cpp, which is not installed here")
    written = {path.name for path in finished.iterdir()}
    assert folder(dashboard, "gptq").name not in written and folder(dashboard, "gguf").name in written
    assert not [name for name in written if name.endswith(".part")], "nothing half-done may be left behind"


def test_a_place_that_is_taken_is_said_beside_the_button(
    studio: StudioPage, dashboard: Dashboard, finished: Path
) -> None:
    taken = folder(dashboard, "transformers")
    taken.mkdir(parents=True)
    (taken / "thesis.txt").write_text("mine")
    studio.button("export_write.transformers").click()
    expect(line(studio, "transformers").get_by_role("alert")).to_contain_text("exists already and is not an export")
    assert [file.name for file in taken.iterdir()] == ["thesis.txt"]
    (taken / "thesis.txt").unlink()
    studio.button("export_write.transformers").click()
    expect(line(studio, "transformers").locator(".export-bar i.written")).to_be_visible(timeout=PATIENCE)
    expect(line(studio, "transformers").get_by_role("alert")).to_have_count(0)
