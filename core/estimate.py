"""What can be said before anything runs: exact bytes, from shapes alone."""

from __future__ import annotations

from dataclasses import dataclass

from core.packed_layout import file_bytes
from core.plan import Plan


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

    @property
    def compression_ratio(self) -> float:
        return self.baseline_bytes / self.compressed_bytes


def estimate(plan: Plan) -> Estimate:
    linear = [w for w in plan.weights if w.role == "linear"]
    total = sum(w.count for w in linear)
    zeros = sum(w.count - w.nonzero for w in linear if w.nonzero is not None)
    compressed = file_bytes(plan.weights)
    return Estimate(
        baseline_bytes=file_bytes(plan.facts.weights),
        compressed_bytes=compressed,
        exact=plan.exact,
        parameters=sum(w.count for w in plan.weights),
        sparsity=zeros / total if total else 0.0,
        bits_per_weight=8 * compressed / max(1, sum(w.count for w in plan.weights)),
        memory_need=plan.memory_need,
    )
