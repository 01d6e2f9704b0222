"""What lies where: counted, shown, and cleaned up by whoever may."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import streamlit as st
from compresslab.errors import BadInput
from compresslab.files.atomic import new_folder, write_text
from compresslab.files.paths import FOLDERS, home, run_folder
from compresslab.work.holdings import holdings
from compresslab.work.visitors import ADMINS, Visitor
from compresslab.workspace import Workspace
from streamlit.testing.v1 import AppTest

from tests.patience import PATIENCE
from tests.test_dashboard_pages import healthy, said

DEAD = "left.part"  # of nobody knows whom, and old


@pytest.fixture
def workspace(own_home: Path) -> Workspace:
    found = Workspace()
    for name, size in (("r1", 3000), ("r2", 2000)):
        with new_folder(run_folder(name)) as part:
            (part / "packed.safetensors").write_bytes(b"w" * size)
    write_text(home() / "texts" / "own.txt", "Once" * 25)
    for place in ("layers", "runs"):
        write_text(home() / place / "nothing.json", "")
        (home() / place / "nothing.json").rename(home() / place / DEAD)
        os.utime(home() / place / DEAD, (1, 1))
    return found


def test_every_kind_is_counted_with_its_size_and_age(workspace: Workspace) -> None:
    os.utime(run_folder("r1") / "packed.safetensors", (86400, 86400))
    (home() / "texts" / "link").symlink_to(run_folder("r2"))
    found = {held.kind: held for held in holdings()}
    assert (found["runs"].count, found["runs"].bytes, found["runs"].oldest) == (2, 5000, 86400)
    assert found["runs"].newest and found["runs"].newest > 86400
    assert (found["texts"].count, found["texts"].bytes) == (2, 100)  # what a link names lies elsewhere
    assert (found["exports"].count, found["exports"].bytes, found["exports"].oldest) == (0, 0, None)
    assert found["store"].bytes > 0


def test_left_overs_are_found_wherever_parts_arise(workspace: Workspace) -> None:
    left = {part.parent.name for part in workspace.clean().parts}
    assert left == {"layers", "runs"}
    workspace.clean(only_look=False)
    assert workspace.clean().parts == () and run_folder("r1").is_dir()


def test_folders_of_the_data_folder_are_private_wherever_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there").mkdir(0o755)
    monkeypatch.setenv("COMPRESSLAB_HOME", str(tmp_path / "there"))
    before = os.umask(0o022)
    try:
        write_text(home() / "sensitivity" / "m" / "table.json", "{}")
        with new_folder(run_folder("r1")):
            pass
    finally:
        os.umask(before)
    for place in ("sensitivity", "sensitivity/m", "runs", "runs/r1"):
        assert stat.S_IMODE((home() / place).stat().st_mode) == 0o700, place


def draw() -> None:
    from compresslab_dashboard.app_pages import models

    models.PAGE.show()


def opened() -> AppTest:
    app = healthy(AppTest.from_function(draw, default_timeout=PATIENCE).run())
    assert not any(button.key == "clean_yes" for button in app.button)  # counted only when somebody asks
    return healthy(app.toggle(key="data_folder").set_value(True).run())


def test_the_page_shows_it_and_cleans_up_once_that_is_sure(workspace: Workspace) -> None:
    app = opened()
    assert "Weights of runs: 2 · 5.00" in said(app) and str(home()) in said(app)
    healthy(app.button(key="clean_yes").click().run())
    assert workspace.clean().parts == () and len(list((home() / "runs").iterdir())) == 2


def test_visitors_look_and_admins_clean(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(st, "user", {"is_logged_in": True, "sub": "42", "name": "Ada"})
    app = opened()
    assert "deleted by an admin" in said(app) and str(home()) not in said(app)
    assert not any(button.key == "clean_yes" for button in app.button)
    with pytest.raises(BadInput, match="by an admin"):
        workspace.clean(only_look=False, by=Visitor("42", signed_in=True))
    monkeypatch.setenv(ADMINS, "42")
    opened().button(key="clean_yes").click().run()
    assert workspace.clean().parts == ()


def test_on_a_server_open_to_all_nobody_cleans(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDERS, "")
    app = opened()
    assert "do it there" in said(app) and not any(button.key == "clean_yes" for button in app.button)
