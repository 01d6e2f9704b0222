"""Metrics: one file each, listed in `compresslab.registry`.

A metric measures baseline and compressed model in the same run. It yields what it knows so far, again and again,
so that charts converge while it works; what it yields last is its result. The pipeline advances all metrics in turn.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from compresslab.models.anatomy import Task
from compresslab.recipes.method import METHODS
from compresslab.records.results import Measurement
from compresslab.registry import LAST, Registry, subclass_of
from compresslab.settings import Settings


class Metric(Settings):
    """One thing that is measured; a metric may report several measurements."""

    name: ClassVar[str]
    place: ClassVar[int] = LAST  # its place where metrics are listed
    title: ClassVar[str]
    summary: ClassVar[str]
    stage: ClassVar[str] = ""  # of one that is `alone`: what it does while it works; empty: the title
    values: ClassVar[Mapping[str, str]] = {}  # what each of its measurements is called: {"perplexity": "Perplexity"}
    cases: ClassVar[tuple[dict[str, Any], ...]] = ()  # settings that tests try; empty: what follows from the ranges
    alone: ClassVar[bool] = False  # True: nothing else may run beside it (timing)
    tasks: ClassVar[tuple[Task, ...]] = ("causal", "classification", "seq2seq")  # no word of it for other models
    on_examples: ClassVar[bool] = True  # False: it needs nothing with a right answer
    in_draft: ClassVar[bool] = True  # False: left out while a slider moves

    @abstractmethod
    def measure(self, context: Any) -> Iterator[list[Measurement]]:
        """What is known so far, more exact each time; the last list is the result.

        `context` is an engine.measuring.context.MeasureContext; a metric says so, here it can't be said: the engine
        stands above.
        """


TAKEN = ("calibration", "evaluation", "decoding", "recipe")  # what else has settings, where metrics' are named
METRICS: Registry[type[Metric]] = Registry("compresslab.metrics", subclass_of(Metric), taken=lambda: (*TAKEN, *METHODS))
