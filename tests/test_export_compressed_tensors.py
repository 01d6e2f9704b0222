"""compressed-tensors: packed as its definition says, exact, and honest about what it can't take."""

import json

import pytest
import torch
from compresslab.exports.compressed_tensors import CompressedTensors
from compresslab.exports.format import loading_lines, programs
from compresslab.exports.verified import contents_of
from compresslab.exports.words import packed, unpacked
from safetensors.torch import load_file

GRIDS = [
    {"bits": 4, "group_size": 16},
    {"bits": 4, "group_size": 0, "symmetric": False},
    {"bits": 8, "group_size": 0},
    {"bits": 3, "group_size": 16, "symmetric": False},
    {"bits": 6, "group_size": 32},
    {"bits": 2, "group_size": 8},
]


@pytest.mark.parametrize("bits", range(2, 9))
def test_words_hold_every_number(bits):
    values = torch.randint(0, 2**bits, (5, 37), generator=torch.Generator().manual_seed(bits)).to(torch.uint8)
    words = packed(values, bits)
    assert words.shape == (5, -(-37 * bits // 32))
    assert torch.equal(unpacked(words, bits, 37), values.long())


def test_words_are_little_endian():
    assert packed(torch.tensor([[1, 2, 3, 0, 0, 0, 0, 15]], dtype=torch.uint8), 4).tolist() == [[0x0321 - (1 << 28)]]
    assert packed(torch.tensor([[7] + [0] * 9 + [5]], dtype=torch.uint8), 3).tolist() == [[7 | (1 << 30), 1]]


@pytest.mark.parametrize("widths", ["kernel", "true"])
@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_the_files_answer_as_the_model_did(exported, grid, widths):
    export = exported(CompressedTensors(widths=widths), "mistral", {"quantize_rtn": grid})
    assert export.difference() < 1e-6
    assert abs(export.weight_bytes - export.estimate) < 8192


@pytest.mark.parametrize("family", ["qwen2", "gemma2", "opt", "phi3", "gpt_neox", "bloom"])
def test_every_family_with_linear_layers(exported, family):
    export = exported(CompressedTensors(), family, {"quantize_rtn": {"bits": 4, "group_size": 16, "symmetric": False}})
    assert export.difference() < 1e-5


def test_widths_are_mixed_by_group(exported):
    exception = {"overrides": {"*.down_proj*": {"bits": 8, "group_size": 0}}, "ignore": ["*layers.1.*"]}
    export = exported(CompressedTensors(), "mistral", {"quantize_rtn": {"bits": 4, "group_size": 16} | exception})
    config = json.loads((export.folder / "config.json").read_text())["quantization_config"]
    widths = {
        target: group["weights"]["num_bits"]
        for group in config["config_groups"].values()
        for target in group["targets"]
    }
    assert widths["model.layers.0.mlp.down_proj"] == 8 and widths["model.layers.0.mlp.up_proj"] == 4
    assert "model.layers.1.mlp.up_proj" in config["ignore"] and "lm_head" in config["ignore"]
    assert export.difference() < 1e-6


def test_the_kernel_width_costs_bytes_and_the_true_one_does_not(exported):
    step = {"quantize_rtn": {"bits": 3, "group_size": 16}}
    kernel = exported(CompressedTensors(), "mistral", step)
    wide = load_file(kernel.folder / "model.safetensors")["model.layers.0.mlp.up_proj.weight_packed"]
    true = CompressedTensors(widths="true")
    assert wide.shape == (52, 32 * 4 // 32)
    assert true.estimated_bytes(contents_of(kernel.model)) < kernel.estimate


def test_zeros_stay_zeros(exported):
    export = exported(
        CompressedTensors(),
        "mistral",
        {"prune_magnitude": {"sparsity": 0.5}},
        {"quantize_rtn": {"bits": 4, "group_size": 16, "symmetric": False}},
    )
    assert export.difference() < 1e-6


def test_an_embedding_stays_dense_and_a_head_is_packed(exported):
    export = exported(
        CompressedTensors(), "mistral", {"quantize_rtn": {"bits": 4, "embedding_bits": 4, "head_bits": 8}}
    )
    names = set(load_file(export.folder / "model.safetensors"))
    assert "model.embed_tokens.weight" in names and "lm_head.weight_packed" in names
    assert export.difference() < 1e-6  # the checkpoint is float32


def test_what_can_not_be_packed_is_refused(compressed):
    form = CompressedTensors()
    assert "Conv1D" in str(form.refuses(contents_of(compressed("gpt2", {"quantize_rtn": {"bits": 4}}))))
    assert "No linear layer is quantized" in str(
        form.refuses(contents_of(compressed("llama", {"prune_magnitude": {"sparsity": 0.5}})))
    )


def test_parts_that_vllm_reads_as_one_and_are_stored_apart_are_not_promised_to_it(compressed):
    apart = {"bits": 4, "group_size": 32, "overrides": {"*v_proj*": {"bits": 8}}, "ignore": ["*down_proj*"]}
    contents = contents_of(compressed("mistral", {"quantize_rtn": apart}))
    assert "self_attn.qkv_proj as one matrix" in str(CompressedTensors().shut_out(contents)["vLLM"])
    alike = contents_of(compressed("mistral", {"quantize_rtn": {"bits": 3, "group_size": 0}}))
    assert CompressedTensors().shut_out(alike) == {}


@pytest.mark.parametrize(
    ("grid", "settings", "why"),
    [
        ({"bits": 4, "group_size": 16, "ignore": ["*down*"]}, {}, "4 bits, group 16"),
        ({"bits": 4, "group_size": 32}, {}, "down_proj.weight would be stored in 4 bits, group 4."),  # rows of 52
        ({"bits": 3, "group_size": 0}, {"widths": "true"}, "3 bits, per row"),
        ({"bits": 8, "group_size": 0, "symmetric": False}, {}, "asymmetric ones 4"),
    ],
)
def test_what_no_kernel_of_vllm_runs_is_not_promised_to_it(compressed, grid, settings, why):
    contents = contents_of(compressed("mistral", {"quantize_rtn": grid}))
    assert why in str(CompressedTensors(**settings).shut_out(contents)["vLLM"])


def test_asymmetric_grids_are_not_promised_to_transformers(compressed):
    form = CompressedTensors()
    contents = contents_of(compressed("mistral", {"quantize_rtn": {"bits": 4, "group_size": 0, "symmetric": False}}))
    assert programs(form, contents) == ["vLLM"] == list(loading_lines(form, contents, "place"))
    contents = contents_of(compressed("mistral", {"quantize_rtn": {"bits": 4, "group_size": 0}}))
    assert programs(form, contents) == ["transformers", "vLLM"]
