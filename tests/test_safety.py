"""What people from elsewhere can't do: read outside the folders given, see anything before they have signed in."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from streamlit.testing.v1 import AppTest

from core import launcher
from core.commands.main import cli
from core.errors import BadInput
from core.labelled import check_examples
from core.models.source import locate
from core.paths import BUNDLED_MODEL, FOLDERS
from core.texts import calibration_text, check_file, evaluation_questions

OUTSIDE = "lies outside the folders that this server lets people read"


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """A server that lets people read `open`, with something beside it that it does not."""
    for name in ("open", "closed"):
        folder = tmp_path / name / "model"
        folder.mkdir(parents=True)
        for file in BUNDLED_MODEL.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        (tmp_path / name / "text.txt").write_text("Once there was a text. " * 50)
    monkeypatch.setenv(FOLDERS, str(tmp_path / "open"))
    return tmp_path


def test_models_and_texts_of_the_folders_given_can_be_read(shared):
    assert locate(str(shared / "open" / "model")).kind == "folder"
    assert calibration_text(str(shared / "open" / "text.txt"))
    assert locate("storyteller").kind == "bundled" and calibration_text("bundled")


@pytest.mark.parametrize("place", ["closed/model", "open/../closed/model", "nowhere/at/all"])
def test_a_model_elsewhere_is_refused_whether_it_is_there_or_not(shared, place):
    with pytest.raises(BadInput, match=OUTSIDE):
        locate(str(shared / place))


def test_a_link_leads_nowhere(shared):
    (shared / "open" / "link").symlink_to(shared / "closed" / "model")
    with pytest.raises(BadInput, match=OUTSIDE):
        locate(str(shared / "open" / "link"))


def test_a_text_elsewhere_is_refused_by_every_way_to_it(shared, tiny_facts):
    name = str(shared / "closed" / "text.txt")
    for read in (calibration_text, evaluation_questions, check_file, lambda name: check_examples(name, tiny_facts)):
        with pytest.raises(BadInput, match=OUTSIDE):
            read(name)


def test_a_server_for_this_machine_alone_reads_what_its_user_reads(shared, monkeypatch):
    monkeypatch.delenv(FOLDERS)
    assert locate(str(shared / "closed" / "model")).kind == "folder"


@pytest.mark.parametrize(
    ("flags", "allowed"),
    [([], None), (["--host", "0.0.0.0"], ""), (["--folder", "."], "."), (["--host", "0.0.0.0", "--folder", "."], ".")],
)
def test_a_server_open_to_others_has_its_folders_closed(monkeypatch, tmp_path, flags, allowed):
    """Up to where the processes would start."""
    seen = {}

    def start(host, port):
        seen.update(host=host, folders=launcher.os.environ.get(FOLDERS))
        raise KeyboardInterrupt

    monkeypatch.setenv(FOLDERS, "before")
    monkeypatch.delenv(FOLDERS)  # what the launcher sets is taken back after the test
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(launcher, "_start_server", start)
    CliRunner().invoke(cli, ["dashboard", "--no-browser", *flags])
    assert seen["folders"] == (str(tmp_path) if allowed == "." else allowed)
    assert seen["host"] == ("0.0.0.0" if "--host" in flags else "localhost")


def draw_with_sign_in() -> None:
    import streamlit as st

    from dashboard import sign_in
    from dashboard.texts import words_of

    sign_in.required(words_of("en"))
    st.markdown("the runs of everybody")


def test_without_a_provider_nobody_has_to_sign_in():
    app = AppTest.from_function(draw_with_sign_in).run()
    assert [element.value for element in app.markdown] == ["the runs of everybody"]


def test_a_visitor_who_has_not_signed_in_sees_nothing():
    app = AppTest.from_function(draw_with_sign_in)
    app.secrets["auth"] = {"redirect_uri": "http://localhost/oauth2callback", "cookie_secret": "x", "client_id": "y"}
    app.run()
    assert not app.exception and [button.key for button in app.button] == ["sign_in_go"]
    assert not any("everybody" in element.value for element in app.markdown)
