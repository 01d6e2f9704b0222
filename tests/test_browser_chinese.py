"""The Chinese dashboard, read as a person reads it: nothing is left in English but names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from compresslab_dashboard.texts import words_of
from playwright.sync_api import expect

from tests.dashboard_server import Dashboard
from tests.studio_page import StudioPage, keyed, settle

ZH = words_of("zh")
PAGES = ("compare", "explore", "layers", "history", "models", "present")
ENGLISH = re.compile(r"[A-Za-z']+( [a-z']+){2,}")  # three words in a row are a sentence, not a name
STREAMLITS_OWN = {"Skip to main content"}  # for the keyboard, seen only when it has the focus


def english(page: StudioPage) -> list[str]:
    seen = page.page.locator("body").inner_text()
    return [found[0] for found in ENGLISH.finditer(seen) if found[0] not in STREAMLITS_OWN]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_speaks_chinese(dashboard: Dashboard, studio: StudioPage, name: str) -> None:
    studio.page.goto(f"{dashboard.url}/{name}?lang=zh")
    expect(studio.page.get_by_text(ZH(f"page.{name}"), exact=True).first).to_be_visible()
    expect(studio.page.get_by_text("中文").first).to_be_visible()
    assert english(studio) == []


def test_a_refused_link_says_why_in_chinese(studio: StudioPage) -> None:
    studio.open(lang="zh", run="nothing")
    alert = studio.page.get_by_role("alert").first
    expect(alert).to_have_text("没有运行 'nothing'；`compresslab runs` 可列出全部。")
    assert english(studio) == []


def test_a_refused_file_says_why_in_chinese(studio: StudioPage, tmp_path: Path) -> None:
    bad = tmp_path / "mine.jsonl"
    bad.write_text('{"prompt": "Who?"}\n', encoding="utf-8")
    studio.open(lang="zh", live="off")
    studio.turn("measured_on")
    studio.button("own_text").click()
    keyed(studio.page, "own_purpose").get_by_text(ZH("own.questions"), exact=True).click()
    uploader = studio.page.get_by_test_id("stFileUploader")
    expect(uploader.locator("button").first).to_be_visible()
    drawn = uploader.get_by_test_id("stFileUploaderDropzone").locator("button p")
    assert "选择文件" in drawn.evaluate("e => getComputedStyle(e, '::after').content")
    expect(studio.page.get_by_text(ZH("own.questions.help"))).to_be_visible()
    settle(studio.page)
    uploader.locator("input[type=file]").set_input_files(bad)
    expect(studio.page.get_by_text("mine.jsonl 第 1 行 需要 prompt、choices 和 answer 三个键。")).to_be_visible()
