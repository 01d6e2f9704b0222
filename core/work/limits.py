"""What one visitor of the dashboard may have at a time, or in a day. The environment changes each of them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from compresslab.errors import BadInput
from compresslab.files.paths import is_shared
from compresslab.models.source import locate
from compresslab.recipes.generation_request import LONGEST_PROMPT
from compresslab.recipes.sweep import MOST_POINTS
from compresslab.store import Store
from compresslab.work import sign_in

DAY = 24 * 3600.0


@dataclass(frozen=True)
class Limit:
    variable: str
    default: int

    @property
    def most(self) -> int:
        """Raises BadInput for a setting that is no number."""
        given = os.environ.get(self.variable)
        if given is None:
            return self.default
        if not given.strip().isdecimal():
            raise BadInput("limit.no_number", variable=self.variable, given=given)
        return int(given)


JOBS = Limit("COMPRESSLAB_VISITOR_JOBS", 20)  # that wait or run, points of sweeps aside
POINTS = Limit("COMPRESSLAB_VISITOR_POINTS", MOST_POINTS)  # of sweeps, that wait or run
PROMPT = Limit("COMPRESSLAB_VISITOR_PROMPT", LONGEST_PROMPT)  # letters of one prompt
DOWNLOADS = Limit("COMPRESSLAB_VISITOR_DOWNLOADS", 10)  # models of the Hub in a day
DOWNLOAD_BYTES = Limit("COMPRESSLAB_VISITOR_DOWNLOAD_BYTES", 50 * 10**9)  # of them in a day
ALL = (JOBS, POINTS, PROMPT, DOWNLOADS, DOWNLOAD_BYTES)


def serves_others() -> bool:
    """Whether people come here who share this machine with others. Raises BadInput for a slip in `secrets.toml`."""
    return is_shared() or sign_in.is_required()


def check_prompts(prompts: Iterable[str]) -> None:
    """Raises BadInput for one that is too long."""
    longest = max(map(len, prompts))
    if longest > PROMPT.most:
        raise BadInput("prompt.too_long", count=longest, most=PROMPT.most)


def check_download(store: Store, owner: str) -> None:
    """Raises BadInput for a visitor who has fetched as much today as one may."""
    if not owner or not serves_others():
        return
    if len(store.fetched(owner, DAY)) >= DOWNLOADS.most:
        raise BadInput("download.too_many", most=DOWNLOADS.most)
    if bytes_left(store, owner) == 0:
        raise BadInput("download.used_up", most=DOWNLOAD_BYTES.most / 1e9)


def bytes_left(store: Store, owner: str) -> int | None:
    """That a visitor may still fetch today; None without a bound. Raises BadInput."""
    if not owner or not serves_others():
        return None
    return max(0, DOWNLOAD_BYTES.most - sum(store.fetched(owner, DAY)))


def check_model(owner: str, name: str) -> None:
    """Work of a visitor fetches no model in passing: downloads are asked for, and counted, by themselves. Raises
    BadInput."""
    if owner and serves_others() and locate(name).folder is None:
        raise BadInput("download.first", model=name)
