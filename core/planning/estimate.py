"""What can be said before anything runs: exact bytes from shapes alone, predicted quality with its error, and how much
faster writing can become at the most.
"""

from __future__ import annotations

from dataclasses import dataclass

from compresslab.messages import Message
from compresslab.models.packed_layout import file_bytes
from compresslab.models.traffic import read_per_token
from compresslab.planning.prediction import NotPredicted, Prediction, predictor
from compresslab.profiles.sensitivity_table import SensitivityTable
from compresslab.recipes.plan import Plan

NO_TABLE = Message("prediction.no_table")


@dataclass(frozen=True)
class Estimate:
    """Bytes of the packed file, baseline and compressed. `exact` is False for a global threshold."""

    baseline_bytes: int
    compressed_bytes: int
    exact: bool
    parameters: int
    sparsity: float  # of the weights in the linear layers
    bits_per_weight: float  # bits on disk over all weights of the model as it was
    memory_need: int
    predicted: Prediction | None = None
    why_not: Message | None = NO_TABLE  # the reason where nothing is predicted
    decode_bound: float = 1.0  # times the baseline's speed, at the most: by the bytes that a token must read

    @property
    def compression_ratio(self) -> float:
        return self.baseline_bytes / self.compressed_bytes


def estimate(plan: Plan, table: SensitivityTable | None = None) -> Estimate:
    """With a prediction where there is a sensitivity table of the model."""
    predicted, why_not = _predicted(plan, table)
    linear = [w for w in plan.weights if w.role == "linear"]
    total = sum(w.count for w in linear)
    zeros = sum(w.count - w.nonzero for w in linear if w.nonzero is not None)
    compressed = file_bytes(plan.weights)
    return Estimate(
        baseline_bytes=plan.facts.baseline_bytes,
        compressed_bytes=compressed,
        exact=plan.exact,
        parameters=sum(w.count for w in plan.weights),
        sparsity=zeros / total if total else 0.0,
        bits_per_weight=8 * compressed / max(1, sum(w.count for w in plan.weights)),
        memory_need=plan.memory_need,
        predicted=predicted,
        why_not=why_not,
        decode_bound=_decode_bound(plan),
    )


def _decode_bound(plan: Plan) -> float:
    """Writing is limited by reading weights; what else a token costs keeps the real gain below this ratio."""
    recipe, task = plan.recipe, plan.facts.task
    low_bit = recipe.runtime != "torch" and recipe.device in ("auto", "cpu") and task == "causal"
    if any(weight.activation_bits is not None for weight in plan.weights):
        low_bit = False  # such models run in torch
    after = read_per_token(plan.weights, low_bit=low_bit)
    return read_per_token(plan.facts.weights, low_bit=False) / after if after else 1.0


def _predicted(plan: Plan, table: SensitivityTable | None) -> tuple[Prediction | None, Message | None]:
    if table is None:
        return None, NO_TABLE
    try:
        return predictor(table, plan.facts.weights).predict(plan.recipe.steps), None
    except NotPredicted as reason:
        return None, reason.message
