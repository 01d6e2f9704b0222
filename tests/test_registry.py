"""Registries: our own things in their order, another package's beside them, and a broken one told and left out."""

import sys
import types
from dataclasses import replace
from importlib.metadata import EntryPoint

import pytest
from compresslab import registry
from compresslab.methods.prune_magnitude import PruneMagnitude
from compresslab.models.families import FAMILIES
from compresslab.models.family import Family
from compresslab.recipes.method import METHODS, Method
from compresslab.recipes.metric import METRICS


class Package:
    """As much of a distribution as an entry point knows of its own."""

    def __init__(self, name):
        self.name = name


@pytest.fixture
def offered(monkeypatch):
    """Registry of the methods that these entry points offer: (name, value, package)."""
    module = types.ModuleType("stranger")
    module.Another = type(
        "Another", (PruneMagnitude,), {"name": "prune_another", "__module__": "stranger", "place": 15}
    )
    module.Taken = type("Taken", (PruneMagnitude,), {"name": "prune_magnitude", "__module__": "stranger"})
    module.Plain = object
    monkeypatch.setitem(sys.modules, "stranger", module)

    def registry_of(*points):
        found = []
        for name, value, package in points:
            point = EntryPoint(name, value, "compresslab.methods")
            vars(point)["dist"] = Package(package)
            found.append(point)
        monkeypatch.setattr(registry, "entry_points", lambda group: found)
        return registry.Registry("compresslab.methods", Method)

    return registry_of


OURS = ("prune_magnitude", "compresslab.methods.prune_magnitude:PruneMagnitude", "compresslab")


def test_methods_and_metrics_stand_in_the_order_in_which_people_see_them():
    assert next(iter(METHODS)) == "prune_layers"
    kinds = [method.kind for method in METHODS.values()]
    assert kinds == sorted(kinds, key=["prune", "distill", "quantize"].index)
    assert [method.place for method in METHODS.values()] == sorted(method.place for method in METHODS.values())
    assert next(iter(METRICS)) == "perplexity"
    assert METHODS.broken == METRICS.broken == ()


def test_another_package_s_method_stands_beside_ours(offered):
    methods = offered(("prune_another", "stranger:Another", "stranger-lab"), OURS)
    assert list(methods) == ["prune_another", "prune_magnitude"]  # by place: 15 before 30
    assert methods.broken == ()


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("prune_missing", "no_such_module:Thing", "No module named 'no_such_module'"),
        ("prune_missing", "stranger:Missing", "has no attribute 'Missing'"),
        ("prune_plain", "stranger:Plain", "stranger:Plain is no Method"),
        ("prune_other", "stranger:Another", "it is named 'prune_another'"),
        ("prune_magnitude", "stranger:Taken", "the name is taken by compresslab"),
    ],
)
def test_a_broken_one_is_told_by_name_and_left_out(offered, name, value, reason):
    methods = offered((name, value, "stranger-lab"), OURS)
    assert list(methods) == ["prune_magnitude"]
    assert methods["prune_magnitude"] is PruneMagnitude
    (broken,) = methods.broken
    assert str(broken).startswith(f"The method {name!r} of the package 'stranger-lab' is left out: ")
    assert reason in str(broken)


def test_another_package_s_family_stands_behind_ours(offered, monkeypatch):
    stranger = sys.modules["stranger"]
    stranger.OLMO = replace(FAMILIES["llama"], model_type="olmo", title="OLMo")
    ours = {"llama": FAMILIES["llama"]}
    offered(
        ("olmo", "stranger:OLMO", "stranger-lab"), ("llama", "stranger:OLMO", "x"), ("plain", "stranger:Plain", "x")
    )
    families = registry.DataRegistry("compresslab.families", Family, ours)
    assert list(families) == ["llama", "olmo"] and families["llama"] is FAMILIES["llama"]
    assert [str(broken) for broken in families.broken] == [
        "The family 'llama' of the package 'x' is left out: ValueError: it is named 'olmo'.",
        "The family 'plain' of the package 'x' is left out: TypeError: stranger:Plain is no Family.",
    ]


def test_a_fault_of_our_own_is_raised(offered):
    with pytest.raises(ModuleNotFoundError):
        list(offered(("prune_gone", "compresslab.methods.prune_gone:PruneGone", "compresslab")))
