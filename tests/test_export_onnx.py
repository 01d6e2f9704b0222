"""The ONNX export: what the estimate says, and a script that answers with neither torch nor this project."""

import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from compresslab.errors import BadInput
from compresslab.exports.onnx import SCRIPT, Onnx
from compresslab.recipes.generation_request import Decoding
from compresslab.recipes.recipe import Recipe
from compresslab.work.exporting import contents_of_run
from compresslab.workspace import Workspace

from tests.patience import PATIENCE
from tests.tiny_models import FAMILIES, tokenizer

EXACT = {"onnx": {"activations": "float32"}}
PRINTED = "import builtins; say = builtins.print; builtins.print = lambda *a, **k: say(a[0], end='|', flush=True); "
BLOCK = "import sys; sys.modules.update(dict.fromkeys(['torch', 'transformers', 'core'])); sys.argv = sys.argv[1:]; "
RUN = "import runpy; runpy.run_path(sys.argv[0], run_name='__main__')"


@pytest.fixture
def workspace(own_home):
    return Workspace()


@pytest.fixture
def ran(workspace, tiny_recipe):
    def make(family, *steps):
        return workspace.run(Recipe.from_dict(tiny_recipe(family, *steps).to_dict() | {"metrics": ["perplexity"]}))

    return make


@pytest.mark.parametrize(
    "step",
    [
        {"bits": 4, "group_size": 16},
        {"bits": 3, "group_size": 16, "symmetric": False},
        {"bits": 8, "group_size": 0, "embedding_bits": 8},
        {"bits": 2, "group_size": 32},
        {"bits": 4, "group_size": 8},  # no kernel takes so small a group: dequantized
    ],
)
def test_every_grid_is_kept_as_it_is(workspace, ran, tmp_path, step):
    record = ran("llama", {"quantize_rtn": step})
    (done,) = workspace.exports.write(record.run_id, "onnx", tmp_path, settings=EXACT)
    assert str(done.opened_by).startswith("onnxruntime ")
    assert done.relative_difference <= done.bound == 1e-4
    assert done.weight_bytes == pytest.approx(done.estimated_bytes, abs=60_000)


@pytest.mark.parametrize("steps", [({"prune_layers": {"layers": 1}},), ({"quantize_smooth": {"bits": 8}},)])
def test_other_shapes_and_rounded_inputs(workspace, ran, tmp_path, steps):
    (done,) = workspace.exports.write(ran("llama", *steps).run_id, "onnx", tmp_path, settings=EXACT)
    assert done.relative_difference <= done.bound
    assert any(note.code == "export.inputs_compared" for note in done.notes) == ("quantize_smooth" in steps[0])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_exported_or_refused_in_a_sentence(workspace, ran, tmp_path, family):
    record = ran(family, {"quantize_rtn": {"bits": 4, "group_size": 16}})
    refusal = Onnx().refuses(contents_of_run(record))
    if refusal:
        with pytest.raises(BadInput, match="use transformers"):
            workspace.exports.write(record.run_id, "onnx", tmp_path)
    else:
        (done,) = workspace.exports.write(record.run_id, "onnx", tmp_path, settings=EXACT)
        assert done.relative_difference <= done.bound


def test_the_script_answers_as_the_model_does_without_torch(workspace, ran, tmp_path):
    record = ran("llama", {"quantize_rtn": {"bits": 4, "group_size": 16}})
    (done,) = workspace.exports.write(record.run_id, "onnx", tmp_path, settings=EXACT)
    command = [sys.executable, "-c", BLOCK + RUN, str(Path(done.folder) / SCRIPT), "Tom had a", "--tokens", "12"]
    said = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=PATIENCE)
    assert said.returncode == 0, said.stderr
    from compresslab.engine.session import Session

    session = Session()
    model = session.saved_run(record.run_id, {"device": "cpu", "dtype": "float32"})
    expected = session.generate_text(model, "Tom had a", Decoding(max_new_tokens=12))
    assert said.stdout.rstrip("\n") == expected


def test_truncation_and_padding_left_in_the_tokenizer_are_switched_off(tmp_path):
    from compresslab.exports.run_onnx import tokenizer_of

    ours = tokenizer()
    ours.backend_tokenizer.enable_truncation(4)
    ours.backend_tokenizer.enable_padding(length=64)
    ours.backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    prompt = "Mia had a red kite. Tom saw the kite"
    assert tokenizer_of(tmp_path).encode(prompt).ids == tokenizer()(prompt).input_ids


@pytest.mark.parametrize("order", ["stored", "active"])
def test_zero_points_and_an_order_of_columns_never_meet_in_a_kernel(workspace, ran, tmp_path, order):
    """onnxruntime 1.31 ignores packed zero points where it is given g_idx."""
    step = {"bits": 4, "group_size": 16, "symmetric": False, "order": order}
    (done,) = workspace.exports.write(ran("llama", {"quantize_gptq": step}).run_id, "onnx", tmp_path, settings=EXACT)
    nodes = onnx.load(Path(done.folder) / "model.onnx", load_external_data=False).graph.node
    matrices = [[*node.input, "", ""] for node in nodes if node.op_type == "MatMulNBits"]
    assert any(inputs[3] for inputs in matrices), "zero points"
    assert not any(inputs[3] and inputs[4] for inputs in matrices)


def test_the_script_says_every_word_as_soon_as_it_has_it(workspace, ran, tmp_path):
    (done,) = workspace.exports.write(
        ran("llama", {"quantize_rtn": {"bits": 4, "group_size": 16}}).run_id, "onnx", tmp_path
    )
    script = str(Path(done.folder) / SCRIPT)
    said = [
        subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=PATIENCE, check=True).stdout
        for begin in ("", PRINTED)
        for command in [[sys.executable, "-c", begin + BLOCK + RUN, script, "Tom had a", "--tokens", "12"]]
    ]
    whole, parts = said
    assert parts.replace("|", "") == whole.rstrip("\n") and parts.count("|") > 4


def test_the_script_is_short():
    code = (Path(__file__).resolve().parent.parent / "core" / "exports" / "run_onnx.py").read_text()
    assert len(code.splitlines()) < 85 and "compresslab" not in code and "torch" not in code
