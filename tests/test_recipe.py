"""Recipes: YAML in and out, content hash, one clear sentence for whatever is wrong."""

import pytest
from compresslab.errors import BadInput
from compresslab.files import plain_yaml
from compresslab.methods.prune_magnitude import PruneMagnitude
from compresslab.methods.quantize_rtn import QuantizeRtn
from compresslab.models.facts import read_facts
from compresslab.recipes.distilling import kept_layers
from compresslab.recipes.method import METHODS
from compresslab.recipes.metric import METRICS
from compresslab.recipes.plan import make_plan
from compresslab.recipes.recipe import Recipe
from compresslab.settings import allowed

EXAMPLE = """
model: storyteller
steps:
  - prune_magnitude: {sparsity: 0.4}
  - quantize_rtn
seed: 7
"""


def test_yaml_round_trip_keeps_everything():
    recipe = Recipe.from_yaml(EXAMPLE)
    again = Recipe.from_yaml(recipe.to_yaml())
    assert again == recipe
    assert again.content_hash == recipe.content_hash
    assert [step.name for step in again.steps] == ["prune_magnitude", "quantize_rtn"]


def test_the_hash_follows_the_content_not_the_spelling():
    spelled_out = EXAMPLE.replace("- quantize_rtn", "- quantize_rtn: {bits: 4, group_size: 64}")
    assert Recipe.from_yaml(spelled_out).content_hash == Recipe.from_yaml(EXAMPLE).content_hash
    assert Recipe.from_yaml(EXAMPLE).assign("seed=8").content_hash != Recipe.from_yaml(EXAMPLE).content_hash


def test_assign_changes_a_step_or_adds_it():
    recipe = Recipe().assign("quantize_rtn.bits=3").assign("evaluation.max_tokens=1024")
    assert recipe.steps[0].model_dump()["bits"] == 3
    assert recipe.evaluation.max_tokens == 1024
    assert recipe.assign("quantize_rtn.bits=5").steps[0].model_dump()["bits"] == 5


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("steps: [prune_magic]", "no method 'prune_magic'"),
        ("steps: [{quantize_rtn: {bits: 9}}]", "quantize_rtn.bits is 9; it takes a whole number from 2 to 8"),
        ("steps: [{quantize_rtn: {bit: 3}}]", "no setting 'bit'"),
        ("steps: [{quantize_rtn: 3}]", "takes settings as 'name: value'"),
        ("steps: quantize_rtn", "steps is a list"),
        ("stepz: []", "no key 'stepz'"),
        ("just words", "A recipe is a mapping"),
        ("steps: [", "not valid YAML"),
        ("device: tpu", "one of auto, cpu, cuda, mps"),
        ("seed: -1", "seed is -1"),
        ("seed: yes", "seed is 'yes'"),
        (f"seed: {2**31}", "takes a whole number from 0 to 2147483647"),
        (f"seed: {'9' * 5000}", "seed is inf"),
        ("model: 3", "model must be a name"),
        ("calibration: {samples: 0}", "calibration.samples is 0"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(text, says):
    with pytest.raises(BadInput) as caught:
        Recipe.from_yaml(text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("assignment", ["bits=3=4.", "foo.bar=1", "quantize_rtn", "perplexity.bits=1", "nothing=1"])
def test_a_wrong_assignment_is_refused(assignment):
    with pytest.raises(BadInput):
        Recipe().assign(assignment)


def test_a_method_that_stands_twice_is_not_guessed_at():
    recipe = Recipe.from_dict({"steps": ["prune_magnitude", "prune_magnitude"]})
    with pytest.raises(BadInput, match="appears 2 times"):
        recipe.assign("prune_magnitude.sparsity=0.1")


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        (["quantize_rtn", "quantize_rtn"], "Step 2"),
        (["quantize_rtn", "prune_sparsegpt"], "off their grid; move it before"),
        (["quantize_rtn", {"prune_wanda": {"mend": 5}}], "move it before the quantize step, or set mend to 0"),
        ([{"prune_sparsegpt": {"joint_bits": 4}}, "quantize_gptq"], "keep one of the two"),
    ],
)
def test_steps_that_make_no_sense_are_refused_with_the_reason(steps, says, tiny_facts):
    with pytest.raises(BadInput, match=says):
        make_plan(Recipe.from_dict({"steps": steps}), tiny_facts)


@pytest.mark.parametrize("owner", [*METHODS.values(), *METRICS.values()], ids=lambda owner: owner.name)
def test_every_setting_is_declared_whole(owner):
    for control in owner.controls():
        assert control.label and control.plain and control.help, f"{owner.name}.{control.name}"
        assert allowed(control)
        if control.kind in ("integer", "number"):
            assert control.minimum is not None and control.maximum is not None
            assert control.minimum <= control.default <= control.maximum


def test_a_shallower_student_keeps_first_and_last():
    assert kept_layers(8, 4) == [0, 2, 5, 7]
    assert kept_layers(12, 6)[0] == 0 and kept_layers(12, 6)[-1] == 11
    assert kept_layers(5, 5) == [0, 1, 2, 3, 4]
    assert kept_layers(5, 1) == [0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2:4", "2:4"),
        ("1e-4", 1e-4),
        ("3", 3),
        ("-0.5", -0.5),
        ("true", True),
        ("a: [1, 2:4]", {"a": [1, "2:4"]}),
    ],
)
def test_yaml_is_read_as_people_write_it(text, value):
    assert plain_yaml.load(text) == value


def test_exceptions_hold_where_their_pattern_fits():
    step = QuantizeRtn(
        bits=4, ignore=("lm_head",), overrides={"layers.*.mlp.*": {"bits": 3}, "layers.1.*": {"bits": 8}}
    )
    name = "model.layers.{}.{}.weight".format
    assert [
        step.for_weight(name(*place)).bits
        for place in [(0, "self_attn.q_proj"), (0, "mlp.up_proj"), (1, "mlp.up_proj")]
    ] == [4, 3, 8]
    assert step.for_weight("lm_head.weight") is None


@pytest.mark.parametrize(
    "values", [{"overrides": {"a": {"bits": 99}}}, {"overrides": {"a": {"ignore": []}}}, {"overrides": {"a": 3}}]
)
def test_exceptions_that_make_no_sense_are_refused(values):
    with pytest.raises(BadInput, match=r"overrides.*\."):
        QuantizeRtn.parse(values, "quantize_rtn")


def test_a_pattern_that_fits_nothing_is_refused(tiny_recipe):
    recipe = tiny_recipe("llama", {"quantize_rtn": {"ignore": ["layer.0.*"]}})
    with pytest.raises(BadInput, match=r"'layer\.0\.\*', which matches no weight"):
        make_plan(recipe, read_facts(recipe.model))


@pytest.mark.parametrize("pattern", ["4:2", "2-4", "0:4", "4:4", "x"])
def test_a_pattern_that_is_not_n_of_m_is_refused(pattern):
    with pytest.raises(BadInput, match="N:M"):
        PruneMagnitude(n_of_m=pattern)
