"""Whatever a recipe, a flag, an axis or an address holds: it works, or one sentence says what is wrong with it."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from compresslab.commands.recipe import build_recipe
from compresslab.errors import BadInput, first_line
from compresslab.files import plain_yaml
from compresslab.recipes.method import METHODS
from compresslab.recipes.recipe import Recipe, typed
from compresslab.recipes.sweep import Sweep
from compresslab_dashboard.recipe.code import as_command
from compresslab_dashboard.recipe.sketch import from_short, to_short
from hypothesis import strategies as st

from tests.fuzzing import fuzzed, junk, refused

SCRAPS = ("a", "bits", "3", ":", ": ", "- ", "[", "]", "{", "}", ",", "&a ", "*a", "!!int ", "|", "'", '"', "\n", "  ",
          "#", " #", "%", "@", "\\x", "2001-99-99", "09", "~", "?", "\t", "\x00", "é")  # fmt: skip
scraps = st.lists(st.sampled_from(SCRAPS), max_size=8).map("".join)

# -- recipes -------------------------------------------------------------------------------------------------------

KEYS = [*Recipe.model_fields, "x"]
TARGETS = [
    "model", "seed", "steps", "metrics", "calibration", "x", "quantize_rtn.bits", "quantize_rtn.symmetric",
    "quantize_rtn.ignore", "quantize_rtn.overrides", "prune_wanda.n_of_m", "prune_wanda.ratios", "evaluation.text",
    "quantize_rtn.x", "quantize_gptq.embedding_bits", "perplexity.x", "quantize", "quantize.bits",
]  # fmt: skip


@fuzzed(300, key=st.sampled_from(KEYS), value=junk, step=st.sampled_from(list(METHODS)), inner=junk)
def test_recipes_of_python(key: str, value: Any, step: str, inner: Any) -> None:
    refused(lambda: Recipe.from_dict({key: value}))
    refused(lambda: Recipe.from_dict({"steps": [{step: {"ignore": value, "overrides": {"*": inner}}}]}))
    refused(lambda: Recipe.from_dict({"steps": [{step: value}], "calibration": inner}))


@fuzzed(400, text=scraps)
def test_recipes_of_yaml(text: str) -> None:
    refused(lambda: Recipe.from_yaml(text))
    refused(lambda: Recipe.from_yaml(f"steps: [{{quantize_rtn: {{{text}}}}}]"))


@fuzzed(400, target=st.sampled_from(TARGETS), text=scraps)
def test_assignments_axes_and_addresses(target: str, text: str) -> None:
    refused(lambda: Recipe().assign(f"{target}={text}"))
    refused(lambda: Sweep.over(Recipe(), [f"{target}={text},{text}x"]).points())
    refused(lambda: from_short(target.replace(".", ",", 1) + f"={text}", "storyteller"))
    refused(lambda: from_short(text, text))


@pytest.mark.parametrize("text", ["[" * 5000, "{a: " * 2000, "9" * 5000, "'" * 5000])
def test_what_is_no_number_is_not_read_as_one(text: str) -> None:
    """Deep brackets take YAML's reader a third of a second, and an address holds many."""
    assert typed("quantize_rtn.bits", text) == text


def nested(levels: int) -> Any:
    return [] if levels == 0 else [nested(levels - 1)]


def test_what_is_nested_or_long_is_refused_by_every_way() -> None:
    within: dict[str, Any] = {}
    within["steps"] = [within]
    for data in ({"steps": nested(40)}, within, {"model": "storyteller", "seed": {"a": nested(40)}}):
        assert "nested more than" in refused(lambda data=data: Recipe.from_dict(data))
    assert "longer than" in refused(lambda: Recipe.from_yaml("a" * 300_000))
    assert "nested" in refused(lambda: Recipe.from_yaml("steps: " + "[" * 40))
    for text in ("&a 1", "steps: [&x a, *x]", "<<: *x"):
        assert "aliases" in refused(lambda text=text: Recipe.from_yaml(text))
    assert "tags" in refused(lambda: Recipe.from_yaml("seed: !!int 3"))
    assert refused(lambda: Recipe().assign("quantize_rtn.overrides={a: &x {bits: 3}, b: *x}"))
    assert refused(lambda: from_short("quantize_rtn,overrides=%7Ba: %26x {bits: 3}%2C b: *x%7D", "storyteller"))


@pytest.mark.parametrize(
    ("text", "value"),
    [("010", 10), ("0o17", 15), ("0x1F", 31), ("2001-99-99", "2001-99-99"), ("09", 9), ("1:30", "1:30"), ("yes", "yes"),
     ("<<", "<<"), ("=", "="), ("", None)],
)  # fmt: skip
def test_scalars_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    assert plain_yaml.load(text) == value


@pytest.mark.parametrize(
    "text", ["0o17", "1e5", "09", "yes", "2001-01-01", "*x", "&x", "!x", "a: b", "é\x85\u2028", "1_0"]
)
def test_what_is_dumped_is_read_as_the_same_text(text: str) -> None:
    twice = [text]
    assert plain_yaml.load(plain_yaml.dump({"a": twice, "b": twice, text: 1})) == {"a": [text], "b": [text], text: 1}


# -- what is typed -------------------------------------------------------------------------------------------------

FILE_NAMES = ["book #1.txt", "notes: final.txt", "[draft] text.txt", "@home.txt", "*.txt", "010", "true", "a,b;c=d",
              "%41", "'quoted' \"names\"", "~x", "- x", "!x", "", " blank ", "é"]  # fmt: skip


@pytest.mark.parametrize("name", FILE_NAMES)
def test_the_name_of_a_file_is_what_was_typed(name: str) -> None:
    assert Recipe().assign(f"evaluation.text={name}").evaluation.text == name
    assert Recipe().assign(f"model={name}").model == name


@pytest.mark.parametrize(
    ("text", "patterns"),
    [("*down_proj*", ("*down_proj*",)), ("layers.0.*, lm_head", ("layers.0.*", "lm_head")), ("[ab]*", ("[ab]*",)),
     ('["*.0.*", "a,b"]', ("*.0.*", "a,b")), ("", ())],
)  # fmt: skip
def test_patterns_need_no_quotes(text: str, patterns: tuple[str, ...]) -> None:
    assert Recipe().assign(f"quantize_rtn.ignore={text}").steps[0].ignore == patterns


patterns = st.sampled_from(["*down_proj*", "layers.0.*", "[ab]*", "a,b", "é #: *", "x\x7f"])
names = st.sampled_from(FILE_NAMES)
RECIPES = st.fixed_dictionaries(
    {
        "model": names,
        "seed": st.sampled_from([0, 10]),
        "steps": st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "bits": st.sampled_from([2, 8]),
                    "symmetric": st.booleans(),
                    "embedding_bits": st.sampled_from([0, 4]),
                    "ignore": st.lists(patterns, max_size=3),
                    "overrides": st.dictionaries(patterns, st.just({"bits": 3}), max_size=2),
                },
            ),
            max_size=1,
        ).map(lambda steps: [{"quantize_gptq": values} for values in steps]),
        "evaluation": st.fixed_dictionaries({"text": names, "max_questions": st.sampled_from([10, 400])}),
        "metrics": st.sampled_from([["perplexity"], ["speed", "perplexity"], ["perplexity", "accuracy", "footprint"]]),
    }
)


@fuzzed(150, data=RECIPES)
def test_a_copied_command_and_an_address_make_the_same_recipe(data: dict[str, Any]) -> None:
    recipe = Recipe.from_dict(data)
    options = shlex.split(as_command(recipe).replace("\\\n", ""))[2:]
    pairs = list(zip(options[::2], options[1::2], strict=True))
    changes = tuple(value for name, value in pairs if name == "--set")
    fields = {name.removeprefix("--"): value for name, value in pairs if name != "--set"}
    assert build_recipe(None, changes, **fields) == recipe
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe
    addressed = recipe.replace(metrics=Recipe().metrics)  # an address says how, not what is measured
    assert from_short(to_short(addressed), addressed.model) == addressed


# -- sentences -----------------------------------------------------------------------------------------------------


def test_what_a_user_gave_is_repeated_short_and_on_one_line() -> None:
    name = "/somewhere/" + "x" * 500 + "/the\nlast.txt"
    said = str(BadInput("model.no_folder", path=name, bundled="storyteller"))
    assert "x" * 81 not in said and "/somewhere/" in said and "the last.txt" in said
    long = str(BadInput("recipe.bad_seed", given=[["y" * 300] * 300] * 300, most=1))
    assert len(long) < 200
    digits = str(BadInput("recipe.bad_seed", given=10**5000, most=1))
    assert "digits" in digits
    assert str(BadInput("device.unknown", device="x", devices=["a" * 70, "b" * 70, "c"])).count("a" * 70) == 1


def test_what_a_library_said_is_one_line() -> None:
    assert str(first_line(ValueError("Wrong field 'a':\n  it is\n no number"))) == "Wrong field 'a': it is"
    assert len(str(first_line(ValueError("long " * 500)))) < 300
    assert str(first_line(ValueError())) == "ValueError"
