"""Registries: our own things in their order, another package's beside them, and a broken one told and left out."""

import sys
import types
from dataclasses import replace
from importlib.metadata import EntryPoint, EntryPoints

import compresslab
import compresslab.recipes
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

    def registry_of(*points, group="compresslab.methods", check=METHODS._check, ours=()):
        found = []
        for name, value, package in points:
            point = EntryPoint(name, value, group)
            vars(point)["dist"] = Package(package)
            found.append(point)
        monkeypatch.setattr(registry, "_all", lambda: EntryPoints(found))
        return registry.Registry(group, check, ours=ours)

    return registry_of


OURS = ("prune_magnitude", "compresslab.methods.prune_magnitude:PruneMagnitude", "compresslab")


def test_methods_and_metrics_stand_in_the_order_in_which_people_see_them():
    assert next(iter(METHODS)) == "prune_layers"
    kinds = [method.kind for method in METHODS.values()]
    assert kinds == sorted(kinds, key=["prune", "distill", "quantize"].index)
    places = [(kinds.index(method.kind), method.place) for method in METHODS.values()]
    assert places == sorted(places)
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
        ("prune_plain", "stranger:Plain", "it is no Method"),
        ("prune_other", "stranger:Another", "it is named 'prune_another'"),
        ("prune_magnitude", "stranger:Taken", "the name is taken"),
    ],
)
def test_a_broken_one_is_told_by_name_and_left_out(offered, name, value, reason):
    methods = offered((name, value, "stranger-lab"), OURS)
    assert list(methods) == ["prune_magnitude"]
    assert methods["prune_magnitude"] is PruneMagnitude
    (broken,) = methods.broken
    assert str(broken).startswith(f"The method {name!r} of the package 'stranger-lab' is left out: ")
    assert reason in str(broken)


def test_a_fault_of_our_own_is_raised(offered):
    with pytest.raises(ModuleNotFoundError):
        list(offered(("prune_gone", "compresslab.methods.prune_gone:PruneGone", "compresslab")))


def test_what_a_class_does_not_say_is_named(offered):
    module = sys.modules["stranger"]
    module.Mute = type("Mute", (Method,), {"name": "prune_mute", "__module__": "stranger"})
    (broken,) = offered(("prune_mute", "stranger:Mute", "stranger-lab"), OURS).broken
    assert broken.reason == "it does not say its title and kind and summary and paper and apply"


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("shrink_it", "prune", "its name does not begin with prune_"),
        ("shrink_it", "shrink", "its kind is 'shrink'; it takes one of prune, distill, quantize"),
        ("Prune it", "prune", "names are lower-case letters and digits, with _ or - between them"),
    ],
)
def test_a_name_or_a_kind_that_nothing_can_show_is_left_out(offered, name, kind, reason):
    module = sys.modules["stranger"]
    module.Odd = type("Odd", (PruneMagnitude,), {"name": name, "kind": kind, "__module__": "stranger"})
    (broken,) = offered((name, "stranger:Odd", "stranger-lab"), OURS).broken
    assert broken.reason == reason


def test_public_names():
    assert compresslab.__all__ == sorted(compresslab.__all__)
    assert all(hasattr(compresslab, name) for name in compresslab.__all__)
    assert compresslab.recipes.Recipe is compresslab.Recipe


def test_another_package_s_family_stands_behind_ours(offered):
    sys.modules["stranger"].OLMO = replace(FAMILIES["llama"], model_type="olmo", title="OLMo")
    families = offered(
        ("olmo", "stranger:OLMO", "stranger-lab"),
        ("llama", "stranger:OLMO", "x"),
        ("plain", "stranger:Plain", "x"),
        group="compresslab.families",
        check=registry.instance_of(Family),
        ours=[FAMILIES["qwen2"], FAMILIES["llama"]],
    )
    assert list(families) == ["qwen2", "llama", "olmo"] and families["llama"] is FAMILIES["llama"]
    assert [str(broken) for broken in families.broken] == [
        "The family 'llama' of the package 'x' is left out: the name is taken.",
        "The family 'plain' of the package 'x' is left out: it is no Family.",
    ]
