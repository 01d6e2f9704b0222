"""What a run leaves behind, readable without torch."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from core.errors import RunFailed

Variant = Literal["baseline", "compressed"]
Stage = Literal["estimate", "draft", "final"]
Direction = Literal["lower", "higher", "neutral"]
Kernel = Literal["real", "simulated"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Measurement(_Record):
    """One value with its unit and standard error.

    `change` is the paired difference to the baseline on the same tokens or questions, in the unit
    that `change_unit` names; its error is far smaller than that of two separate measurements.
    """

    metric: str
    variant: Variant
    value: float
    unit: str
    error: float | None = None
    direction: Direction = "neutral"
    stage: Stage = "final"
    dataset: str | None = None
    samples: int = 0
    sample_unit: str = ""
    change: float | None = None
    change_error: float | None = None
    change_unit: str = ""
    kernel: Kernel | None = None
    note: str = ""
    by_kind: dict[str, float] | None = None


class Hardware(_Record):
    """The machine that measured."""

    device: str
    device_name: str
    device_reason: str
    dtype: str
    dtype_reason: str
    threads: int
    memory_bytes: int
    versions: dict[str, str]


class LossPoint(_Record):
    step: int
    loss: float


class WeightReport(_Record):
    """What became of one weight matrix."""

    name: str
    shape: tuple[int, int]
    bits: int | None = None
    group_size: int | None = None
    activation_bits: int | None = None  # of what it reads
    sparsity: float = 0.0


class RunRecord(_Record):
    """Everything about a finished run: enough to read it, repeat it and trust it."""

    run_id: str
    recipe: dict[str, Any]
    recipe_hash: str
    model: str
    stage: Stage = "final"
    created: str  # ISO 8601, UTC
    seconds: float
    stages: dict[str, float]  # seconds by stage of the pipeline
    baseline_hash: str
    compressed_hash: str
    hardware: Hardware
    measurements: list[Measurement]
    weights: list[WeightReport] = []
    losses: list[LossPoint] = []
    notices: list[str] = []
    saved_to: str | None = None  # folder of the packed weights, None for a draft

    def to_json(self) -> str:
        """Raises RunFailed for a number that is not finite: JSON has none, and it could not be read back."""
        text = self.model_dump_json()
        try:
            type(self).model_validate_json(text)
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise RunFailed(f"The run can't be kept: {where} is not a finite number; try milder settings.") from None
        return text

    def find(self, metric: str, variant: Variant = "compressed") -> Measurement | None:
        """The measurement of that name, or None."""
        for measurement in self.measurements:
            if measurement.metric == metric and measurement.variant == variant:
                return measurement
        return None
