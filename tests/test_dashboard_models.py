"""The Models page without a browser: what is here, what a local Hub has, downloads of everybody."""

from __future__ import annotations

import pytest
import streamlit as st
from compresslab.files.paths import BUNDLED_MODEL
from compresslab.messages import plain
from compresslab.models import hub as hub_models
from compresslab.records.events import Progress, to_json
from compresslab.workspace import Workspace
from huggingface_hub import constants
from streamlit.testing.v1 import AppTest

from tests.local_hub import local_hub
from tests.patience import PATIENCE

NAME = "someone/storyteller"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with local_hub({NAME: BUNDLED_MODEL}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


@pytest.fixture
def app() -> AppTest:
    st.cache_data.clear()
    return AppTest.from_function(draw, default_timeout=PATIENCE).run()


def draw() -> None:
    from compresslab_dashboard.app_pages import models

    models.PAGE.show()


def said(app: AppTest) -> str:
    found = (element.value for kind in (app.markdown, app.caption, app.info, app.error) for element in kind)
    return " ".join(found).replace("\\", "")


def buttons(app: AppTest) -> dict[str, object]:
    return {button.key: button for button in app.button if button.key}


def searched(app: AppTest, text: str) -> AppTest:
    return app.text_input(key="hub_search").set_value(text).run()


def test_nothing_is_asked_of_the_network_before_a_search(hub, app):
    assert not app.exception and "storyteller" in said(app)
    assert hub.asked == []


def test_a_model_that_was_found_is_fetched_by_a_job(hub, app):
    searched(app, "story")
    assert "llama · 1,200 downloads" in said(app)
    app.button(key=f"fetch.{NAME}").click().run()
    (job,) = Workspace().jobs.open()
    assert (job.kind, job.payload["model"]) == ("download", NAME)
    assert f"fetch.{NAME}" not in buttons(app) and "Downloading" in said(app)


def test_what_someone_else_fetches_is_not_fetched_twice(hub, app):
    searched(app, "story")
    Workspace().models.submit_download(NAME, owner="someone else")
    app.button(key=f"fetch.{NAME}").click().run()  # of a page that was drawn before
    assert len(Workspace().jobs.open()) == 1


def test_everybody_sees_a_download_and_can_stop_it(hub, app):
    workspace = Workspace()
    job = workspace.models.submit_download(NAME, owner="someone else")
    workspace.store.claim("worker")
    progress = Progress(stage="download", done=3e6, total=7.4e6, fraction=0.4, seconds_left=12)
    workspace.store.append_events(job, [to_json(progress)])
    app.run()
    assert f"stop_download.{job}" in buttons(app)
    app.button(key=f"stop_download.{job}").click().run()
    assert workspace.jobs.find(job).cancel_reason
    workspace.store.finish(job, "cancelled", plain("Stopped on request."))
    app.run()
    assert f"The download of {NAME} was stopped" in said(app)


def test_a_download_that_failed_says_why(hub, app):
    workspace = Workspace()
    job = workspace.models.submit_download("no/one")
    workspace.store.claim("worker")
    app.run()
    workspace.store.finish(job, "failed", plain("The Hub has no model no/one; check the spelling, or give a folder."))
    app.run()
    assert "no/one could not be fetched: The Hub has no model no/one" in said(app)


def test_what_is_here_can_be_deleted(hub, app):
    hub_models.download(NAME)
    app.run()
    assert f"open_model.{NAME}" in buttons(app)
    app.button(key=f"delete_model.{NAME}").click().run()
    assert hub_models.cached() == [] and "is deleted" in said(app)
    app.button(key=f"again.{NAME}").click().run()
    assert [job.payload["model"] for job in Workspace().jobs.open()] == [NAME]
    assert "is deleted" not in said(app)


def test_what_was_downloaded_is_offered_in_the_studio_with_whether_it_fits(hub, app):
    hub_models.download(NAME)
    assert Workspace().models.names() == ["storyteller", NAME]
    app.run()
    assert said(app).count("fits this machine") == 2


def test_a_model_that_is_being_fetched_is_not_called_stopped(hub, app):
    folder = hub_models.download(NAME)
    (folder / "model.safetensors").unlink()
    Workspace().models.submit_download(NAME)
    app.run()
    assert "Only a part of it is here" not in said(app)


def test_what_a_stopped_download_left_can_go_on(hub, app):
    folder = hub_models.download(NAME)
    (folder / "model.safetensors").unlink()
    app.run()
    assert "Only a part of it is here" in said(app) and f"fetch.{NAME}" in buttons(app)


def test_without_a_network_it_says_so_and_shows_what_is_here(app, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    searched(app, "story")
    assert "the Hub can't be reached; use what is on this machine" in said(app) and "open_model.storyteller" in buttons(
        app
    )
