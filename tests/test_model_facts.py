"""Facts from config.json and safetensors headers, and every way a checkpoint can be wrong."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from core.errors import BadInput
from core.model_facts import read_facts
from core.model_source import locate
from core.packed_layout import file_bytes


@pytest.fixture
def checkpoint(tmp_path):
    """A folder with a config and one small weight file; tests break it."""
    config = {"model_type": "llama", "num_hidden_layers": 1, "hidden_size": 8, "vocab_size": 16}
    config |= {"max_position_embeddings": 32, "tie_word_embeddings": True}
    (tmp_path / "config.json").write_text(json.dumps(config))
    tensors = {
        "model.embed_tokens.weight": np.zeros((16, 8), np.float16),
        "model.layers.0.mlp.up_proj.weight": np.zeros((24, 8), np.float16),
        "model.norm.weight": np.zeros(8, np.float16),
    }
    save_file(tensors, tmp_path / "model.safetensors")
    return tmp_path


def test_facts_without_loading_weights(checkpoint):
    facts = read_facts(str(checkpoint))
    assert facts.parameters == 16 * 8 + 24 * 8 + 8
    assert [w.role for w in facts.weights] == ["embedding", "linear", "other"]
    assert facts.weights[1].layer == 0
    assert facts.context_length == 32


def test_the_layout_predicts_an_unchanged_file_to_the_byte(checkpoint):
    facts = read_facts(str(checkpoint))
    weights = {w.name: np.zeros(w.shape, np.float16) for w in facts.weights}
    from core.packed_layout import metadata

    save_file(weights, checkpoint / "again.safetensors", metadata(facts.weights))
    assert (checkpoint / "again.safetensors").stat().st_size == file_bytes(facts.weights)


def break_config(folder, **changes):
    config = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not None}))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda f: (f / "config.json").unlink(), "has no config.json"),
        (lambda f: (f / "config.json").write_text("{"), "not valid JSON"),
        (lambda f: (f / "config.json").write_text("[]"), "not a mapping"),
        (lambda f: break_config(f, model_type="t5"), "'t5' model; these families are supported"),
        (lambda f: break_config(f, quantization_config={"bits": 4}), "quantized already"),
        (lambda f: break_config(f, hidden_size=None), "does not say hidden_size"),
        (lambda f: (f / "model.safetensors").unlink(), "no safetensors weights"),
        (lambda f: (f / "model.safetensors").rename(f / "model.bin"), "pickle weights only"),
        (lambda f: (f / "model.safetensors").write_bytes(b""), "not a safetensors file"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\xff" * 64), "not a safetensors file"),
        (lambda f: cut(f / "model.safetensors"), "cut off or damaged"),
    ],
)
def test_a_broken_checkpoint_is_named_in_one_sentence(checkpoint, damage, says):
    damage(checkpoint)
    with pytest.raises(BadInput) as caught:
        read_facts(str(checkpoint))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def cut(file):
    file.write_bytes(file.read_bytes()[:-10])


@pytest.mark.parametrize("name", ["/no/such/folder", "./nor this", "~/nor-this-one", "what?", ""])
def test_a_name_that_is_no_model_is_refused(name):
    with pytest.raises(BadInput):
        locate(name)


def test_a_file_is_not_a_model(checkpoint):
    with pytest.raises(BadInput, match="is a file; give the folder"):
        locate(str(checkpoint / "config.json"))
