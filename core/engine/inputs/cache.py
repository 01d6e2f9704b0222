"""Statistics of inputs that a process has at hand: taken once from a model and a text, whatever is compressed then."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import torch
from compresslab.engine.inputs.block_walk import Tell, baseline_statistics
from compresslab.engine.inputs.disk import Found, StatisticsStore
from compresslab.engine.inputs.whole_model import whole_statistics
from compresslab.engine.job import Job
from compresslab.engine.lru import Budget, LruCache, get_or_make
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.models.tokens import fingerprint
from compresslab.messages import Message
from compresslab.profiles import statistics_files as files
from torch import Tensor

FORMAT = 2  # of what is written, and how it is made; part of the fingerprint
SETS = 3  # of statistics at hand; their large arrays come and go by themselves
SMALL_BYTES = 2**30  # of packed Hessians: so many are taken along even where norms alone are asked for


@dataclass(frozen=True)
class Origin:
    """What statistics are taken of."""

    model: CompressedModel
    sequences: Tensor  # int64 [samples, sequence_length]
    name: str  # of the model, and of the text: for whoever looks at what is kept
    text: Message


class StatisticsCache:
    """In memory, and on disk behind it."""

    def __init__(self, budget: Budget) -> None:
        self._sets: LruCache[Found] = budget.cache(SETS)
        self._arrays: LruCache[Tensor] = budget.cache()

    def get(self, origin: Origin, job: Job, tell: Tell, *, hessian: bool) -> Found:
        """Of every matrix of the blocks; `tell` hears how much is taken. Raises Cancelled, RunFailed."""
        source, sequences = origin.model, origin.sequences
        if source.facts.anatomy.decoder:
            job.remember("calibration.decoder")
        taken = whole_statistics if source.facts.anatomy.decoder else baseline_statistics
        need = hessian_bytes(source)
        hessian = hessian or need <= SMALL_BYTES
        id_ = identity(source, sequences, hessian=True)
        if not hessian and id_ not in self._sets and not files.is_there(id_):
            id_ = identity(source, sequences, hessian=False)

        def found() -> Found:
            return self._store(id_, origin, job).kept_or(
                lambda: taken(source, source.linear_names(), sequences, tell, hessian=hessian),
                need if hessian else 0,
            )

        statistics = get_or_make(self._sets, id_, found)
        files.touch(id_)
        return statistics

    def _store(self, id_: str, origin: Origin, job: Job) -> StatisticsStore:
        samples, length = origin.sequences.shape
        about = {"model": origin.name, "text": origin.text.to_json(), "samples": samples, "sequence_length": length}
        arrays = _few(origin.model) if origin.model.offloaded else self._arrays
        return StatisticsStore(id_, about, origin.model.device, arrays, job.notice, job.check)


def _few(model: CompressedModel) -> LruCache[Tensor]:
    """Room for the Hessian of one input and its factors: who has no memory for a model has none for all of these."""
    widest = max(model.weights[name].shape[1] for name in model.linear_names())
    return Budget(3 * 4 * widest**2).cache()


def identity(source: CompressedModel, sequences: Tensor, *, hessian: bool) -> str:
    """Sixteen hex digits over everything that the numbers depend on. The tokens stand for text, tokenizer and seed."""
    config = json.dumps(source.module.config.to_dict(), sort_keys=True, default=str)
    where = (source.device.type, str(source.dtype), torch.__version__, FORMAT, hessian)
    plain = repr((source.weights_hash(), config, fingerprint(sequences), where))
    return hashlib.sha256(plain.encode()).hexdigest()[:16]


def hessian_bytes(model: CompressedModel) -> int:
    """Of the packed Hessians of all distinct inputs, at the most."""
    anatomy = model.facts.anatomy
    readers = (anatomy.attention.inputs[0], anatomy.attention.output, anatomy.mlp.inputs[0], anatomy.mlp.output)
    if anatomy.decoder:
        names = model.linear_names()
    else:
        names = [anatomy.weight(layer, name) for layer in range(model.depth) for name in readers]
    widths = [model.weights[name].shape[1] for name in names]
    return sum(2 * d * (d + 1) for d in widths)
