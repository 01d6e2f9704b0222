"""What every method and metric must keep to, as one call for the tests of whoever writes one: `check(PruneRia)`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compresslab.errors import BadInput
from compresslab.models.packed_layout import file_bytes
from compresslab.planning.estimate import estimate
from compresslab.recipes.method import METHODS, Method
from compresslab.recipes.metric import METRICS, Metric
from compresslab.recipes.plan import make_plan
from compresslab.recipes.recipe import Recipe
from compresslab.settings import Control, Settings

if TYPE_CHECKING:
    from compresslab.engine.models.model import CompressedModel
    from compresslab.engine.session import Session
    from torch import Tensor

THREE_BITS = {"quantize_rtn": {"bits": 3}}
SMALL: dict[str, Any] = {
    "calibration": {"samples": 16, "sequence_length": 64},
    "evaluation": {"max_tokens": 1024, "context_length": 128, "max_questions": 20},
    "device": "cpu",
    "dtype": "float32",
}


def cases(kind: type[Method] | type[Metric]) -> list[dict[str, Any]]:
    """Settings to try a class with: its own `cases`, else its defaults, numbers below them, and every other choice."""
    if kind.cases:
        return list(kind.cases)
    controls = kind.controls()
    lower = {control.name: value for control in controls if (value := _below(control)) is not None}
    others = [
        {control.name: value}
        for control in controls
        for value in control.choices or ((True, False) if control.kind == "flag" else ())
        if value != control.default
    ]
    return [case for case in ({}, *filter(None, [lower]), *others) if _is_taken(kind, case)]


def check(kind: type[Method] | type[Metric], model: str = "storyteller") -> None:
    """Raises AssertionError, with the settings that it happened at, where a class does not do what it should.

    It must be found in its registry: the package that brings it has to be installed. Takes seconds a case.
    """
    known: dict[str, Any] = {**METHODS, **METRICS}
    assert known.get(kind.name) is kind, f"{kind.name} is not found: is the package installed that names it?"
    for case in cases(kind):
        try:
            _check_method(kind, case, model) if issubclass(kind, Method) else _check_metric(kind, case, model)
        except AssertionError as error:
            raise AssertionError(f"{kind.name} with {case or 'its defaults'}: {error}") from None


def _check_method(kind: type[Method], case: dict[str, Any], model: str) -> None:
    from compresslab.engine.session import Session

    step = {kind.name: case}
    recipe, baseline, compressed = _compressed(model, step)
    again = _compressed(model, step)[2]
    assert compressed.weights_hash() == again.weights_hash(), "the same seed gave other weights"
    assert compressed.weights_hash() != baseline.weights_hash(), "nothing was changed"
    foreseen, laid_out = estimate(make_plan(recipe, baseline.facts)), file_bytes(compressed.layout())
    assert not foreseen.exact or foreseen.compressed_bytes == laid_out, (
        f"{foreseen.compressed_bytes} bytes were estimated as exact, and it takes {laid_out}"
    )
    if kind.renews:  # what is left is a model of its own
        return
    changed = {name for name in baseline.stored if bool((baseline.weight(name) != compressed.weight(name)).any())}
    beyond = changed - {weight.name for weight in baseline.layout() if weight.role != "other"}
    assert not beyond, f"weights were changed that are no matrices of the blocks and no tables: {sorted(beyond)}"
    check_earlier_zeros(kind.parse(case, kind.name), recipe, Session())


def check_earlier_zeros(step: Method, recipe: Recipe, session: Session) -> None:
    """They stay, and count, however unevenly an earlier step has spread them. Raises AssertionError."""
    from compresslab.engine.job import silent_job
    from compresslab.engine.steps.context import StepContext

    baseline = session.baseline(recipe)
    before = baseline.copy()
    for name in before.linear_names():
        before.prune(name, late_zeros(before.weight(name)))
    after = before.copy()
    step.apply(after, StepContext(silent_job(), session, recipe, baseline))
    revived = [name for name, mask in before.masks.items() if bool((after.weight(name)[mask] != 0).any())]
    assert not revived, f"zeros of an earlier step came back in {revived}"
    foreseen = {weight.name: weight for weight in step.foresee(tuple(before.layout()), baseline.facts) if weight.exact}
    written = {weight.name: weight.nonzero for weight in after.layout() if weight.name in foreseen}
    wrong = [name for name, nonzero in written.items() if nonzero != foreseen[name].nonzero]
    assert not wrong, f"with earlier zeros, the weights that remain were not foreseen exactly in {wrong}"


def late_zeros(weight: Tensor) -> Tensor:
    """A mask of 45 % of a matrix, all of it in the later half of its columns."""
    import torch

    rows, columns = (torch.arange(size, device=weight.device) for size in weight.shape)
    return (columns >= len(columns) // 2) & ((rows[:, None] + columns) % 10 != 0)


def _check_metric(kind: type[Metric], case: dict[str, Any], model: str) -> None:
    from compresslab.engine.session import Session

    recipe, _, compressed = _compressed(model, THREE_BITS, metrics=[{kind.name: case}])
    found = Session().evaluate(compressed, recipe)
    assert any(measured.variant == "compressed" for measured in found), "the compressed model was not measured"
    unnamed = {measured.metric for measured in found} - set(kind.values)
    assert not unnamed, f"values are measured that the class has no name for: {sorted(unnamed)}"


def _compressed(model: str, *steps: Any, **fields: Any) -> tuple[Recipe, CompressedModel, CompressedModel]:
    """Recipe, baseline and compressed model, by a session of its own: nothing is left in it from another one."""
    from compresslab.engine.job import silent_job
    from compresslab.engine.session import Session

    recipe, session = Recipe.from_dict({"model": model, "steps": list(steps), **SMALL, **fields}), Session()
    compressed, _ = session.compress(recipe, silent_job())
    return recipe, session.baseline(recipe), compressed


def _below(control: Control) -> float | None:
    """Halfway down from the default; None where that is where the range begins, which often means nothing at all."""
    if control.kind not in ("integer", "number") or control.minimum is None:
        return None
    value = (control.minimum + control.default) / 2
    value = int(value) if control.kind == "integer" else value
    return None if value in (control.minimum, control.default) else value


def _is_taken(kind: type[Settings], case: dict[str, Any]) -> bool:
    try:
        kind.parse(case, kind.__name__)
    except BadInput:
        return False
    return True
