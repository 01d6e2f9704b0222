"""A model with its texts: our own session cuts the tokens, and every toolkit gets the very same ones."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from compresslab.engine.job import Job
from compresslab.engine.progress import Tracker
from compresslab.engine.session import Session
from compresslab.models.facts import read_facts
from compresslab.recipes.recipe import Recipe
from compresslab.records.events import Event
from torch import Tensor

from benchmarks.peers.task import Setting, Task

LENGTH, CONTEXT = 128, 256  # tokens of a calibration sequence and of an evaluation window


@dataclass(frozen=True)
class Workload:
    name: str
    model: str
    calibration: str
    evaluation: str
    samples: int
    most_tokens: int  # of the evaluation text

    def recipe(self, seed: int) -> Recipe:
        """No steps yet; float32 on CPU, as all the others run."""
        return Recipe.from_dict(
            {
                "model": self.model,
                "seed": seed,
                "device": "cpu",
                "dtype": "float32",
                "calibration": {"text": self.calibration, "samples": self.samples, "sequence_length": LENGTH},
                "evaluation": {"text": self.evaluation, "context_length": CONTEXT, "max_tokens": self.most_tokens},
            }
        )

    def task(self, settings: Sequence[Setting], seeds: Sequence[int], threads: int) -> Task:
        session, job = Session(), silent_job()
        baseline = session.baseline(self.recipe(0))
        calibration = {seed: session.calibration(self.recipe(seed), baseline, job) for seed in seeds}
        evaluation, _ = session.evaluation_windows(self.recipe(0), baseline, job)
        return Task(read_facts(self.model).folder.resolve(), tuple(settings), calibration, evaluation, threads)


def storyteller(samples: int, most_tokens: int) -> Workload:
    """The bundled model with the bundled texts."""
    return Workload("storyteller", "storyteller", "bundled", "bundled", samples, most_tokens)


def stories260k(material: Path, samples: int, most_tokens: int) -> Workload:
    """stories260K and TinyStories, from a folder that the project does not ship."""
    texts = material / "tinystories"
    files = str(texts / "tiny_stories.txt"), str(texts / "tinystories_10k.txt")
    return Workload("stories260K", str(material / "stories260K"), *files, samples, most_tokens)


def fingerprint(task: Task) -> str:
    """Twelve hex digits over every token: rows of other tokens can't be compared with these."""
    tensors: list[Tensor] = [*(task.calibration[seed] for seed in sorted(task.calibration)), task.evaluation]
    return hashlib.sha256(b"".join(t.contiguous().numpy().tobytes() for t in tensors)).hexdigest()[:12]


def silent_job() -> Job:
    def ignore(event: Event) -> None:
        """Nobody watches a benchmark."""

    return Job(ignore, lambda: False, Tracker({}, ignore))
