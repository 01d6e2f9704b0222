"""The contract that a plug-in's own tests call: cases from the settings, and what it does not let pass."""

from dataclasses import replace

import pytest
from compresslab.contract import cases, check
from compresslab.methods.prune_magnitude import PruneMagnitude
from compresslab.methods.quantize_rtn import QuantizeRtn
from compresslab.metrics.agreement import Agreement
from compresslab.recipes.method import METHODS
from compresslab.recipes.metric import METRICS


@pytest.fixture
def known(monkeypatch):
    """`known(Base, REGISTRY, name=..., ...)`: a class made of another one, as if a package had brought it."""

    def make(base, registry, **own):
        kind = type("Odd", (base,), {"__module__": "stranger", "cases": ({},), **own})
        monkeypatch.setitem(registry._loaded[0], kind.name, kind)
        return kind

    return make


def test_cases_follow_from_the_settings(known):
    found = cases(known(PruneMagnitude, METHODS, name="prune_odd", cases=()))
    assert found[0] == {} and found[1]["sparsity"] == pytest.approx(0.15)
    assert {"ratios": "global"} in found and {"ratios": "outliers"} in found
    assert cases(QuantizeRtn) == list(QuantizeRtn.cases)


def test_a_method_and_a_metric_pass(known):
    check(known(PruneMagnitude, METHODS, name="prune_odd"))
    check(Agreement)


def test_one_that_is_not_installed_is_told():
    with pytest.raises(AssertionError, match="prune_nowhere is not found: is the package installed"):
        check(type("Odd", (PruneMagnitude,), {"name": "prune_nowhere", "__module__": "stranger"}))


def nothing(self, model, context):
    """Changes nothing."""


def too_few_bytes(self, weight):
    return replace(weight, nonzero=0, exact=True)


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ({"apply": nothing}, "prune_odd with its defaults: nothing was changed"),
        ({"foresee_weight": too_few_bytes}, "bytes were estimated as exact, and it takes"),
    ],
)
def test_a_method_that_is_wrong_is_told(known, own, told):
    with pytest.raises(AssertionError, match=told):
        check(known(PruneMagnitude, METHODS, name="prune_odd", **own))


def test_a_metric_whose_values_have_no_name_is_told(known):
    with pytest.raises(AssertionError, match=r"that the class has no name for: .*kl_divergence"):
        check(known(Agreement, METRICS, name="odd", values={}))
