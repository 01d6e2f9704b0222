"""Structured pruning of widths: whole MLP channels and attention heads go, and every matrix gets smaller.

Every block loses equally many, so that the result is an ordinary, narrower model of the same family. What a unit u is
worth, x_u being its part of the input of the matrix W that reads it:
- magnitude: norm of what writes the unit times norm of what reads it: scaling one against the other changes nothing;
- activation: E |W_u x_u|^2, for a channel (|W_u| * rms(x_u))^2: Wanda's score (arXiv:2306.11695) for a whole unit, and
  without the mean, which a bias can take over, where there is one: FLAP (arXiv:2312.11983);
- taylor: E |x_u . dL/dx_u| over sequences, the loss change to first order (Molchanov et al. 2017, arXiv:1611.06440,
  section 2.2; for heads Michel et al. 2019, arXiv:1905.10650);
- reconstruction: units go in turn, each time those whose loss the others make good best: with the inverse P of the
  dampened Hessian that is tr(W_u P_uu^-1 W_u^T) (optimal brain surgeon; per unit as in ZipLM, arXiv:2302.04089).
The repair is least squares on what is left: W' = W_K + W_R H_RK (H_KK + dampening)^-1, R removed, K kept; where there
is a bias H is the covariance and the bias takes over the mean.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from compresslab.errors import BadInput
from compresslab.messages import Message
from compresslab.models.anatomy import Task
from compresslab.models.facts import ModelFacts
from compresslab.models.narrowing import Widths, fewer_channels, fewer_heads, foreseen, widths_now
from compresslab.models.weights import WeightPlan
from compresslab.recipes.method import Kind, Method
from compresslab.settings import setting

if TYPE_CHECKING:
    from compresslab.engine.models.model import CompressedModel
    from compresslab.engine.steps.context import StepContext

Importance = Literal["reconstruction", "activation", "taylor", "magnitude"]


class PruneChannels(Method):
    name: ClassVar[str] = "prune_channels"
    place: ClassVar[int] = 20
    title: ClassVar[str] = "Make it narrower"
    kind: ClassVar[Kind] = "prune"
    summary: ClassVar[str] = "Removes whole channels and attention heads, so that every matrix gets smaller and faster."
    phrase: ClassVar[str] = "{mlp:.0%} narrower"
    stage: ClassVar[str] = "Making it narrower"
    paper: ClassVar[str] = "LLM-Pruner, arXiv:2305.11627; FLAP, arXiv:2312.11983; ZipLM, arXiv:2302.04089"
    tasks: ClassVar[tuple[Task, ...]] = ("causal",)
    renews: ClassVar[bool] = True
    cases: ClassVar[tuple[dict[str, Any], ...]] = (
        {"mlp": 0.4, "round_to": 4},
        {"mlp": 0.0, "heads": 0.5, "importance": "taylor", "repair": False},
    )

    mlp: float = setting(
        0.3,
        ge=0.0,
        le=0.95,
        step=0.05,
        label="Channels removed",
        plain="How much narrower the inner part of each layer becomes. The model really gets smaller and faster.",
        help="Fraction of the MLP channels of every block that are removed with their rows and columns.",
    )
    heads: float = setting(
        0.0,
        ge=0.0,
        le=0.95,
        step=0.05,
        label="Heads removed",
        plain="How many of the pointers that look back at earlier words are removed. Losing many shows quickly.",
        help="Fraction of the attention heads of every block; the nearest count that keeps the ratio of query to "
        "key/value heads whole. Families whose head count depends on the hidden size refuse it.",
        advanced=True,
    )
    importance: Importance = setting(
        "reconstruction",
        label="Ranked by",
        plain="How it decides which parts matter least.",
        help="reconstruction: one by one, those that the others can best compensate for. activation: energy of a "
        "unit's contribution on the calibration text. taylor: first-order loss change. magnitude: weight norms "
        "alone.",
        advanced=True,
    )
    repair: bool = setting(
        True,
        label="Repair",
        plain="Let the remaining parts take over what the removed ones did, as well as they can.",
        help="Least-squares update of the output matrices (and their biases) on the calibration statistics.",
        advanced=True,
    )
    dampening: float = setting(
        0.01,
        ge=0.0001,
        le=1.0,
        label="Dampening",
        plain="How cautiously it repairs.",
        help="Fraction of the mean diagonal of the Hessian that is added to it before it is inverted.",
        advanced=True,
    )
    round_to: int = setting(
        16,
        ge=1,
        le=256,
        offered=(1, 8, 16, 32, 64),
        unit="channels",
        label="Multiple of",
        plain="Widths that are multiples of this run faster.",
        help="The channels kept are a multiple of this, where one fits.",
        advanced=True,
    )

    def conflict(self, before: tuple[Method, ...]) -> Message | None:
        if any(step.kind == "quantize" for step in before):
            return Message("channels.after_quantize")
        return None

    @property
    def needs_statistics(self) -> bool:
        return self.repair or self.importance in ("reconstruction", "activation")

    @property
    def idle(self) -> bool:
        return self.mlp == 0 and self.heads == 0

    def widths(self, before: Widths, facts: ModelFacts) -> Widths:
        """What every block shall have. Raises BadInput where the family has no say in a width."""
        channels, heads = before.channels, before.heads
        if self.mlp:
            if facts.anatomy.keys.mlp_width is None:
                raise BadInput("channels.no_width", family=facts.family)
            channels = fewer_channels(channels, self.mlp, self.round_to)
        if self.heads:
            if facts.anatomy.head_count == "fixed":
                raise BadInput("channels.tied_heads", family=facts.family)
            heads = fewer_heads(heads, self.heads, facts)
        return replace(before, channels=channels, heads=heads)

    def foresee(self, weights: tuple[WeightPlan, ...], facts: ModelFacts) -> tuple[WeightPlan, ...]:
        if self.idle:
            return weights
        before = widths_now({w.name: w for w in weights}, facts)
        return foreseen(weights, facts, self.widths(before, facts))

    def cost(self, sequence_length: int) -> float:
        slopes = 50_000.0 if self.importance == "taylor" else 0.0
        return slopes + (60_000.0 if self.needs_statistics else 4_000.0)

    def apply(self, model: CompressedModel, context: StepContext) -> None:
        from compresslab.engine.steps.surgery import Choice, narrow

        if self.idle:
            return
        before = widths_now(model.weights, model.facts)
        after = self.widths(before, model.facts)
        if self.heads and after.heads == before.heads:
            context.job.notice("channels.no_head", heads=before.heads.count, share=self.heads)
        narrow(model, Choice(self.importance, self.repair, self.dampening), after, context)
