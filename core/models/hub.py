"""Models of the Hub: searched for, fetched with progress and a way to stop, listed, and deleted from its cache."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import getproxies

from compresslab.errors import BadInput, Cancelled, RunFailed, reason
from compresslab.messages import Message
from compresslab.models.families import FAMILIES
from compresslab.models.own_files import MODEL_FILES
from compresslab.models.source import HUB_ID, NOT_HUB_FILES, checked, is_whole, locate
from compresslab.records.events import Event, Progress
from tqdm.std import tqdm

PUBLIC_HUB = "https://huggingface.co"
MOST_FOUND = 20
KNOCK_SECONDS = 3.0
EVERY_SECONDS = 0.2
SURE_AFTER_SECONDS = 1.0
KEPT_FREE = 2**28  # bytes of the disk that a download leaves alone


@dataclass(frozen=True)
class Found:
    """One answer of a search."""

    name: str
    downloads: int
    parameters: int | None
    family: str
    gated: bool

    @property
    def supported(self) -> bool:
        return self.family in FAMILIES


@dataclass(frozen=True)
class Cached:
    """One model in the Hub's cache, whole or not."""

    name: str
    bytes: int
    last_used: float  # seconds since 1970
    whole: bool


def search(text: str) -> list[Found]:
    """Models with safetensors whose name holds the text, the most downloaded first. Raises BadInput."""
    from huggingface_hub import HfApi

    with _clear(text):
        models = HfApi(endpoint=_endpoint()).list_models(
            search=text.strip(),
            filter="safetensors",
            sort="downloads",
            limit=MOST_FOUND,
            expand=["downloads", "safetensors", "gated", "config"],
        )
        return [_found(model) for model in models]


def _found(model: Any) -> Found:
    weights = getattr(model, "safetensors", None)
    return Found(
        name=model.id,
        downloads=model.downloads or 0,
        parameters=weights.total if weights else None,
        family=str((model.config or {}).get("model_type", "")),
        gated=bool(model.gated),
    )


def fetch(
    name: str,
    report: Callable[[Event], None] = lambda event: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Path:
    """The folder of any model, downloaded where it is not here yet. Raises BadInput, Cancelled."""
    return locate(name).folder or download(name, report, cancelled)


def download(
    name: str,
    report: Callable[[Event], None] = lambda event: None,
    cancelled: Callable[[], bool] = lambda: False,
    most_bytes: int | None = None,
) -> Path:
    """The folder of a model, fetched where it is not here yet; of one that was stopped the finished files are kept.

    Raises BadInput where there is none, the Hub can't be reached, the disk has no room or more than `most_bytes` are
    to be fetched, and Cancelled.
    """
    from huggingface_hub import snapshot_download

    if not HUB_ID.fullmatch(name):
        raise BadInput("hub.bad_name", name=name)
    about: dict[str, Any] = {
        "allow_patterns": MODEL_FILES,
        "ignore_patterns": NOT_HUB_FILES,
        "endpoint": _endpoint(),
        "etag_timeout": 5,
    }
    with _clear(name):
        files = _files(name, about)
        missing = sum(file.file_size or 0 for file in files if file.will_download)
        if most_bytes is not None and missing > most_bytes:
            raise BadInput("download.too_large", model=name, needed=missing / 1e9, left=most_bytes / 1e9)
        _check_room(missing, name)
        watch = _Watch(sum(file.file_size or 0 for file in files), missing, report, cancelled)
        folder = snapshot_download(name, tqdm_class=_bar(watch), **about)
    return checked(Path(folder), name)


def _files(name: str, about: dict[str, Any]) -> list[Any]:
    """Every file of the model, with its size and whether it is still to be fetched."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import DryRunError

    try:
        files: list[Any] = snapshot_download(name, dry_run=True, tqdm_class=_Silent, **about)
    except DryRunError as error:
        raise error.__cause__ or error from None
    return files


def cached() -> list[Cached]:
    """What the Hub's cache holds of models, what was used last first; nothing is asked of the network."""
    found = []
    for repo in _repos():
        whole = any(is_whole(revision.snapshot_path, repo.repo_id) for revision in repo.revisions)
        found.append(Cached(repo.repo_id, repo.size_on_disk, repo.last_accessed, whole))
    return sorted(found, key=lambda model: -model.last_used)


def delete(name: str) -> int:
    """Delete a model from the Hub's cache, what a stopped download has left too; returns the bytes freed."""
    repo = next((repo for repo in _repos() if repo.repo_id == name), None)
    if repo is None:
        raise BadInput("hub.not_cached", name=name)
    try:
        shutil.rmtree(repo.repo_path)
    except OSError as error:
        raise RunFailed("hub.not_deleted", name=name, folder=repo.repo_path, reason=reason(error)) from error
    return int(repo.size_on_disk)


def _repos() -> Iterator[Any]:
    from huggingface_hub import constants, scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        yield from (repo for repo in scan_cache_dir(constants.HF_HUB_CACHE).repos if repo.repo_type == "model")
    except CacheNotFound:
        return


class _Watch:
    """Bytes that have arrived, told a few times a second; looks for cancellation at every part that arrives."""

    def __init__(
        self, total: int, missing: int, report: Callable[[Event], None], cancelled: Callable[[], bool]
    ) -> None:
        self._total, self._here = total, total - missing
        self._report, self._cancelled = report, cancelled
        self._arrived, self._begun, self._told = 0, time.monotonic(), 0.0

    def arrived(self, count: float) -> None:
        if self._cancelled():
            raise Cancelled
        self._arrived += int(count)
        now = time.monotonic()
        if now - self._told >= EVERY_SECONDS or self._here + self._arrived >= self._total:
            self._told = now
            self._tell(now - self._begun)

    def _tell(self, seconds: float) -> None:
        done = min(self._total, self._here + self._arrived)
        sure = seconds > SURE_AFTER_SECONDS and self._arrived > 0
        left = (self._total - done) * seconds / self._arrived if sure else None
        fraction = done / self._total if self._total else 1.0
        self._report(Progress(stage="download", done=done, total=self._total, fraction=fraction, seconds_left=left))


class _Silent(tqdm):
    """A progress bar that nobody sees."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.counts_bytes = kwargs.get("unit") == "B" and not str(kwargs.get("name", "")).endswith(".transfer")
        kwargs.pop("name", None)
        super().__init__(*args, **(kwargs | {"file": StringIO(), "disable": False}))


def _bar(watch: _Watch) -> type[_Silent]:
    """The progress bar that huggingface_hub fills, its bytes told to `watch`."""

    class Bar(_Silent):
        def update(self, n: float | None = 1) -> bool | None:
            if self.counts_bytes:
                watch.arrived(n or 0)
            done: bool | None = super().update(n)
            return done

    return Bar


def _check_room(needed: int, name: str) -> None:
    from huggingface_hub import constants

    place = Path(constants.HF_HUB_CACHE)
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if needed > free - KEPT_FREE:
        raise BadInput("hub.disk_full", name=name, needed=needed / 1e9, free=free / 1e9)


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT") or PUBLIC_HUB


def _knock() -> None:
    """Whether the Hub can be reached at all: its library would try again for half a minute. Raises OSError."""
    address = urlparse(_endpoint())
    if not getproxies():  # behind a proxy nothing can be reached directly
        port = address.port or (443 if address.scheme == "https" else 80)
        socket.create_connection((address.hostname or "", port), timeout=KNOCK_SECONDS).close()


@contextmanager
def _clear(name: str) -> Iterator[None]:
    """What the Hub and the way to it raise, as one sentence."""
    from huggingface_hub.errors import (  # type: ignore[attr-defined]
        GatedRepoError,
        HTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    try:
        _knock()
        yield
    except GatedRepoError:
        raise BadInput("hub.gated", name=name) from None
    except RepositoryNotFoundError:
        raise BadInput("hub.no_model", name=name) from None
    except (LocalEntryNotFoundError, HTTPError, OSError):
        raise BadInput("hub.offline", name=name or Message("hub.list")) from None
