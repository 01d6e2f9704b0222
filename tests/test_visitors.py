"""Who may delete, stop and change what; and what one visitor may have."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import compresslab_dashboard
import pytest
import streamlit as st
from compresslab.errors import BadInput
from compresslab.files.paths import BUNDLED_MODEL, FOLDERS
from compresslab.models import hub as hub_models
from compresslab.recipes.recipe import Recipe
from compresslab.recipes.sweep import Sweep
from compresslab.records.events import Progress, to_json
from compresslab.store import Store
from compresslab.work import child, limits, visitors
from compresslab.work.jobs import DownloadJob, parse
from compresslab.work.visitors import ADMINS, HERE, Visitor
from compresslab.work.worker import Worker
from compresslab.workspace import Workspace
from huggingface_hub import constants
from streamlit.testing.v1 import AppTest

from tests.local_hub import local_hub
from tests.patience import PATIENCE
from tests.test_dashboard_history import history
from tests.test_dashboard_pages import healthy, opened, record, said

ADA = {"sub": "42", "name": "Ada", "email": "ada@example.org"}
EVE = {"sub": "7", "name": "Eve", "email": "ada@example.org"}  # says so, and nobody has looked
CHANGES = {"cancel", "delete", "restore", "annotate", "clear", "stop", "resume", "in_full", "delete_export", "clean"}
PARTS = {"jobs", "runs", "sweeps", "statistics", "models", "data"}
STORYTELLER = "someone/storyteller"


def person(claims: dict[str, Any]) -> Visitor:
    return visitors.signed_in(claims, "a session")


@pytest.fixture
def store(own_home: Path) -> Store:
    found = Workspace().store
    for claims in (ADA, EVE):
        found.people.note(person(claims).owner, person(claims).name)
    return found


@pytest.fixture
def come(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sign in as somebody."""
    return lambda claims: monkeypatch.setattr(st, "user", {"is_logged_in": True, **claims})


# -- who somebody is -----------------------------------------------------------------------------------------------


def test_somebody_is_who_the_provider_says_and_not_what_they_call_themselves() -> None:
    assert person(ADA).owner == "42" and person(EVE).owner == "7"
    assert person(ADA | {"name": "Somebody else", "email": "new@example.org"}).owner == "42"
    long = person({"sub": "x" * 200}).owner
    assert len(long) == 64 and long != person({"sub": "x" * 201}).owner


@pytest.mark.parametrize(
    ("claims", "is_admin"),
    [
        (ADA, False),  # nobody has proved the address
        (ADA | {"email_verified": False}, False),
        (ADA | {"email_verified": True}, True),
        (ADA | {"email_verified": True, "email": "ADA@example.org"}, True),
        ({"sub": "boss"}, True),
        ({"sub": "BOSS"}, False),
        ({"sub": "", "email": "", "name": "boss"}, False),
    ],
)
def test_admins_are_ids_and_proved_addresses(
    monkeypatch: pytest.MonkeyPatch, claims: dict[str, Any], is_admin: bool
) -> None:
    monkeypatch.setenv(ADMINS, " boss, Ada@Example.org,,")
    assert person(claims).admin is is_admin


def test_without_the_setting_nobody_is_an_admin() -> None:
    assert not person({"sub": ""}).admin and not person(ADA | {"email_verified": True}).admin


@pytest.mark.parametrize(
    ("visitor", "owner", "code"),
    [
        (HERE, "42", None),
        (Visitor("a session", "a session"), "another session", None),
        (person(ADA), "42", None),
        (person(ADA), "a session", None),  # a live job of this window
        (person(ADA), "7", "owner.other"),
        (person(ADA), "another session", "owner.nobody"),
        (person(ADA), "", "owner.nobody"),
        (Visitor("", "", signed_in=True), "", "owner.nobody"),
        (Visitor("1", signed_in=True, admin=True), "42", None),
    ],
)
def test_deleting_is_the_owners_or_an_admins(store: Store, visitor: Visitor, owner: str, code: str | None) -> None:
    refusal = visitors.refusal(store, visitor, owner)
    assert (refusal and refusal.code) == code


@pytest.mark.parametrize(
    ("visitor", "shared", "code"),
    [
        (HERE, False, None),
        (HERE, True, "server.local_only"),
        (Visitor("x", signed_in=True), False, "owner.admins"),
        (Visitor("x", signed_in=True), True, "owner.admins"),
        (Visitor("x", signed_in=True, admin=True), True, None),
    ],
)
def test_caches_are_the_machines(
    monkeypatch: pytest.MonkeyPatch, visitor: Visitor, shared: bool, code: str | None
) -> None:
    if shared:
        monkeypatch.setenv(FOLDERS, "")
    refusal = visitors.refusal_of_machine(visitor)
    assert (refusal and refusal.code) == code
    if code:
        with pytest.raises(BadInput):
            Workspace().statistics.clear(by=visitor)


# -- whatever changes something asks -------------------------------------------------------------------------------


def test_every_change_of_the_dashboard_says_who_asks_for_it() -> None:
    found = []
    for file in Path(compresslab_dashboard.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _changes(node.func):
                assert any(keyword.arg == "by" for keyword in node.keywords), f"{file}:{node.lineno}"
                found.append(node)
    assert len(found) >= 7


def _changes(called: ast.expr) -> bool:
    """`....runs.delete` and its like."""
    if not isinstance(called, ast.Attribute) or called.attr not in CHANGES:
        return False
    return isinstance(called.value, ast.Attribute) and called.value.attr in PARTS


def test_others_look_and_the_owner_deletes(store: Store, come: Any) -> None:
    job = store.create_job("run", "{}", priority=2, owner=person(ADA).owner)
    store.save_run(record(), job)
    come(ADA)
    app = history(run="run0000000", lang="en")
    assert "asked for this" not in said(app)
    come(EVE)
    app.button(key="delete_run").click().run()  # a browser may say that it was clicked, though it is disabled
    assert "Ada asked for this" in app.error[0].value and len(store.runs()) == 1
    app = history(run="run0000000", lang="en")
    assert "Ada asked for this; only they or an admin" in said(app)
    assert app.button(key="delete_run").disabled and app.text_input(key="note.run0000000").disabled
    come(ADA)
    app = history(run="run0000000", lang="en")
    healthy(app.text_input(key="note.run0000000").set_value("mine").run())
    app.button(key="delete_run").click().run()
    assert store.runs() == []
    with pytest.raises(BadInput, match="Ada asked for this"):
        Workspace().runs.restore("run0000000", by=person(EVE))
    healthy(app.button(key="undo_delete").click().run())
    assert store.annotations()["run0000000"].note == "mine"


def test_an_admin_deletes_what_others_asked_for(store: Store, come: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    store.save_run(record())
    come(EVE)
    assert "Nobody who signs in here" in said(history(run="run0000000", lang="en"))
    monkeypatch.setenv(ADMINS, "7")
    history(run="run0000000", lang="en").button(key="delete_run").click().run()
    assert store.runs() == []


def test_a_job_is_stopped_by_whoever_asked_for_it(store: Store, come: Any) -> None:
    workspace = Workspace()
    job = workspace.submit(Recipe.from_dict({"steps": ["quantize_rtn"]}), owner="42")
    come(ADA)
    app = opened(job=str(job), lang="en", live="off")
    come(EVE)
    app.button(key="stop").click().run()
    assert workspace.jobs.find(job).state == "queued"
    assert app.button(key="stop").disabled and "Ada asked for this" in app.button(key="stop").help
    come(ADA)
    app = opened(job=str(job), lang="en", live="off")
    app.button(key="stop").click().run()
    assert workspace.jobs.find(job).state == "cancelled"


def test_a_sweep_is_changed_by_whoever_asked_for_it(store: Store) -> None:
    sweeps = Workspace().sweeps
    number = sweeps.submit(Sweep.over(Recipe(), ["quantize_rtn.bits=3,4"]), person(ADA).owner)
    eve = person(EVE)
    for change in (sweeps.stop, sweeps.delete, sweeps.restore, sweeps.resume):
        with pytest.raises(BadInput, match="Ada asked for this"):
            change(number, by=eve)
    with pytest.raises(BadInput, match="Ada asked for this"):
        sweeps.in_full(number, [0], by=eve)
    assert sweeps.refusal(number, eve) and sweeps.refusal(number, person(ADA)) is None
    sweeps.delete(number, by=person(ADA))
    with pytest.raises(BadInput, match="Ada asked for this"):
        sweeps.restore(number, by=eve)
    sweeps.restore(number, by=person(ADA))


def test_live_drafts_of_two_windows_of_one_person_leave_each_other_alone(store: Store, come: Any) -> None:
    come(ADA)
    for bits in (3, 4):
        opened(recipe="quantize_rtn", set=f"quantize_rtn.bits={bits}", lang="en")
    jobs = Workspace().jobs.open()
    assert len([job for job in jobs if job.live]) == 2


# -- what one visitor may have -------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", limits.ALL, ids=lambda limit: limit.variable)
def test_a_limit_is_a_setting(monkeypatch: pytest.MonkeyPatch, limit: limits.Limit) -> None:
    assert limit.most == limit.default
    monkeypatch.setenv(limit.variable, "3")
    assert limit.most == 3
    monkeypatch.setenv(limit.variable, "many")
    with pytest.raises(BadInput, match=f"{limit.variable} is 'many'"):
        _ = limit.most


def test_limits_of_the_queue_and_of_sweeps_are_set_by_the_environment(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace()
    monkeypatch.setenv(limits.JOBS.variable, "1")
    monkeypatch.setenv(limits.POINTS.variable, "3")
    workspace.submit(Recipe(), owner="me")
    with pytest.raises(BadInput, match="1 of your jobs"):
        workspace.submit(Recipe(), owner="me")
    over = Sweep.over(Recipe(), ["quantize_rtn.bits=3,4"])
    number = workspace.sweeps.submit(over, owner="me")
    with pytest.raises(BadInput, match="more than 3 points"):
        workspace.sweeps.submit(over, owner="me")
    workspace.sweeps.stop(number)
    workspace.sweeps.submit(over, owner="me")
    with pytest.raises(BadInput, match="more than 3 points"):
        workspace.sweeps.resume(number)  # no way around


def downloaded(store: Store, owner: str, bytes: float, *, age: float = 0.0) -> None:
    job = store.create_job("download", DownloadJob(model=STORYTELLER).model_dump_json(), priority=2, owner=owner)
    store.claim("w")
    progress = Progress(stage="download", done=bytes, total=bytes, fraction=1.0)
    store.append_events(job, [to_json(progress)])
    store.finish(job, "done")


def test_downloads_of_a_visitor_are_counted_and_weighed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    models = Workspace().models
    monkeypatch.setenv(limits.DOWNLOADS.variable, "2")
    monkeypatch.setenv(limits.DOWNLOAD_BYTES.variable, str(10**9))
    downloaded(store, "me", 4e8)
    assert limits.bytes_left(store, "me") is None  # the user of this machine alone
    monkeypatch.setenv(FOLDERS, "")
    assert limits.bytes_left(store, "me") == 6 * 10**8 and limits.bytes_left(store, "") is None
    models.submit_download("a/b", owner="me")
    with pytest.raises(BadInput, match="fetched 2 models in the last 24 hours"):
        models.submit_download("a/c", owner="me")
    models.submit_download("a/c", owner="you")
    downloaded(store, "they", 1e9)
    with pytest.raises(BadInput, match=r"fetched 1\.0 GB in the last 24 hours"):
        models.submit_download("a/c", owner="they")
    models.submit_download("a/c")


def test_a_download_that_never_began_counts_for_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDERS, "")
    jobs = Workspace().jobs
    jobs.cancel(Workspace().models.submit_download("a/b", owner="me"))
    assert store.fetched("me", limits.DAY) == []


def test_a_model_larger_than_what_is_left_is_not_fetched(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(FOLDERS, "")
    monkeypatch.setenv(limits.DOWNLOAD_BYTES.variable, "1000000")
    with local_hub({STORYTELLER: BUNDLED_MODEL}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        Workspace().models.submit_download(STORYTELLER, owner="me")
        row = store.claim("w")
        assert row is not None
        given = row.payload | Worker(store, []).main._allowance(row)
        ended = child.outcome(None, given, lambda event: None, lambda: False)  # type: ignore[arg-type]
    assert parse(given).most_bytes == 10**6  # type: ignore[union-attr]
    assert ended["state"] == "failed" and ended["error"]["code"] == "download.too_large"
    assert hub_models.cached() == []


def test_work_of_a_visitor_fetches_nothing_in_passing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    limits.check_model("me", STORYTELLER)
    monkeypatch.setenv(FOLDERS, "")
    limits.check_model("", STORYTELLER)
    limits.check_model("me", "storyteller")
    with pytest.raises(BadInput, match="fetch it on the Models page first"):
        Workspace().submit(Recipe(model=STORYTELLER), owner="me")


def test_a_refused_download_is_said_on_the_page(store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(FOLDERS, "")
    monkeypatch.setenv(limits.DOWNLOADS.variable, "0")
    with local_hub({STORYTELLER: BUNDLED_MODEL}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        st.cache_data.clear()
        app = AppTest.from_function(draw_models, default_timeout=PATIENCE).run()
        app.text_input(key="hub_search").set_value("story").run()
        app.button(key=f"fetch.{STORYTELLER}").click().run()
    assert "as many as one visitor may" in said(healthy(app)) and Workspace().jobs.open() == []


def draw_models() -> None:
    from compresslab_dashboard.app_pages import models

    models.PAGE.show()
