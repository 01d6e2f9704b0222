"""Formats that other programs load: one file each, listed in `exports.registry`.

A format is its settings: a frozen object that can say without torch whether a model fits into it, what would be lost
and how large the files become; that writes a model into a folder; and that opens the folder again as the program it is
for does. Who adds a format writes one file and one line. Torch is imported inside `write` and `reopen`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from compresslab.messages import Message, plain
from compresslab.models.anatomy import Task
from compresslab.models.facts import ModelFacts
from compresslab.models.weights import WeightPlan
from compresslab.registry import LAST
from compresslab.settings import Settings

if TYPE_CHECKING:  # the engine is the only home of torch
    from compresslab.engine.job import Job
    from compresslab.engine.measuring.baseline_scores import Subject
    from compresslab.engine.measuring.examples import Encoded
    from compresslab.engine.models.model import CompressedModel
    from compresslab.recipes.recipe import Recipe
    from torch import Tensor

INPUTS_DROPPED = Message("export.inputs_dropped")


@dataclass(frozen=True)
class Contents:
    """What is to be exported: the same for a run on disk, read without torch, and for a model in memory."""

    facts: ModelFacts  # of the checkpoint that it was made from
    layout: tuple[WeightPlan, ...]  # every weight as it is now: shape, grid, zeros
    config: dict[str, Any]  # config.json of the compressed model

    @property
    def quantized(self) -> list[WeightPlan]:
        return [weight for weight in self.layout if weight.grid is not None]

    @property
    def rounds_inputs(self) -> bool:
        """Whether matrices read their inputs in few bits."""
        return any(weight.activation_bits is not None for weight in self.layout)


@dataclass(frozen=True)
class Reopened:
    """An export, read from its files alone.

    `logits` takes int64 [B, S] and gives float32 [B, S, vocabulary]. `by` names the program that the format is for,
    with its version; where it is not installed, `missing` names it and `instead` says who read the files in its place.
    `arithmetic` is how far the program's own computing may move logits: root mean square over root mean square.
    `cut` gives the token ids of a text, with what stands before and after it, as whoever opens the files has them.
    """

    logits: Callable[[Tensor], Tensor]
    by: Message | None = None
    missing: Message | None = None
    instead: Message | None = None
    arithmetic: float = 0.0
    cut: Callable[[str], list[int]] | None = None


class Exporter(Protocol):
    """What is asked of the engine's Session while a format is written."""

    def saved_run(self, run_id: str, where: dict[str, Any]) -> CompressedModel: ...

    def evaluation_windows(self, recipe: Recipe, baseline: CompressedModel, job: Job) -> tuple[Tensor, Subject]: ...

    def examples(self, recipe: Recipe, baseline: CompressedModel, job: Job) -> tuple[list[Encoded], Subject]: ...


class Format(Settings):
    """One way to write a compressed model down."""

    name: ClassVar[str]
    place: ClassVar[int] = LAST  # its place where formats are listed
    label: ClassVar[str]  # "Hugging Face checkpoint"
    plain: ClassVar[str]  # for everyone
    help: ClassVar[str]  # for those who know the field's terms
    opened_by: ClassVar[tuple[str, ...]]  # the programs it is for: ("transformers", "vLLM")
    untried: ClassVar[tuple[str, ...]] = ()  # those among them that no file of ours was opened with, here or in tests
    weight_files: ClassVar[tuple[str, ...]]  # what `estimated_bytes` speaks of, as patterns: ("*.safetensors",)
    tasks: ClassVar[tuple[Task, ...]] = ("causal",)
    keeps_input_rounding: ClassVar[bool] = False
    opens_hub_names: ClassVar[bool] = True  # its programs fetch owner/name themselves

    def refuses(self, contents: Contents) -> Message | None:
        """Why this model can't go into this format, in one sentence that says what would; None if it can."""
        return None

    def rounds_again(self, contents: Contents) -> Message | None:
        """Which weights would be moved off the values that were measured, in one sentence; None: none."""
        return None

    def dequantizes(self, contents: Contents) -> Message | None:
        """Which weights on a grid are written as plain values for want of a place for their codes; None: none."""
        return None

    def reads_otherwise(self, contents: Contents) -> Message | None:
        """Which texts its programs cut into other tokens, few enough that the files are worth having; None: none."""
        return None

    def shut_out(self, contents: Contents) -> dict[str, Message]:
        """Those of `opened_by` that do not take this model though others do, each with the reason in a sentence."""
        return {}

    def rounded(self, model: CompressedModel) -> dict[str, Tensor]:
        """The values, float32, of weights that the files hold otherwise than memory does, by the model's names.

        Computed from the weights in memory, in the blocks, scales and dtypes of the format, not from the files: what
        these answer is compared with a model of these values.
        """
        return {}

    def tolerance(self, contents: Contents) -> float:
        """The largest difference of logits, root mean square over root mean square, that reading back may show.

        From a model with the values of `rounded`: it is arithmetic alone that may differ.
        """
        return 1e-4

    @abstractmethod
    def estimated_bytes(self, contents: Contents) -> int:
        """Of the weight files."""

    @abstractmethod
    def write(self, model: CompressedModel, folder: Path) -> None:
        """Everything that the program needs, into an empty folder. Raises BadInput, RunFailed."""

    @abstractmethod
    def reopen(self, folder: Path) -> Reopened:
        """The files read by what is always here: the program that they are for, or a reader independent of `write`."""

    def reopen_elsewhere(self, folder: Path) -> Reopened | None:
        """The files opened by a program that not everybody has installed; None where it is not. May raise anything."""
        return None

    def how_to_load(self, contents: Contents, place: str) -> dict[str, str]:
        """Lines to copy, by program: {"vLLM": "vllm serve ..."}. `place` is a folder, or owner/name on the Hub."""
        return {}


def written_dense(weights: Iterable[WeightPlan]) -> Message | None:
    """What is to be said of those that lie on a grid whose codes only our own files keep; None where there are none."""
    names = [weight.grid.name for weight in weights if weight.grid is not None and weight.affine is None]
    return Message("export.dense", count=len(names), grids=tuple(dict.fromkeys(names))) if names else None


def programs(form: Format, contents: Contents) -> list[str]:
    """Those that take this model."""
    shut_out = form.shut_out(contents)
    return [program for program in form.opened_by if program not in shut_out]


def opens_in(form: Format | type[Format], programs: Iterable[str]) -> list[Message]:
    """The programs as they are told: one that nobody tried is said to be so."""
    return [Message("export.untried", program=by) if by in form.untried else plain(by) for by in programs]


def loading_lines(form: Format, contents: Contents, place: str) -> dict[str, str]:
    """`how_to_load`, for the programs that take this model."""
    shut_out = form.shut_out(contents)
    return {by: lines for by, lines in form.how_to_load(contents, place).items() if by not in shut_out}


def drops_input_rounding(form: Format, contents: Contents) -> bool:
    """Whether the program will read inputs as they come where the model in memory rounds them."""
    return contents.rounds_inputs and not form.keeps_input_rounding


def why_not(form: Format, contents: Contents) -> Message | None:
    """What speaks against an export: the task of the model, or what the format says."""
    if contents.facts.task not in form.tasks:
        return Message("export.not_causal", label=form.label)
    return form.refuses(contents)
