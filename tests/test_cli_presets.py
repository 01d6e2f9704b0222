"""`compresslab presets`, `--preset`, and `compresslab layers`."""

import json

import pytest
from compresslab.methods.quantize_gptq import QuantizeGptq
from compresslab.planning.presets import TELLS
from compresslab.recipes.recipe import Recipe
from compresslab.records.results import RunRecord
from compresslab.workspace import Workspace

from tests.test_dashboard_sizes import save_table


def test_every_preset_is_listed_with_what_it_would_choose(call):
    code, out, err = call("presets", "--json")
    assert code == 0, err
    listed = {entry["preset"]: entry for entry in json.loads(out)["presets"]}
    assert list(listed) == ["half", "fastest", "smallest"]
    half = listed["half"]
    assert half["estimate"]["compressed_bytes"] <= half["estimate"]["baseline_bytes"] // 2
    assert half["estimate"]["compression_ratio"] >= 2
    assert Recipe.from_dict(half["recipe"]).steps == Workspace().preset("half", Recipe()).recipe.steps
    assert listed["smallest"]["recipe"] is None and "not measured" in listed["smallest"]["why_not"]["text"]
    code, out, _ = call("presets")
    assert code == 0 and all(name in out for name in listed) and "not measured" in out


def test_a_measured_model_has_them_all_with_a_prediction(call):
    save_table(Workspace(), QuantizeGptq)
    smallest = json.loads(call("presets", "--json")[1])["presets"][-1]
    ratio = smallest["estimate"]["predicted"]["perplexity_ratio"]
    assert 1 < ratio <= TELLS and not smallest["why_not"]
    assert f"{ratio:.4g}" in call("presets")[1]


def test_a_preset_takes_the_place_of_the_steps_and_can_be_changed(call, tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text("model: storyteller\nsteps:\n- prune_magnitude: {sparsity: 0.2}\n")
    told = {}
    for name, words in {"plain": (), "changed": ("--set", "quantize_gptq.bits=8")}.items():
        code, out, err = call("estimate", file, "--preset", "half", *words, "--json")
        assert code == 0, err
        told[name] = json.loads(out)
    assert told["plain"]["sparsity"] == 0  # the file's pruning is gone
    half = Workspace().preset("half", Recipe()).estimate.compressed_bytes
    assert told["plain"]["compressed_bytes"] == half < told["changed"]["compressed_bytes"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "--preset", "tiny"), "There is no preset 'tiny'; there are half, fastest, smallest."),
        (("run", "--preset", "smallest"), "was not measured yet"),
        (("presets", "--model", "no/where"), "not on this machine"),
        (("presets", "--model", "/no/where"), "There is no folder /no/where"),
        (("layers", "nobody"), "There is no run"),
    ],
)
def test_what_can_not_be_is_one_sentence(call, words, said):
    code, out, err = call(*words)
    assert code == 2 and not out
    assert said in err and err.count("\n") == 1
    assert Workspace().runs.all() == []


# -- layers --------------------------------------------------------------------------------------


@pytest.fixture
def run(own_home, tiny_recipe) -> RunRecord:
    recipe = tiny_recipe("llama", {"prune_magnitude": {"sparsity": 0.5}}, {"quantize_rtn": {"bits": 3}}).to_dict()
    return Workspace().run(Recipe.from_dict(recipe | {"metrics": ["perplexity"]}))


def test_layers_tell_what_became_of_every_matrix_and_are_looked_at_once(call, run):
    code, out, err = call("layers", run.run_id[:6], "--json")
    assert code == 0, err
    said = json.loads(out)
    assert said["weights_hash"] == run.compressed_hash
    assert {matrix["bits"] for matrix in said["matrices"]} == {3}
    for matrix in said["matrices"]:
        assert matrix["zeros"] >= 0.5 * (matrix["zeros"] + sum(matrix["after"]))
        assert 0 < matrix["error"] < 1
    assert json.loads(call("layers", run.run_id, "--json")[1])["seconds"] == said["seconds"]  # kept, not looked at anew
    _, out, _ = call("layers", run.run_id)
    assert all(matrix["name"] in out for matrix in said["matrices"])
    assert f"layer {len(said['heads']) - 1}" in out and f"head {len(said['heads'][0]) - 1}" in out
