"""`compresslab export`: the formats listed, written, and refused in one sentence."""

import json
from pathlib import Path

import pytest
from compresslab.exports.registry import FORMATS
from compresslab.recipes.recipe import Recipe
from compresslab.workspace import Workspace


@pytest.fixture
def run_id(own_home, tiny_recipe):
    recipe = tiny_recipe("llama", {"quantize_rtn": {"bits": 4, "group_size": 32}}).to_dict()
    return Workspace().run(Recipe.from_dict(recipe | {"metrics": ["perplexity"]})).run_id


def test_every_format_is_listed_with_its_settings(call):
    code, out, _ = call("export", "--list", "--json")
    listed = {form["name"]: form for form in json.loads(out)["formats"]}
    assert code == 0 and set(listed) == set(FORMATS)
    assert [setting["name"] for setting in listed["transformers"]["settings"]] == ["dtype"]
    code, out, _ = call("export", "--list")
    assert code == 0 and all(name in out for name in FORMATS)


def test_the_formats_of_a_run_are_listed_with_their_sizes(call, run_id):
    code, out, _ = call("export", "--list", run_id[:6], "--json")
    offers = json.loads(out)["formats"]
    assert code == 0 and [offer["format"] for offer in offers] == list(FORMATS)
    assert all((offer["refusal"] is None) == (offer["estimated_bytes"] is not None) for offer in offers)
    code, out, _ = call("export", "--list", run_id)
    assert code == 0 and "MB" in out


def test_several_formats_are_written_side_by_side(call, run_id, tmp_path):
    settings = ("--set", "transformers.dtype=float32", "--set", "onnx.activations=float32")
    code, out, err = call("export", run_id[:6], "--format", "transformers,onnx", "--out", tmp_path, *settings, "--json")
    assert code == 0, err
    answer = json.loads(out)
    assert answer["run"] == run_id and [e["format"] for e in answer["exports"]] == ["transformers", "onnx"]
    assert all(Path(e["folder"]).parent == tmp_path and e["relative_difference"] <= 1e-4 for e in answer["exports"])
    assert answer["exports"][0]["settings"] == {"dtype": "float32"}
    assert (Path(answer["exports"][1]["folder"]) / "run.py").exists()


def test_people_read_a_table(call, run_id, tmp_path):
    code, out, _ = call("export", run_id, "--format", "transformers", "--out", tmp_path)
    assert code == 0 and "opened by" in out and "transformers 5" in out


def test_all_takes_those_that_take_the_run(call, run_id, tmp_path):
    offers = Workspace().exports.offers(run_id)
    code, out, err = call("export", run_id, "--format", "all", "--out", tmp_path, "--json")
    assert code == 0, err
    written = {export["format"] for export in json.loads(out)["exports"]}
    assert written == {offer.form.name for offer in offers if offer.refusal is None} and len(written) >= 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--format", "zip"), "There is no format 'zip'"),
        ((), "Give a run and --format"),
        (("--format", "onnx", "--set", "zip.level=9"), "There is no format 'zip'"),
        (("--format", "onnx", "--set", "activations"), "is not FORMAT.SETTING=VALUE"),
        (("--format", "onnx", "--set", "onnx.activations=int7"), "it takes one of int8, float32"),
        (("--format", "onnx", "--push", "nobody"), "write owner/name"),
    ],
)
def test_a_bad_request_is_one_sentence(call, run_id, tmp_path, words, said):
    code, out, err = call("export", run_id, *words, "--out", tmp_path / "out")
    assert code == 2 and said in err and out == ""
    assert err.strip().count("\n") == 0 and err.endswith(".\n")
    assert not (tmp_path / "out").exists()
