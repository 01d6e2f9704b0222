"""What a browser session has read or computed once and need not again."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from cachetools import LRUCache
from compresslab.planning.estimate import Estimate
from compresslab.records.results import Hardware, RunRecord

MOST_ESTIMATES = 500  # of some kilobytes each
MOST_RECORDS = 50  # a run's record tells of every weight


@dataclass
class Known:
    """`estimates` by the recipe's hash and its model's identity, `records` by the run's id; `hardware_of` is the run it
    was read from.
    """

    estimates: LRUCache[Hashable, Estimate] = field(default_factory=lambda: LRUCache(MOST_ESTIMATES))
    records: LRUCache[str, RunRecord] = field(default_factory=lambda: LRUCache(MOST_RECORDS))
    hardware: Hardware | None = None
    hardware_of: str | None = None
