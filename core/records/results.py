"""What a run leaves behind, readable without torch."""

from collections.abc import Iterable
from typing import Any, Literal, Self

from compresslab.errors import RunFailed
from compresslab.messages import Message
from compresslab.records.record import Record
from pydantic import BaseModel, ConfigDict, Field, ValidationError

Variant = Literal["baseline", "compressed"]
Stage = Literal["estimate", "draft", "final"]
Direction = Literal["lower", "higher", "neutral"]
Kernel = Literal["real", "simulated"]


class Measurement(Record):
    """One value with its unit and standard error, and what it was measured on.

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
    change: float | None = None
    change_error: float | None = None
    change_unit: str = ""
    kernel: Kernel | None = None
    dataset: Message | None = None
    samples: int = 0
    sample_unit: str = ""
    runtime: Message | None = (
        None  # that a speed was timed in, and its kernel: "onnxruntime, MatMulNBits int4 group 64"
    )
    note: Message | None = None
    by_kind: dict[str, float] | None = None


def find(values: Iterable[Measurement], metric: str, variant: Variant = "compressed") -> Measurement | None:
    """The one of that name and variant, or None."""
    return next((value for value in values if value.metric == metric and value.variant == variant), None)


class Hardware(Record):
    """The machine that measured."""

    device: str
    device_name: str
    device_reason: Message
    dtype: str
    dtype_reason: Message
    threads: int
    memory_bytes: int
    versions: dict[str, str]


class LossPoint(Record):
    step: int
    loss: float


class WeightReport(Record):
    """What became of one weight matrix."""

    name: str
    shape: tuple[int, int]
    bits: int | None = None
    group_size: int | None = None
    activation_bits: int | None = None  # of what it reads
    sparsity: float = 0.0


class ExportRecord(Record):
    """One format that a run was written in, and what its files answered when they were opened again."""

    format: str
    settings: dict[str, Any]
    folder: str
    created: str  # ISO 8601, UTC
    seconds: float
    bytes: int  # of all files
    weight_bytes: int
    estimated_bytes: int  # of the weight files, before anything was written
    opened_by: Message | None = None  # "transformers 5.23.0"; None where the program is not installed here
    not_opened_by: Message | None = None  # the program, where it is not installed here
    read_by: Message | None = None  # who read the files instead; None where the program did
    tokens: int  # over which the logits were compared with those of the model in memory
    largest_difference: float  # of a logit
    relative_difference: float  # root mean square of the differences over that of the logits
    unexplained_difference: float | None = None  # the same, from a model whose weights were rounded as in the files
    bound: float | None  # that the unexplained difference was held to; None of it and here in older records alone
    quality: list[Measurement]  # through the files; changes are to the model in memory, on the same tokens
    notes: list[Message] = Field(default_factory=list)
    pushed_to: str | None = None


class RunSummary(BaseModel):
    """The record without its long parts, the weights and the losses: the rest is not even looked at."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    run_id: str
    recipe: dict[str, Any]
    model: str
    stage: Stage = "final"
    created: str  # ISO 8601, UTC
    measurements: list[Measurement]
    recipe_hash: str
    named_files: str = (
        ""  # model and texts as they were: what `recipes.named_files` says of the recipe; unknown if empty
    )
    seconds: float
    stages: dict[str, float]  # seconds by stage of the pipeline
    baseline_hash: str
    compressed_hash: str
    hardware: Hardware
    notices: list[Message] = []
    saved_to: str | None = None  # folder of the packed weights, None for a draft
    exports: list[ExportRecord] = []  # one a folder

    def find(self, metric: str, variant: Variant = "compressed") -> Measurement | None:
        """The measurement of that name, or None."""
        return find(self.measurements, metric, variant)


class RunRecord(RunSummary):
    """Everything about a finished run: enough to read it, repeat it and trust it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: list[WeightReport] = []
    losses: list[LossPoint] = []

    def to_json(self) -> str:
        """Raises RunFailed for a number that is not finite: JSON has none, and it could not be read back."""
        text = self.model_dump_json()
        try:
            type(self).model_validate_json(text)
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise RunFailed("run.number_not_finite", where=where) from None
        return text

    def with_export(self, new: ExportRecord) -> Self:
        """The record with one export more, in the place of an older one in the same folder."""
        kept = [export for export in self.exports if export.folder != new.folder]
        return self.model_copy(update={"exports": [*kept, new]})
