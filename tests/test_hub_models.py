"""Models of the Hub, against a local server that speaks its routes: search, download, stop, resume, delete."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import NamedTuple

import pytest
from compresslab.commands.main import main
from compresslab.errors import BadInput, Cancelled
from compresslab.files.paths import BUNDLED_MODEL
from compresslab.models import hub as hub_models
from compresslab.models.facts import read_facts
from huggingface_hub import constants

from tests.local_hub import LocalHub, local_hub
from tests.patience import PATIENCE, eventually

NAME = "someone/storyteller"


class Disk(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 2**18)
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", PATIENCE)  # where it reads again, bytes count twice
    with local_hub({NAME: BUNDLED_MODEL}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def test_a_search_says_what_there_is_and_whether_it_can_be_used(hub: LocalHub):
    (found,) = hub_models.search("story")
    assert (found.name, found.family, found.supported, found.gated) == (NAME, "llama", True, False)
    assert found.parameters == 5000 and found.downloads == 1200
    assert hub_models.search("nothing of the kind") == []


def test_a_download_tells_its_bytes_and_is_there_afterwards(hub: LocalHub):
    told = []
    folder = hub_models.fetch(NAME, told.append)
    size = sum(file.stat().st_size for file in folder.iterdir())
    assert [event.stage for event in told] == ["download"] * len(told)
    assert told[-1].done == told[-1].total == size and told[-1].fraction == 1.0
    assert all(before.done <= after.done for before, after in pairwise(told))
    assert read_facts(NAME).parameters == read_facts("storyteller").parameters
    (cached,) = hub_models.cached()
    assert (cached.name, cached.whole) == (NAME, True) and cached.bytes == pytest.approx(size, rel=0.01)


def test_what_is_here_is_not_asked_for_again(hub: LocalHub):
    hub_models.fetch(NAME)
    asked = len(hub.asked)
    hub_models.fetch(NAME)
    assert len(hub.asked) == asked


def test_a_stopped_download_keeps_the_files_that_it_had_finished(hub: LocalHub, monkeypatch, tmp_path):
    monkeypatch.setattr(hub_models, "EVERY_SECONDS", 0)

    def wait_for_another(name: str) -> None:
        if name == "model.safetensors":
            eventually(lambda: list(tmp_path.glob("cache/models--*/snapshots/*/tokenizer.json")))

    hub.halfway = wait_for_another  # files come side by side: the largest waits for one to be finished
    told = []
    with pytest.raises(Cancelled):
        hub_models.download(NAME, told.append, lambda: bool(told) and told[-1].done > 5_000_000)
    assert [model.whole for model in hub_models.cached()] == [False]
    hub.asked.clear()
    again = []
    folder = hub_models.download(NAME, again.append)
    fetched = [path.rsplit("/", 1)[1] for path in hub.asked if path.startswith("GET /someone")]
    assert "model.safetensors" in fetched and len(fetched) < len(list(folder.iterdir()))
    assert again[0].done > 100_000  # the files that were here already count
    assert (folder / "model.safetensors").read_bytes() == (BUNDLED_MODEL / "model.safetensors").read_bytes()


def test_a_deleted_model_is_gone_and_its_room_is_free(hub: LocalHub):
    folder = hub_models.download(NAME)
    assert hub_models.delete(NAME) > 7_000_000
    assert hub_models.cached() == [] and not folder.exists()
    with pytest.raises(BadInput, match="not in the Hub's cache"):
        hub_models.delete(NAME)


def test_what_cannot_be_had_is_said_in_one_sentence(hub: LocalHub, monkeypatch):
    with pytest.raises(BadInput, match="The Hub has no model no/one; check the spelling"):
        hub_models.download("no/one")
    with pytest.raises(BadInput, match="write owner/name"):
        hub_models.download("../secret")
    monkeypatch.setattr(hub_models.shutil, "disk_usage", lambda path: Disk(10, 10, 2**28 + 1000))
    with pytest.raises(BadInput, match=r"needs 0\.0 GB, and the disk"):
        hub_models.download(NAME)
    assert hub_models.cached() == []


def test_the_command_line_searches_fetches_lists_and_deletes(hub: LocalHub, capsys):
    assert main(["models", "--search", "story", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["name"] == NAME
    assert main(["models", "--download", NAME]) == 0
    assert NAME in capsys.readouterr().out
    assert main(["models", "--delete", NAME]) == 0
    assert NAME not in capsys.readouterr().out
    assert main(["models", "--delete", NAME, "--search", "x"]) == 2
    assert "one of --search" in capsys.readouterr().err


def test_without_a_network_it_says_so_at_once(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(BadInput, match="the Hub can't be reached; use what is on this machine"):
        hub_models.search("story")
    with pytest.raises(BadInput, match="the Hub can't be reached"):
        hub_models.fetch(NAME)
