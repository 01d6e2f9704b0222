"""An export that is believed only when its own files have answered: written, opened again, compared, measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import sqrt
from pathlib import Path

import numpy as np
import psutil
import torch
from compresslab.engine import pipeline
from compresslab.engine.job import Job
from compresslab.engine.measuring.context import DRAFT_SHARE
from compresslab.engine.measuring.measurements import divergences, perplexities
from compresslab.engine.measuring.scores import Array, TokenScores, compare
from compresslab.engine.models.architecture import module_of
from compresslab.engine.models.model import CompressedModel, effective
from compresslab.engine.models.tasks import inputs_of
from compresslab.engine.models.tokens import label
from compresslab.engine.progress import Report, Tracker
from compresslab.errors import BadInput, CompresslabError, RunFailed, first_line
from compresslab.exports.format import (
    INPUTS_DROPPED,
    Contents,
    Exporter,
    Format,
    Reopened,
    drops_input_rounding,
    why_not,
)
from compresslab.messages import Message, plain
from compresslab.recipes.recipe import Recipe
from compresslab.records.results import ExportRecord, Measurement
from torch import Tensor

SHARES = {"load": 1.0, "write": 2.0, "reopen": 1.0, "compare": 4.0}
WINDOWS = 4  # read together
EXPORTED = {"device": "cpu", "dtype": "float32"}  # what files are compared with
MOST_TOKENS, MOST_EXAMPLES = 8192, 32  # that are compared
SIZE_SHARE, SIZE_BYTES = 0.03, 256 * 1024  # by which an estimate may be wrong
# What tokenizers differ in: blanks, lines, capitals, numbers, accents, signs and scripts.
PROBES = (
    "Mia had 3 red kites, and 1,024 BLUE ones.",
    " a  b\tc\n\nd \n e ",
    "It's we'LL, they've; naïve café, 東京 Ελλάδα 🙂",
    "",
)
MOST_ADDED = 32  # tokens that are tried between others
DROPPED = Message("export.inputs_compared", note=INPUTS_DROPPED)


@dataclass(frozen=True)
class Expected:
    """What the files should answer.

    `measured` is the model in memory, `stored` the one whose weights are rounded as the files hold them: the same
    where nothing is rounded once more.
    """

    measured: CompressedModel
    stored: CompressedModel


@dataclass(frozen=True)
class Compared:
    """What the files answered beside the model in memory."""

    tokens: int
    largest: float
    relative: float
    unexplained: float  # of the model whose weights are rounded as in the files
    quality: list[Measurement]


@dataclass
class Difference:
    """Between logits that come in batches."""

    largest: float = 0.0
    missed: float = 0.0
    squares: float = 0.0

    def add(self, expected: Tensor, found: Tensor) -> None:
        apart = (found - expected).double()
        self.largest = max(self.largest, float(apart.abs().max()))
        self.missed += float(apart.square().sum())
        self.squares += float(expected.double().square().sum())

    @property
    def relative(self) -> float:
        """Root mean square over root mean square."""
        return sqrt(self.missed / max(self.squares, 1e-30))


@dataclass(frozen=True)
class Answer:
    """Who read the files, what they answered, and how far that may lie from what they should."""

    reopened: Reopened
    compared: Compared
    bound: float
    why_not: Message | None = None  # the program that is installed here did not read them

    @property
    def holds(self) -> bool:
        return self.compared.unexplained <= self.bound

    @property
    def missing(self) -> Message | None:
        """The program that did not answer, and whether it was there."""
        program = self.reopened.missing
        if program is None:
            return None
        return Message("opened.failing" if self.why_not else "opened.not_installed", program=program)

    @property
    def failed(self) -> Message | None:
        """What it did instead."""
        return self.why_not and Message("export.program_failed", program=self.reopened.missing, reason=self.why_not)


def contents_of(model: CompressedModel) -> Contents:
    return Contents(model.facts, tuple(model.layout()), model.module.config.to_dict())


def export(
    session: Exporter,
    run_id: str,
    recipe: Recipe,
    form: Format,
    folder: Path,
    report: Report,
    cancelled: Callable[[], bool],
) -> ExportRecord:
    """Write the model of a saved run, in float32 on the CPU, into an empty folder and make sure that its files answer
    as it does.

    Raises BadInput where the format can't take it, RunFailed where the files are not what was promised, Cancelled.
    """
    begun, created = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    job = Job(report, cancelled, Tracker(SHARES, report))
    model = session.saved_run(run_id, EXPORTED)
    contents = contents_of(model)
    reason = why_not(form, contents)
    if reason:
        raise BadInput(reason)
    _check_memory(model)
    with pipeline.clear_failures():
        job.check()
        job.tracker.begin("write")
        form.write(model, folder)
        estimate = form.estimated_bytes(contents)
        weight_bytes = _check_size(form, folder, estimate)
        job.check()
        job.tracker.begin("reopen")
        batches, dataset = _tokens(session, model, recipe, job)
        drops = drops_input_rounding(form, contents)
        expected = expected_of(form, model, drops)
        job.tracker.begin("compare")
        answer = _answer(form, folder, contents, lambda reopened: _compare(expected, batches, dataset, reopened, job))
        _check_tokens(form, model, answer.reopened, batches)
        job.tracker.end()
    again, dense = form.rounds_again(contents), form.dequantizes(contents)
    said = (
        again,
        dense,
        form.reads_otherwise(contents),
        DROPPED if drops else None,
        answer.failed,
        *form.shut_out(contents).values(),
    )
    reopened, compared = answer.reopened, answer.compared
    return ExportRecord(
        format=form.name,
        settings=form.model_dump(mode="json"),
        folder=str(folder),
        created=created,
        seconds=time.monotonic() - begun,
        bytes=_bytes(folder, ("*",)),
        weight_bytes=weight_bytes,
        estimated_bytes=estimate,
        opened_by=reopened.by,
        not_opened_by=answer.missing,
        read_by=reopened.instead,
        tokens=compared.tokens,
        largest_difference=compared.largest,
        relative_difference=compared.relative,
        unexplained_difference=compared.unexplained,
        bound=answer.bound,
        quality=compared.quality,
        notes=[note for note in said if note],
    )


# -- what must hold -----------------------------------------------------------------------


def _check_memory(model: CompressedModel) -> None:
    """The model is in memory once already; its files are opened beside it, and one with weights rounded like theirs."""
    need = 3 * 4 * sum(weight.count for weight in model.weights.values())
    free = psutil.virtual_memory().available
    if need > free:
        raise BadInput("export.no_memory", needed=need / 1e9, free=free / 1e9)


def _reopened(form: Format, folder: Path) -> Reopened:
    try:
        return form.reopen(folder)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError) as error:
        raise RunFailed("export.not_reopened", label=form.label, reason=first_line(error)) from error


def _check_size(form: Format, folder: Path, estimate: int) -> int:
    found = _bytes(folder, form.weight_files)
    if abs(found - estimate) > SIZE_BYTES + SIZE_SHARE * estimate:
        raise RunFailed("export.wrong_size", label=form.label, found=found / 1e6, expected=estimate / 1e6)
    return found


def _answer(form: Format, folder: Path, contents: Contents, compare: Callable[[Reopened], Compared]) -> Answer:
    """By the program that the format is for, if it is installed, opens the files and answers right; else by what is
    always here, and with what the program did instead.

    Raises RunFailed where that one answers otherwise too, or can't open them.
    """
    bound, failed = form.tolerance(contents), None
    try:
        program = form.reopen_elsewhere(folder)
        if program is not None:
            answer = Answer(program, compare(program), max(bound, program.arithmetic))
            if answer.holds:
                return answer
            failed = Message("export.program_differs", difference=answer.compared.unexplained)
    except CompresslabError:
        raise
    except Exception as error:  # noqa: BLE001 - what another program raises is up to it
        failed = plain(first_line(error))
    reopened = _reopened(form, folder)
    answer = Answer(reopened, compare(reopened), bound, failed)
    if not answer.holds:
        difference, allowed = answer.compared.unexplained, answer.bound
        raise RunFailed("export.answers_differ", label=form.label, difference=difference, bound=allowed)
    return answer


def _check_tokens(form: Format, model: CompressedModel, reopened: Reopened, batches: list[Tensor]) -> None:
    """The same ids for the same text: that of the comparison, and what tokenizers differ in."""
    if reopened.cut is None:
        return
    added = [str(token) for token in model.tokenizer.get_added_vocab()][:MOST_ADDED]
    read = [str(model.tokenizer.decode(row)) for row in batches[0]]
    for text in (*PROBES, *(f"a {token} b{token}c" for token in added), *read):
        if reopened.cut(text) != list(model.tokenizer(text, verbose=False).input_ids):
            raise RunFailed("export.tokens_differ", label=form.label, text=text[:40])


def _bytes(folder: Path, patterns: tuple[str, ...]) -> int:
    files = {file for pattern in patterns for file in folder.rglob(pattern) if file.is_file()}
    return sum(file.stat().st_size for file in files)


def expected_of(form: Format, model: CompressedModel, drops_inputs: bool) -> Expected:
    rounded = form.rounded(model)
    measured = _rebuilt(model, {}, plain_inputs=True) if drops_inputs else model
    return Expected(measured, _rebuilt(model, rounded, plain_inputs=drops_inputs) if rounded else measured)


def _rebuilt(model: CompressedModel, rounded: dict[str, Tensor], *, plain_inputs: bool) -> CompressedModel:
    """With other values of some weights; with inputs that are read as they come, if asked for."""
    values = {name: rounded.get(name, effective(stored)) for name, stored in model.stored.items()}
    module = module_of(model.module.config, values, model.dtype, model.device)
    weights = {name: replace(weight, activation_bits=None) for name, weight in model.weights.items()}
    return replace(model, module=module, weights=weights if plain_inputs else model.weights, _hash=None)


# -- comparing ----------------------------------------------------------------------------


def _compare(expected: Expected, batches: list[Tensor], dataset: Message, reopened: Reopened, job: Job) -> Compared:
    """All read the tokens of a draft."""
    task = expected.measured.facts.task
    causal = task == "causal"
    rows: list[Array] = []
    lengths: list[int] = []
    moved, unexplained = Difference(), Difference()
    for done, ids in enumerate(batches):
        job.check()
        job.tracker.advance(done, len(batches))
        before = _logits(expected.measured, ids)
        found = reopened.logits(ids).float().cpu().reshape(before.shape)
        moved.add(before, found)
        unexplained.add(before if expected.stored is expected.measured else _logits(expected.stored, ids), found)
        rows.append(_scores(before, found, ids, causal))
        lengths += [max(1, before.shape[1] - causal)] * len(ids)
    nll, nll_found, divergence, same = np.concatenate(rows, axis=1)
    unit = "example" if task == "classification" else "token"
    scores = TokenScores(dataset, np.array(lengths), nll, nll_found, divergence, same, unit)
    quality = [*(perplexities(scores)[1:] if causal else ()), *divergences(scores)]
    read, measured = sum(ids.numel() for ids in batches), [_of_draft(m) for m in quality]
    return Compared(read, moved.largest, moved.relative, unexplained.relative, measured)


def _tokens(session: Exporter, model: CompressedModel, recipe: Recipe, job: Job) -> tuple[list[Tensor], Message]:
    """Token ids [B, S] of a quarter of the evaluation text; for other tasks the inputs of examples, one by one."""
    if model.facts.task == "causal":
        windows, _ = session.evaluation_windows(recipe, model, job)
        most = min(round(len(windows) * DRAFT_SHARE), MOST_TOKENS // windows.shape[1])
        dataset = Message("text.with_context", text=label(recipe.evaluation.text), context=windows.shape[1])
        return list(windows[: max(1, most)].split(WINDOWS)), dataset
    examples, _ = session.examples(recipe, model, job)
    return [torch.tensor([example.ids]) for example in examples[:MOST_EXAMPLES]], label(recipe.evaluation.questions)


def _logits(model: CompressedModel, ids: Tensor) -> Tensor:
    """float32 [B, S, V], on the CPU; [B, 1, classes] of a classifier."""
    with torch.inference_mode():
        logits: Tensor = model.module(**inputs_of(model, ids.to(model.device))).logits.float().cpu()
    return logits.unsqueeze(1) if logits.ndim == 2 else logits


def _scores(expected: Tensor, found: Tensor, ids: Tensor, causal: bool) -> Array:
    """As `compare`: of the next token where there is one; else of whatever was likeliest, at every place."""
    before, after = expected.log_softmax(-1), found.log_softmax(-1)
    if causal:
        return compare(before[:, :-1], after[:, :-1], ids[:, 1:])
    return compare(before, after, before.argmax(-1))


def _of_draft(measurement: Measurement) -> Measurement:
    return measurement.model_copy(update={"stage": "draft"})
