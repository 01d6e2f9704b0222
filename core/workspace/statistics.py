"""Statistics of inputs that are kept on disk: they save the calibration of the next run."""

from __future__ import annotations

from collections.abc import Iterable

from compresslab.profiles import statistics_files
from compresslab.profiles.statistics_files import StatisticsEntry


class Statistics:
    def entries(self) -> list[StatisticsEntry]:
        """What is kept, most recently used first. It is measured again where it is needed and gone."""
        return statistics_files.entries()

    def room(self) -> int:
        """Bytes that they may take together; what was not used for longest goes first."""
        return statistics_files.room()

    def clear(self, ids: Iterable[str] | None = None) -> int:
        """Delete these, or all; returns the bytes that are free now. Raises BadInput for an unknown id."""
        return statistics_files.clear(ids)
