"""What people from elsewhere can't do: read outside the folders given, see anything before they have signed in."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest
from click.testing import CliRunner
from compresslab.commands.main import cli, main
from compresslab.data import own_texts
from compresslab.data.labelled import check_examples
from compresslab.data.texts import calibration_text, check_file, evaluation_questions
from compresslab.errors import BadInput
from compresslab.files.paths import BUNDLED_MODEL, FOLDERS
from compresslab.models.source import locate
from compresslab.recipes.generation_request import GenerateRequest, Pane
from compresslab.recipes.recipe import Recipe
from compresslab.recipes.sweep import Sweep
from compresslab.work import launcher, sign_in
from compresslab.workspace import Workspace
from compresslab_dashboard.shell import gate
from compresslab_dashboard.texts import words_of
from streamlit.testing.v1 import AppTest

from tests.test_dashboard_pages import opened, said

OUTSIDE = "is outside the folders that this server may read"


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


@pytest.mark.parametrize(
    "name",
    [
        "{closed}/model",
        "{open}/../closed/model",
        "{open}/./../closed//model/",
        "{open}-and-more/model",  # begins alike, is another
        "~/closed/model",
        "~root",
        "~nobody-of-this-name/model",
        "file://{closed}/model",
        "file:{closed}/model",
        "{open}/%2e%2e/closed/model",
        "{open}/..\\..\\closed",
        "{open}/\x00/../../closed",
        "{open}/" + "m" * 300,
        "{home}/secrets.toml",
        "{home}/store.db",
        "{home}/logs",
        "{home}/texts/../secrets.toml",
        "/proc/self/environ",
        ".",
        "..",
        "",
    ],
)
def test_no_spelling_leads_out(shared, own_home, monkeypatch, name):
    """Each of the ways in which a visitor can name a place: as a model and as a text."""
    monkeypatch.setenv("HOME", str(shared))
    own_home.mkdir()
    (own_home / "secrets.toml").write_text("cookie_secret = 1")
    asked = name.format(open=shared / "open", closed=shared / "closed", home=own_home)
    for read in (locate, calibration_text, evaluation_questions, check_file):
        with pytest.raises(BadInput):
            read(asked)


def test_a_link_to_itself_and_links_in_a_row(shared):
    first, second = shared / "open" / "first", shared / "open" / "second"
    first.symlink_to(second)
    second.symlink_to(first)
    (shared / "open" / "deep").symlink_to(shared / "open" / "deeper")
    (shared / "open" / "deeper").symlink_to(shared / "closed")
    for name in (first, shared / "open" / "deep" / "model"):
        with pytest.raises(BadInput):
            locate(str(name))


def test_what_people_brought_themselves_can_be_read(shared, own_home, tiny_facts):
    kept = own_texts.keep(b"Once there was a text. " * 50, "../../../store.db.txt", "calibration", tiny_facts)
    assert kept.parent == own_home / "texts" and calibration_text(str(kept))


@pytest.mark.parametrize("name", ["../../evil.txt", "/etc/passwd.txt", "..\\evil.txt", "a/../../b.md", "\x00.txt"])
def test_an_uploads_name_chooses_no_place(own_home, tiny_facts, name):
    kept = own_texts.keep(b"Once there was a text. " * 50, name, "evaluation", tiny_facts)
    assert kept.resolve().parent == own_home / "texts"
    assert [path for path in own_home.rglob("*") if path.is_file()] == [kept]


@pytest.mark.parametrize(
    "name",
    ["hub:/etc:train", "hub:..:train", "hub:../closed:train", "hub:text:train", "hub:json:train", "hub:tests/data:x",
     "hub:~/closed:train", "hub:file:///etc:train"],
)  # fmt: skip
def test_a_dataset_is_one_of_the_hub_and_no_folder_of_this_machine(shared, monkeypatch, name):
    (shared / "tests" / "data").mkdir(parents=True)
    monkeypatch.chdir(shared)
    with pytest.raises(BadInput, match="is not the name of a dataset"):
        calibration_text(name)


@pytest.mark.parametrize("run_id", ["../..", "..", ".", "/", "../texts", "run0000000/../.."])
def test_a_run_that_is_not_in_the_store_is_no_place(own_home, run_id):
    workspace = Workspace()
    (own_home / "texts").mkdir()
    for ask in (workspace.runs.find, workspace.runs.delete, lambda one: workspace.exports.offers(one, {})):
        with pytest.raises(BadInput):
            ask(run_id)
    assert (own_home / "texts").is_dir() and (own_home / "store.db").is_file()


@pytest.mark.parametrize("place", ["{closed}/model", "~root", "file://{closed}/model"])
def test_an_address_does_not_lead_out(shared, place):
    """The Studio's address: the sentence is there, nothing of the folder is."""
    app = opened(model=place.format(open=shared / "open", closed=shared / "closed"), recipe="quantize_rtn", live="off")
    said_by = " ".join(element.value for element in app.error)
    assert "outside the folders" in said_by or "outside" in said(app)


def test_no_work_of_guests_goes_to_a_worker_that_reads_more(own_home, monkeypatch):
    """It was started for this machine alone, and works on the same store."""
    store = Workspace().store
    store.beat("w", host=socket.gethostname(), pid=os.getpid(), device="cpu", state="idle")
    monkeypatch.setattr(launcher, "_start_server", lambda host, port: pytest.fail("it started"))
    monkeypatch.setenv(FOLDERS, "")
    with pytest.raises(BadInput, match="end it first"):
        launcher.serve(None, host="0.0.0.0", folders=[], browser=False, say=print)


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
    from compresslab_dashboard.shell import sign_in
    from compresslab_dashboard.texts import words_of

    sign_in.required(words_of("en"))
    st.markdown("the runs of everybody")


def test_without_a_provider_nobody_has_to_sign_in():
    app = AppTest.from_function(draw_with_sign_in).run()
    assert [element.value for element in app.markdown] == ["the runs of everybody"]


AUTH = {
    "redirect_uri": "http://localhost:{port}/oauth2callback",
    "cookie_secret": "k" * 32,
    "client_id": "compresslab",
    "client_secret": "between the two",
    "server_metadata_url": "https://id.example.org/.well-known/openid-configuration",
}


def write_secrets(home, auth):
    home.mkdir(exist_ok=True)
    lines = ["[auth]", *(f'{name} = "{value}"' for name, value in auth.items())]
    (home / "secrets.toml").write_text("\n".join(lines))


def test_a_visitor_who_has_not_signed_in_sees_nothing(own_home):
    write_secrets(own_home, AUTH)
    app = AppTest.from_function(draw_with_sign_in).run()
    assert not app.exception and [button.key for button in app.button] == ["sign_in_go"]
    assert not any("everybody" in element.value for element in app.markdown)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"client_secret": ""}, "lacks client_secret"),
        ({"client_id": None, "redirect_uri": None}, "lacks redirect_uri, client_id"),
        ({"cookie_secret": "short"}, "too short"),
        ({"redirect_uri": "http://localhost:8501/"}, "followed by /oauth2callback"),
        ({"redirect_uri": "http://[::1/oauth2callback"}, "followed by /oauth2callback"),
        ({"server_metadata_url": "id.example.org"}, "beginning with https://"),
    ],
)
def test_a_sign_in_that_is_set_up_wrong_is_refused_before_the_start(own_home, wrong, said, capsys):
    """By the command in one sentence; a page that is already open stays shut."""
    auth = {name: value for name, value in (AUTH | wrong).items() if value is not None}
    write_secrets(own_home, auth)
    assert main(["dashboard", "--no-browser"]) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.strip().splitlines()) == 1
    app = AppTest.from_function(draw_with_sign_in).run()
    assert not app.exception and not any("everybody" in element.value for element in app.markdown)
    assert not app.button and words_of("en")("sign_in.unset") in [element.value for element in app.error]


@pytest.mark.parametrize("content", ["[auth", "auth = 1", "\udcff"])
def test_a_damaged_file_opens_no_door(own_home, content):
    own_home.mkdir()
    (own_home / "secrets.toml").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(BadInput):
        sign_in.is_required()


def test_other_secrets_ask_nobody_to_sign_in(own_home):
    own_home.mkdir()
    (own_home / "secrets.toml").write_text('[database]\npassword = "x"\n')
    assert not sign_in.is_required()


# -- what a server open to others does not do ------------------------------------------------------


def asked(path, method="GET"):
    """The status and headers of an answer that came through the gate, of an app that says yes to everything."""
    sent = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-frame-options", b"DENY")]})

    async def send(message):
        sent.append(message)

    asyncio.run(gate.Gate(app)({"type": "http", "path": path, "method": method}, None, send))
    return sent[0]["status"], dict(sent[0]["headers"])


def test_files_come_from_those_alone_who_were_let_in(monkeypatch):
    session = type("Context", (), {"session_id": "session-1"})
    for prefix in ("", "/below"):
        assert asked(f"{prefix}/_stcore/upload_file/session-1/file", "PUT")[0] == 403
    monkeypatch.setattr(gate, "_let_in", {})
    monkeypatch.setattr(gate, "get_script_run_ctx", lambda: session)
    gate.let_in()
    assert asked("/_stcore/upload_file/session-1/file", "PUT")[0] == 200
    assert asked("/_stcore/upload_file/session-2/file", "PUT")[0] == 403
    assert asked("/_stcore/metrics")[0] == 404


def test_no_other_site_shows_our_pages_in_a_frame():
    status, headers = asked("/")
    assert status == 200 and headers[b"content-security-policy"] == b"frame-ancestors 'self'"
    assert headers[b"x-frame-options"] == b"DENY"  # what an app says itself stands
    assert asked("/_stcore/metrics")[1][b"x-frame-options"] == b"SAMEORIGIN"


def test_a_visitor_deletes_no_caches_of_the_machine(shared):
    workspace = Workspace()
    for delete in (lambda: workspace.models.delete("a/model"), workspace.statistics.clear):
        with pytest.raises(BadInput, match="do it there"):
            delete()


def test_a_page_says_what_everybody_may_do_where_nobody_signs_in(shared, monkeypatch):
    assert "asks nobody to sign in" in said(opened(live="off"))
    monkeypatch.delenv(FOLDERS)
    assert "asks nobody to sign in" not in said(opened(live="off"))


def test_a_prompt_for_the_queue_has_a_limit(own_home):
    panes = (Pane(label="baseline", source="baseline"),)
    with pytest.raises(BadInput, match="up to 8,000"):
        Workspace().texts.submit(GenerateRequest(prompt="Once", further=("a" * 8001,), panes=panes), owner="me")


def test_sweeps_of_a_visitor_have_a_limit(own_home, monkeypatch):
    workspace = Workspace()
    monkeypatch.setenv("COMPRESSLAB_VISITOR_POINTS", "3")
    over = Sweep.over(Recipe(), ["quantize_rtn.bits=3,4"])
    workspace.sweeps.submit(over, owner="me")
    with pytest.raises(BadInput, match="more than 3 points"):
        workspace.sweeps.submit(over, owner="me")
    workspace.sweeps.submit(over, owner="you")
    workspace.sweeps.submit(over)
