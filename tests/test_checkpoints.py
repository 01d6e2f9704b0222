"""Checkpoints as people have them: old names, leftover buffers, shards, half precision. All give the same model."""

import json

import pytest
import torch
from compresslab.engine.measuring.scores import log_probabilities
from compresslab.engine.models.checkpoint import load_baseline
from compresslab.engine.models.device import Choice
from compresslab.errors import BadInput
from compresslab.models.facts import read_facts
from compresslab.models.source import INDEX, WEIGHTS
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from tests.tiny_models import CONFIGS, FAMILIES, write_checkpoint

BATCH = torch.arange(2 * 24).view(2, 24) % 300
BUFFERS = {
    "gpt2": ["h.{}.attn.bias", "h.{}.attn.masked_bias"],
    "gpt_neox": [
        "layers.{}.attention.bias",
        "layers.{}.attention.masked_bias",
        "layers.{}.attention.rotary_emb.inv_freq",
    ],
    "llama": ["layers.{}.self_attn.rotary_emb.inv_freq"],
}


def load(folder, dtype=torch.float32):
    return load_baseline(str(folder), Choice(torch.device("cpu"), dtype, "", ""))


def rewrite(folder, change):
    """The weights of a checkpoint under other names, or beside other tensors."""
    save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS)


@pytest.fixture
def checkpoint(family, tmp_path):
    return write_checkpoint(tmp_path / "model", family)


@pytest.mark.parametrize("family", FAMILIES)
def test_names_without_their_beginning_give_the_same_model(checkpoint, family):
    expected = load(checkpoint)
    root = f"{expected.facts.anatomy.root}."
    rewrite(checkpoint, lambda tensors: {name.removeprefix(root): tensor for name, tensor in tensors.items()})
    again = load(checkpoint)
    assert again.weights_hash() == expected.weights_hash()
    assert torch.equal(log_probabilities(again, BATCH), log_probabilities(expected, BATCH))


@pytest.mark.parametrize("family", ["gpt_neox"])
def test_the_head_of_old_pythia_checkpoints_is_known(checkpoint, family):
    expected = load(checkpoint).weights_hash()
    rewrite(checkpoint, lambda old: {n.replace("lm_head.", "embed_out."): t for n, t in old.items()})
    assert "embed_out.weight" in load_file(checkpoint / WEIGHTS)
    assert load(checkpoint).weights_hash() == expected


@pytest.mark.parametrize("family", BUFFERS)
def test_buffers_that_old_checkpoints_kept_are_no_weights(checkpoint, family):
    expected = load(checkpoint)
    names = [f"{expected.facts.anatomy.root}.{name.format(layer)}" for name in BUFFERS[family] for layer in range(3)]
    rewrite(checkpoint, lambda tensors: tensors | {name: torch.ones(1, 1, 4, 4) for name in names})
    again = load(checkpoint)
    assert again.facts.parameters == expected.facts.parameters
    assert again.weights_hash() == expected.weights_hash()


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_a_tensor_that_the_config_does_not_know_is_refused(checkpoint, family):
    rewrite(checkpoint, lambda tensors: tensors | {"model.layers.0.mlp.router.weight": torch.ones(4, 4)})
    with pytest.raises(BadInput, match=r"config\.json, which has no model\.layers\.0\.mlp\.router\.weight"):
        load(checkpoint)


@pytest.mark.parametrize("family", ["llama", "gpt2", "opt narrow", "bloom"])
def test_shards_are_one_model(checkpoint, family, tmp_path):
    expected = load(checkpoint)
    plain = AutoModelForCausalLM.from_pretrained(checkpoint)
    (checkpoint / WEIGHTS).unlink()
    plain.save_pretrained(checkpoint, max_shard_size="20KB")
    shards = set(json.loads((checkpoint / INDEX).read_text())["weight_map"].values())
    assert len(shards) > 2
    save_file({"layers.0.attention.wq.weight": torch.ones(4, 4)}, checkpoint / "consolidated.safetensors")
    assert load(checkpoint).weights_hash() == expected.weights_hash()
    (checkpoint / min(shards)).unlink()
    with pytest.raises(BadInput, match=f"lacks {min(shards)}, which its index lists"):
        read_facts(str(checkpoint))


@pytest.mark.parametrize("family", ["opt", "opt narrow", "gpt_neox", "bloom", "gemma", "phi"])
def test_half_precision_is_close_to_single(checkpoint, family):
    """Stored and computed in float16, as the checkpoints of OPT, Pythia and BLOOM are."""
    AutoModelForCausalLM.from_pretrained(checkpoint).half().save_pretrained(checkpoint)
    assert {w.dtype for w in read_facts(str(checkpoint)).weights} == {"F16"}
    half, single = load(checkpoint, torch.float16), load(checkpoint)
    assert next(half.module.parameters()).dtype == torch.float16
    assert torch.allclose(log_probabilities(half, BATCH), log_probabilities(single, BATCH), atol=0.05)


@pytest.mark.parametrize("family", ["bloom"])
def test_bloom_says_no_length_and_has_the_one_that_it_was_trained_with(checkpoint, family):
    config = json.loads((checkpoint / "config.json").read_text())
    del config["seq_length"]
    (checkpoint / "config.json").write_text(json.dumps(config))
    assert read_facts(str(checkpoint)).context_length == 2048


@pytest.mark.parametrize("family", ["gemma", "gemma2", "opt", "bloom", "smollm3", "gpt2"])
def test_a_config_that_does_not_say_so_has_its_head_tied_as_its_family_does(checkpoint, family):
    config = json.loads((checkpoint / "config.json").read_text())
    config.pop("tie_word_embeddings", None)
    (checkpoint / "config.json").write_text(json.dumps(config))
    assert read_facts(str(checkpoint)).tied == CONFIGS[family]().tie_word_embeddings is True
    assert load(checkpoint).weights_hash()
