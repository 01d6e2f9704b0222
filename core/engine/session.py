"""The warm state of one process: baselines, tokenised texts, what baselines said, models compressed lately."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import torch
from compresslab.data.labelled import read_labelled, read_pairs
from compresslab.data.texts import calibration_text, evaluation_questions, evaluation_text
from compresslab.engine import pipeline
from compresslab.engine.generation import Author, check_writes, write_pane
from compresslab.engine.inputs.cache import StatisticsCache
from compresslab.engine.job import Job, silent_job
from compresslab.engine.lru import Budget, LruCache, get_or_make
from compresslab.engine.measuring import profile, sensitivity
from compresslab.engine.measuring.baseline_scores import BaselineScores, Subject
from compresslab.engine.measuring.examples import Encoded, encode_labelled, encode_pair
from compresslab.engine.measuring.scores import EncodedQuestion, encode_question
from compresslab.engine.models import packing, tokens
from compresslab.engine.models.chat import Prompt, token_ids
from compresslab.engine.models.checkpoint import load_baseline
from compresslab.engine.models.device import Choice, available, choose, room_on
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.progress import Report, Tracker
from compresslab.engine.runtimes.choosing import Runtimes
from compresslab.engine.steps.context import StepContext
from compresslab.engine.steps.solution_cache import Solutions
from compresslab.errors import BadInput
from compresslab.files.paths import run_folder
from compresslab.messages import Message
from compresslab.models.facts import ModelFacts, read_facts
from compresslab.models.hub import fetch
from compresslab.models.source import BUNDLED, stamps
from compresslab.profiles.layer_profile import LayerProfile
from compresslab.profiles.probes import Probes
from compresslab.profiles.sensitivity_table import SensitivityTable
from compresslab.recipes import memory
from compresslab.recipes.generation_request import Decoding, GenerateRequest, Pane, RuntimeChoice
from compresslab.recipes.method import Method
from compresslab.recipes.plan import make_plan, offloads
from compresslab.recipes.recipe import Recipe
from compresslab.recipes.rounded_before import rounded_before
from compresslab.records.events import Loss
from compresslab.records.results import LossPoint, Measurement, RunRecord, Stage
from torch import Tensor

T = TypeVar("T")
BASELINES, COMPRESSED, LOADED, TEXTS = 2, 6, 3, 8  # how many of each are kept
FROM_DISK = Message("run.offloaded")


class Session:
    """What one process keeps between jobs. One job at a time: nothing here is locked."""

    def __init__(self) -> None:
        self.budget = Budget(memory.for_caches())
        self.scores = BaselineScores(self.budget)
        self.runtimes = Runtimes(self.budget)
        self._baselines: LruCache[CompressedModel] = self.budget.cache(BASELINES)
        self._compressed: LruCache[_Compressed] = self.budget.cache(COMPRESSED)
        self._loaded: LruCache[CompressedModel] = self.budget.cache(LOADED)
        self._ids: LruCache[Tensor] = self.budget.cache(TEXTS)
        self._questions: LruCache[list[EncodedQuestion]] = self.budget.cache(TEXTS)
        self._examples: LruCache[list[Encoded]] = self.budget.cache(TEXTS)
        self.statistics = StatisticsCache(self.budget)
        self.solutions = Solutions(self.budget)
        self._taught: LruCache[Any] = self.budget.cache()
        self._written: LruCache[int] = self.budget.cache(TEXTS)
        self._room: dict[torch.device, int] = {}  # bytes that the job at hand may take

    @property
    def device(self) -> str:
        """What "auto" stands for on this machine."""
        return available()[0]

    # -- jobs -----------------------------------------------------------------------------

    def warm(self, model: str, device: str = "auto", dtype: str = "auto") -> None:
        """Load the baseline and score a little with it, so that the first job is quick."""
        self._begin()
        recipe = Recipe(model=model).replace(device=device, dtype=dtype)
        pipeline.warm_up(self, recipe)

    def run(
        self, recipe: Recipe, *, run_id: str, stage: Stage, report: Report, cancelled: Callable[[], bool]
    ) -> RunRecord:
        """Compress and measure; a final run is saved to its folder. Raises BadInput, RunFailed, Cancelled."""
        self._begin()
        return pipeline.run(self, recipe, run_id, stage, report, cancelled)

    def sensitivity(
        self, recipe: Recipe, probes: Probes, *, report: Report, cancelled: Callable[[], bool]
    ) -> SensitivityTable:
        """How sensitive the recipe's model is, on its texts. Raises BadInput, RunFailed, Cancelled."""
        self._begin()
        job = Job(report, cancelled, Tracker(sensitivity.SHARES, report))
        with pipeline.clear_failures():
            return sensitivity.build(self, recipe, probes, job)

    def profile(
        self, recipe: Recipe, run_id: str | None, *, report: Report, cancelled: Callable[[], bool]
    ) -> LayerProfile:
        """What became of every matrix, of the saved run's where it is there. Raises BadInput, RunFailed, Cancelled."""
        self._begin()
        job = Job(report, cancelled, Tracker({step.name: 2.0 for step in recipe.steps} | profile.SHARES, report))
        with pipeline.clear_failures():
            saved = run_id is not None and (run_folder(run_id) / packing.RECIPE).exists()
            where = {"device": recipe.device, "dtype": recipe.dtype}
            model = self.saved_run(run_id or "", where) if saved else self.compress(recipe, job)[0]
            return profile.build(self, recipe, model, job)

    def generate(self, request: GenerateRequest, *, report: Report, cancelled: Callable[[], bool]) -> None:
        """Panes one after the other, each alone. Raises BadInput, RunFailed, Cancelled."""
        self._begin()
        job = Job(report, cancelled, Tracker({}, report))
        with pipeline.clear_failures():
            for number, pane in enumerate(request.panes):
                model = self._pane(pane, request, job)
                job.check()
                asked = request.asked(pane)
                author = self._author(model, request.runtime, asked, job)
                for place, prompt in enumerate(asked):
                    place = number + place * len(request.panes)
                    write_pane(author, prompt, request.decoding, place, pane.label, job, words=not request.further)

    # -- one-line use ---------------------------------------------------------------------

    def apply(
        self, step: Method, model: str | CompressedModel, teacher: str | CompressedModel | None = None
    ) -> CompressedModel:
        """A new model with the step applied, the argument untouched."""
        self._begin()
        start = self._resolve(model)
        recipe = Recipe(model=start.facts.name, steps=(step,))
        context = StepContext(silent_job(), self, recipe, self._resolve(teacher if teacher is not None else model))
        result = start.copy()
        with pipeline.clear_failures():
            step.apply(result, context)
        return result

    def evaluate(self, model: str | CompressedModel, recipe: Recipe) -> list[Measurement]:
        """Every measurement of the recipe, beside the model's own baseline."""
        self._begin()
        compressed = self._resolve(model)
        recipe = recipe.replace(model=compressed.facts.name)
        return pipeline.measure_only(self, recipe, self._baseline_of(compressed), compressed)

    def facts_of(self, model: str | CompressedModel) -> ModelFacts:
        """Of a model that is loaded for them, and stays so."""
        self._begin()
        return self._resolve(model).facts

    def generate_text(self, model: str | CompressedModel, prompt: Prompt, decoding: Decoding) -> str:
        self._begin()
        model = self._resolve(model)
        with pipeline.clear_failures():
            return write_pane(
                self._author(model, "auto", [prompt], silent_job()), prompt, decoding, 0, "", silent_job()
            )

    def _resolve(self, model: str | CompressedModel) -> CompressedModel:
        return self.baseline(Recipe(model=model)) if isinstance(model, str) else model

    def _baseline_of(self, model: CompressedModel) -> CompressedModel:
        dtype: Any = str(model.dtype).removeprefix("torch.")
        device: Any = model.device.type
        return self.baseline(Recipe(model=model.facts.name, device=device, dtype=dtype))

    # -- what stays warm ------------------------------------------------------------------

    def choice(self, recipe: Recipe) -> Choice:
        """Device and dtype; fetches the model where it is not here yet."""
        fetch(recipe.model)
        return choose(recipe.device, recipe.dtype, read_facts(recipe.model))

    def baseline(self, recipe: Recipe) -> CompressedModel:
        choice = self.choice(recipe)
        facts = read_facts(recipe.model)
        offloaded = offloads(recipe, facts, self._room_on(choice.device))
        key = (*facts.identity, str(choice.device), choice.dtype, offloaded)
        return get_or_make(self._baselines, key, lambda: load_baseline(recipe.model, choice, offloaded=offloaded))

    def compress(self, recipe: Recipe, job: Job) -> tuple[CompressedModel, list[LossPoint]]:
        """The model after every step. Starts from the longest beginning of the recipe that is still in memory."""
        room = self._room_on(self.choice(recipe).device)
        plan = make_plan(recipe, read_facts(recipe.model), room)  # refuses nonsense before any weight is loaded
        baseline = self.baseline(recipe)
        self._make_room(plan.memory_need - baseline.memory_bytes)
        if baseline.offloaded:
            job.notice(FROM_DISK)
        left_out = baseline.facts.left_out
        if left_out:
            job.notice("model.left_out", name=recipe.model, count=len(left_out), first=left_out[0])
        for said in rounded_before(plan):
            job.notice(said)
        done = len(recipe.steps)
        while done and self._key(recipe, done) not in self._compressed:
            done -= 1
        reference = None
        if done:
            kept = self._compressed[self._key(recipe, done)]
            (model, losses), reference = kept.taken_up(job), kept.reference
        else:
            model, losses = baseline.copy(), []
        for step in recipe.steps[:done]:
            job.tracker.begin(step.name)
        for place in range(done, len(recipe.steps)):
            step = recipe.steps[place]
            job.check()
            job.tracker.begin(step.name)
            step.apply(model, StepContext(job, self, recipe, baseline, losses, reference))
            reference = model.copy() if step.renews else reference
            kept = _Compressed(model.copy(), reference, list(losses), list(job.notices), list(job.remembered))
            self._compressed[self._key(recipe, place + 1)] = kept
        return model, losses

    def _key(self, recipe: Recipe, steps: int) -> tuple[Any, ...]:
        """What decides the weights after so many steps."""
        choice = self.choice(recipe)
        plain = [{step.name: step.model_dump(mode="json")} for step in recipe.steps[:steps]]
        text = json.dumps([plain, recipe.calibration.model_dump(), recipe.seed], sort_keys=True)
        facts = read_facts(recipe.model)
        offloaded = offloads(recipe, facts, self._room_on(choice.device))
        return (*facts.identity, str(choice.device), choice.dtype, offloaded, text)

    def evaluation_windows(self, recipe: Recipe, baseline: CompressedModel, job: Job) -> tuple[Tensor, Subject]:
        """int64 [windows, context_length] of the evaluation text, and what they are for the scores that are kept."""
        evaluation, measured = recipe.evaluation, baseline.facts.task == "causal"
        if measured:
            length = self._fitting(evaluation.context_length, "context_length", baseline, job)
        else:  # nobody is told of a text that is read for its speed alone
            length = min(evaluation.context_length, baseline.context_length)
        ids, fingerprint = self._tokens(evaluation_text(evaluation.text), baseline)
        used = "run.text" if measured else "run.text_for_speed"
        job.remember(used, text=tokens.label(evaluation.text), hash=fingerprint)
        found = tokens.windows(ids, length, evaluation.max_tokens, evaluation.text)
        text = tokens.label(evaluation.text)
        return found, Subject.of(baseline, "tokens", fingerprint, text, len(found), length)

    def questions(self, recipe: Recipe, baseline: CompressedModel, job: Job) -> tuple[list[EncodedQuestion], Subject]:
        """Tokenised questions, as many as the recipe asks, and what they are for the scores that are kept."""
        name, most = recipe.evaluation.questions, recipe.evaluation.max_questions
        stories = baseline.facts.name == BUNDLED
        asked = evaluation_questions(name, stories=stories)[:most]
        fingerprint = hashlib.sha256(repr(asked).encode()).hexdigest()[:12]
        key = (fingerprint, baseline.facts.identity)
        tokenizer, room = baseline.tokenizer, baseline.context_length

        def encode() -> list[EncodedQuestion]:
            with tokens.reading(baseline):
                encoded = [encode_question(tokenizer, question, room) for question in asked]
            read = (ids for question in encoded for ids in (question.prompt, *question.choices))
            tokens.check_known(chain.from_iterable(read), baseline)
            return encoded

        encoded = get_or_make(self._questions, key, encode)
        bundled = Message("questions.bundled" if stories else "questions.general")
        shown = bundled if name == "bundled" else tokens.label(name)
        job.remember("run.questions", questions=shown, hash=fingerprint)
        cut = sum(question.cut for question in encoded)
        if cut:
            job.notice("questions.cut", count=cut)
        return encoded, Subject.of(baseline, "questions", fingerprint, shown, len(encoded), room)

    def examples(self, recipe: Recipe, baseline: CompressedModel, job: Job) -> tuple[list[Encoded], Subject]:
        """Tokenised examples of a classifier or encoder-decoder, and what they are for the scores that are kept."""
        name, most = recipe.evaluation.questions, recipe.evaluation.max_questions
        classifies = baseline.facts.task == "classification"
        read, encode = (read_labelled, encode_labelled) if classifies else (read_pairs, encode_pair)
        asked: list[Any] = list(read(name, baseline.facts))[:most]
        fingerprint = hashlib.sha256(repr(asked).encode()).hexdigest()[:12]
        key = (fingerprint, baseline.facts.identity)
        tokenizer, room = baseline.tokenizer, baseline.context_length

        def encoded_all() -> list[Encoded]:
            with tokens.reading(baseline):
                encoded = [encode(tokenizer, example, room) for example in asked]
            answers = [] if classifies else [example.answer for example in encoded]
            read = [*(example.ids for example in encoded), *answers]
            tokens.check_known(chain.from_iterable(read), baseline)
            return encoded

        encoded = get_or_make(self._examples, key, encoded_all)
        job.remember("run.examples", examples=tokens.label(name), hash=fingerprint)
        cut = sum(example.cut for example in encoded)
        if cut:
            job.notice("examples.cut", count=cut)
        return encoded, Subject.of(baseline, "examples", fingerprint, tokens.label(name), len(encoded), room)

    def calibration(self, recipe: Recipe, baseline: CompressedModel, job: Job) -> Tensor:
        """int64 [samples, sequence_length], in the order of the recipe's seed."""
        calibration = recipe.calibration
        length = self._fitting(calibration.sequence_length, "sequence_length", baseline, job)
        ids, fingerprint = self._tokens(calibration_text(calibration.text), baseline)
        job.remember("run.calibration", text=tokens.label(calibration.text), hash=fingerprint)
        found = tokens.calibration_sequences(ids, length, calibration.samples, recipe.seed, calibration.text)
        if len(found) < calibration.samples:
            job.notice("calibration.few_sequences", count=len(found), length=length)
        return found

    def taught(self, key: Hashable, make: Callable[[], T]) -> T:
        """What a teacher has said or written once."""
        found: T = get_or_make(self._taught, key, make)
        return found

    def written_bytes(self, model: CompressedModel) -> int:
        """Size of the packed file of a model, really written once to a temporary folder."""

        def write() -> int:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / packing.WEIGHTS
                packing.write_packed(model, file)
                return file.stat().st_size

        return get_or_make(self._written, (model.weights_hash(),), write)

    def saved_run(self, run_id: str, where: dict[str, Any]) -> CompressedModel:
        """The model in the folder of a run, loaded once; `where` is its device and dtype. Raises BadInput."""
        folder = run_folder(run_id)
        file = folder / packing.RECIPE
        if folder.name != run_id or not file.exists():
            raise BadInput("run.not_saved", run=run_id)
        recipe = Recipe.from_yaml(file.read_text(encoding="utf-8")).replace(**where)
        choice, facts = self.choice(recipe), read_facts(recipe.model)
        key = (run_id, stamps(folder), facts.identity, str(choice.device), choice.dtype)
        return get_or_make(self._loaded, key, lambda: packing.load_packed(folder, facts, choice))

    # -- inside ---------------------------------------------------------------------------

    def _tokens(self, text: str, model: CompressedModel) -> tuple[Tensor, str]:
        fingerprint = hashlib.sha256(text.encode()).hexdigest()[:12]
        key = (fingerprint, model.facts.identity)

        def ids() -> Tensor:
            with tokens.reading(model):
                found = tokens.tokenize(model.tokenizer, text)
            tokens.check_known(found, model)
            return torch.tensor(found, dtype=torch.long)

        return get_or_make(self._ids, key, ids), fingerprint

    def _begin(self) -> None:
        """A job may take what is free as it begins; what it takes itself is not held against it."""
        self._room.clear()

    def _room_on(self, device: torch.device) -> int:
        return self._room.setdefault(device, room_on(device))

    def _make_room(self, need: int) -> None:
        """Caches give up what a job needs, what was not used for longest first."""
        missing = need - memory.free()
        if missing > 0:
            self.budget.shed(max(0, self.budget.taken - missing))

    def _fitting(self, length: int, name: str, model: CompressedModel, job: Job) -> int:
        if length > model.context_length:
            job.notice("run.context_lowered", setting=name, length=length, context=model.context_length)
        return min(length, model.context_length)

    def _pane(self, pane: Pane, request: GenerateRequest, job: Job) -> CompressedModel:
        where: dict[str, Any] = {"device": request.device, "dtype": request.dtype}
        if pane.source == "baseline":
            return self.baseline(Recipe(model=pane.model, **where))
        if pane.source == "recipe":
            recipe = Recipe.from_dict((pane.recipe or {}) | where)
            return self.compress(recipe, job)[0]
        return self.saved_run(pane.run_id or "", where)

    def _author(self, model: CompressedModel, asked: RuntimeChoice, prompts: Sequence[Prompt], job: Job) -> Author:
        check_writes(model)
        longest = max(len(token_ids(model, prompt)) for prompt in prompts)
        chosen = self.runtimes.choose(model, asked, longest)
        if asked == "onnxruntime" and chosen.runtime.name == "torch":
            job.notice("generate.in_torch", reason=chosen.why)
        return Author(model, chosen.runtime)


@dataclass(frozen=True)
class _Compressed:
    """A model as it was after some steps, and what was said on the way."""

    model: CompressedModel
    reference: CompressedModel | None  # what later statistics are taken from; None: the baseline
    losses: list[LossPoint]
    notices: list[Message]
    remembered: list[Message]

    def taken_up(self, job: Job) -> tuple[CompressedModel, list[LossPoint]]:
        """A copy to go on with; the job is told what it would have been told."""
        for said in self.notices:
            job.notice(said)
        for said in self.remembered:
            job.remember(said)
        for point in self.losses:
            job.report(Loss(step=point.step, total=self.losses[-1].step, loss=point.loss))
        return self.model.copy(), list(self.losses)


@lru_cache(maxsize=1)
def shared_session() -> Session:
    """The one session of this process."""
    return Session()
