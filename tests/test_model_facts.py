"""Facts from config.json and safetensors headers, and every way a checkpoint can be wrong."""

import json

import numpy as np
import pytest
from compresslab.errors import BadInput
from compresslab.models.anatomy import Heads
from compresslab.models.facts import read_facts
from compresslab.models.packed_layout import file_bytes
from compresslab.models.source import locate
from safetensors.numpy import save_file


@pytest.fixture
def checkpoint(tmp_path):
    """A folder with a config and one small weight file; tests break it."""
    config = {"model_type": "llama", "num_hidden_layers": 1, "hidden_size": 8, "vocab_size": 16}
    config |= {"num_attention_heads": 2, "max_position_embeddings": 32, "tie_word_embeddings": True}
    (tmp_path / "config.json").write_text(json.dumps(config))
    tensors = {
        "model.embed_tokens.weight": np.zeros((16, 8), np.float16),
        "model.layers.0.self_attn.v_proj.weight": np.zeros((4, 8), np.float16),
        "model.layers.0.self_attn.o_proj.weight": np.zeros((8, 8), np.float16),
        "model.layers.0.mlp.down_proj.weight": np.zeros((8, 24), np.float16),
        "model.norm.weight": np.zeros(8, np.float16),
    }
    save_file(tensors, tmp_path / "model.safetensors")
    return tmp_path


def test_facts_without_loading_weights(checkpoint):
    facts = read_facts(str(checkpoint))
    assert facts.parameters == 16 * 8 + 8 * 24 + 4 * 8 + 8 * 8 + 8
    assert [w.role for w in facts.weights] == ["embedding", "linear", "linear", "linear", "other"]
    assert facts.weights[1].layer == 0
    assert facts.context_length == 32
    assert facts.heads == Heads(count=2, kv_count=1, dim=4)
    assert facts.mlp_width == 24


def test_the_layout_predicts_an_unchanged_file_to_the_byte(checkpoint):
    facts = read_facts(str(checkpoint))
    weights = {w.name: np.zeros(w.shape, np.float16) for w in facts.weights}
    from compresslab.models.packed_layout import metadata

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
        (lambda f: break_config(f, model_type="mamba"), "'mamba' model; these families are supported"),
        (
            lambda f: break_config(f, model_type="mixtral", num_local_experts=8),
            "mixture of experts ('mixtral'), which is",
        ),
        (lambda f: break_config(f, model_type="qwen3_moe", num_experts=128), "use a dense model: these families"),
        (lambda f: break_config(f, model_type="deepseek_v3", n_routed_experts=256), "mixture of experts"),
        (
            lambda f: break_config(f, model_type="gemma3", text_config={}, vision_config={}),
            "multimodal model ('gemma3')",
        ),
        (lambda f: break_config(f, model_type="gemma3_text", use_bidirectional_attention=True), "bidirectional"),
        (lambda f: break_config(f, model_type=None), "None model; these families are supported"),
        (lambda f: break_config(f, num_attention_heads=None), "has no num_attention_heads"),
        (lambda f: damage_index(f, "{"), "index.json of"),
        (lambda f: damage_index(f, '{"weight_map": []}'), "is damaged; fetch"),
        (lambda f: damage_index(f, '{"weight_map": {"a": "../b.safetensors"}}'), "is damaged; fetch"),
        (lambda f: damage_index(f, '{"weight_map": {"a": "b.safetensors"}}'), "lacks b.safetensors, which its index"),
        (lambda f: break_config(f, quantization_config={"bits": 4}), "already quantized"),
        (lambda f: break_config(f, hidden_size=None), "has no hidden_size"),
        (lambda f: (f / "model.safetensors").unlink(), "no safetensors weights"),
        (lambda f: (f / "model.safetensors").rename(f / "model.bin"), "only pickle weights"),
        (lambda f: (f / "model.safetensors").write_bytes(b""), "not a safetensors file"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\xff" * 64), "not a safetensors file"),
        (lambda f: cut(f / "model.safetensors"), "truncated or damaged"),
    ],
)
def test_a_broken_checkpoint_is_named_in_one_sentence(checkpoint, damage, says):
    damage(checkpoint)
    with pytest.raises(BadInput) as caught:
        read_facts(str(checkpoint))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def damage_index(folder, text):
    (folder / "model.safetensors").rename(folder / "elsewhere.safetensors")
    (folder / "model.safetensors.index.json").write_text(text)


def cut(file):
    file.write_bytes(file.read_bytes()[:-10])


@pytest.mark.parametrize("name", ["/no/such/folder", "./nor this", "~/nor-this-one", "what?", ""])
def test_a_name_that_is_no_model_is_refused(name):
    with pytest.raises(BadInput):
        locate(name)


def test_a_file_is_not_a_model(checkpoint):
    with pytest.raises(BadInput, match="is a file; give the folder"):
        locate(str(checkpoint / "config.json"))
