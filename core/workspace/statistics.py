"""Statistics of inputs that are kept on disk: they save the calibration of the next run."""

from __future__ import annotations

from collections.abc import Iterable

from compresslab.profiles import statistics_files
from compresslab.profiles.statistics_files import StatisticsEntry
from compresslab.recipes import memory
from compresslab.recipes.memory import CacheMemory
from compresslab.work.visitors import HERE, Visitor, check_machine


class Statistics:
    def entries(self) -> list[StatisticsEntry]:
        """What is kept, most recently used first. It is measured again where it is needed and gone."""
        return statistics_files.entries()

    def room(self) -> int:
        """Bytes that they may take together; what was not used for longest goes first."""
        return statistics_files.room()

    def memory(self) -> CacheMemory:
        """Bytes of memory that the caches of a process may take, and what warm processes hold now. Raises BadInput for
        a setting that is no number."""
        return CacheMemory(memory.for_caches(), memory.kept_warm())

    def clear(self, ids: Iterable[str] | None = None, *, by: Visitor = HERE) -> int:
        """Delete these, or all; returns the bytes that are free now. Raises BadInput for an unknown id, and for
        visitors of a server who are no admins."""
        check_machine(by)
        return statistics_files.clear(ids)
