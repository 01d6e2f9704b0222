"""The GPTQ layout: packed as its readers unpack it, exact, and honest about what it can't take."""

import json

import pytest
import torch
from compresslab.engine.solvers.rounding import QuantizedWeight
from compresslab.exports.format import loading_lines, programs
from compresslab.exports.gptq import Gptq
from compresslab.exports.verified import contents_of
from safetensors.torch import load_file

GRIDS = [
    {"bits": 4, "group_size": 16},
    {"bits": 4, "group_size": 0, "symmetric": False},
    {"bits": 8, "group_size": 0},
    {"bits": 3, "group_size": 16, "symmetric": False},
    {"bits": 3, "group_size": 0},
    {"bits": 6, "group_size": 32},
    {"bits": 2, "group_size": 16},
]


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("family", ["mistral", "gpt2"])
def test_the_files_answer_as_the_model_did(exported, family, grid):
    export = exported(Gptq(), family, {"quantize_rtn": grid})
    assert export.difference() < 1e-6
    assert abs(export.weight_bytes - export.estimate) < 8192


def test_act_order_needs_no_index_but_the_plain_one(exported):
    export = exported(Gptq(), "mistral", {"quantize_gptq": {"bits": 4, "group_size": 16, "order": "active"}})
    tensors = load_file(export.folder / "model.safetensors")
    groups = tensors["model.layers.0.mlp.up_proj.g_idx"]
    assert torch.equal(groups, torch.arange(32).int() // 16)
    assert export.difference() < 1e-6


def test_version_1_takes_one_off_a_zero_point(exported):
    export = exported(Gptq(), "mistral", {"quantize_rtn": {"bits": 4, "group_size": 16}})
    config = json.loads((export.folder / "quantize_config.json").read_text())
    zeros = load_file(export.folder / "model.safetensors")["model.layers.0.self_attn.q_proj.qzeros"]
    assert config["checkpoint_format"] == "gptq" and config["sym"] is True
    assert set(zeros.flatten().tolist()) == {0x77777777}  # 8 less one


def test_version_2_where_a_grid_is_asymmetric(exported):
    """One less than a zero point of 0 would run into its neighbour, and such zero points are there."""
    step = {"quantize_rtn": {"bits": 2, "group_size": 16, "symmetric": False}}
    export = exported(Gptq(), "mistral", step)
    on_grids = [stored for stored in export.model.stored.values() if isinstance(stored, QuantizedWeight)]
    assert min(int(stored.parameters["zeros"].min()) for stored in on_grids) == 0
    config = json.loads((export.folder / "config.json").read_text())["quantization_config"]
    assert config["checkpoint_format"] == "gptq_v2" and config["sym"] is False
    assert export.difference() < 1e-6


def test_other_settings_and_dense_matrices_are_named(exported):
    exception = {"overrides": {"*.down_proj*": {"bits": 8, "group_size": 0}}, "ignore": ["*layers.1.*"]}
    export = exported(Gptq(), "mistral", {"quantize_rtn": {"bits": 4, "group_size": 16} | exception})
    dynamic = json.loads((export.folder / "quantize_config.json").read_text())["dynamic"]
    assert dynamic[r"+:^model\.layers\.0\.mlp\.down_proj$"] == {"bits": 8, "group_size": -1, "sym": True}
    assert r"-:^model\.layers\.1\.mlp\.up_proj$" in dynamic
    assert export.difference() < 1e-6


def test_what_vllm_reads_as_one_is_named_as_one(exported):
    """vLLM looks exceptions up by the names of its own matrices."""
    exception = {
        "overrides": {"*layers.0.self_attn*": {"bits": 8, "group_size": 0}},
        "ignore": ["*layers.1.mlp*", "*down*"],
    }
    export = exported(Gptq(), "mistral", {"quantize_rtn": {"bits": 4, "group_size": 32} | exception})
    dynamic = json.loads((export.folder / "quantize_config.json").read_text())["dynamic"]
    assert dynamic[r"+:^model\.layers\.0\.self_attn\.qkv_proj$"] == {"bits": 8, "group_size": -1, "sym": True}
    assert r"-:^model\.layers\.1\.mlp\.gate_up_proj$" in dynamic
    contents = contents_of(export.model)
    assert "vLLM" in programs(export.form, contents)
    assert "without exceptions" in str(export.form.shut_out(contents)["transformers"])


@pytest.mark.parametrize(
    ("grid", "why"),
    [
        ({"bits": 4, "group_size": 32, "symmetric": False}, "symmetric grids"),
        ({"bits": 3, "group_size": 32}, "4 and 8 bits"),
        ({"bits": 4, "group_size": 16}, "whole groups of 32, 64 or 128"),
        ({"bits": 4, "group_size": 32}, "whole groups"),  # rows of 52
        ({"bits": 4, "group_size": 32, "ignore": ["*v_proj*", "*down*"]}, "self_attn.qkv_proj as one matrix"),
    ],
)
def test_what_vllm_does_not_take_is_not_promised(compressed, grid, why):
    contents = contents_of(compressed("mistral", {"quantize_rtn": grid}))
    assert why in str(Gptq().shut_out(contents)["vLLM"])
    assert "vLLM" not in programs(Gptq(), contents) and "vLLM" not in loading_lines(Gptq(), contents, "place")
    alike = "ignore" not in grid and grid["bits"] != 3  # rows of 52 take 4 bits instead
    assert ("transformers" in loading_lines(Gptq(), contents, "place")) is alike
    assert "GPTQModel" in loading_lines(Gptq(), contents, "place")


@pytest.mark.parametrize(
    ("family", "grid", "program", "why"),
    [
        ("mistral", {"head_bits": 8}, "transformers", "random numbers"),
        ("mistral", {"ignore": ["*layers.1.*"]}, "transformers", "without exceptions"),
        ("mistral", {"overrides": {"*up_proj*": {"bits": 8}}}, "transformers", "without exceptions"),
        ("gpt2", {}, "transformers", "family gpt2"),
        ("phi3", {}, "GPTQModel", "family phi3"),
    ],
)
def test_what_a_program_fails_on_is_not_promised_to_it(compressed, family, grid, program, why):
    contents = contents_of(compressed(family, {"quantize_rtn": {"bits": 4, "group_size": 16} | grid}))
    assert why in str(Gptq().shut_out(contents)[program])


def test_a_group_as_long_as_a_row_is_no_exception(exported):
    """Rows of 32 and of 64, in groups of 32: one grid, which every reader opens."""
    export = exported(Gptq(), "gpt2", {"quantize_rtn": {"bits": 4, "group_size": 32}})
    config = json.loads((export.folder / "quantize_config.json").read_text())
    assert config["group_size"] == 32 and "dynamic" not in config
    assert export.difference() < 1e-6


def test_a_head_is_packed_and_an_embedding_is_not(exported):
    export = exported(Gptq(), "mistral", {"quantize_rtn": {"bits": 4, "embedding_bits": 4, "head_bits": 8}})
    names = set(load_file(export.folder / "model.safetensors"))
    assert {"model.embed_tokens.weight", "lm_head.qweight"} <= names
    assert json.loads((export.folder / "quantize_config.json").read_text())["lm_head"] is True
    assert export.difference() < 1e-6


def test_what_can_not_be_packed_is_refused(compressed):
    odd = compressed("llama", {"quantize_rtn": {"bits": 4, "group_size": 8}})
    assert "not groups of 8" in str(Gptq().refuses(contents_of(odd)))
    assert "No linear layer is quantized" in str(
        Gptq().refuses(contents_of(compressed("llama", {"prune_magnitude": {"sparsity": 0.5}})))
    )
