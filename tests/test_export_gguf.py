"""GGUF: codes moved into blocks as they are, files that answer as the model did, tokenizers in llama.cpp's words."""

import json

import gguf
import numpy as np
import pytest
import torch
from compresslab.engine.solvers.rounding import round_to_nearest
from compresslab.exports import gguf_blocks, gguf_family, gguf_tensors, gguf_tokenizer
from compresslab.exports.gguf import FILE, Gguf
from compresslab.exports.verified import contents_of
from compresslab.grids.affine import Affine
from compresslab.models.facts import read_facts
from compresslab.models.families import FAMILIES
from compresslab.models.weights import WeightPlan
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from tests.exported import IDS, Exported, answers

ROWS = [family.model_type for family in FAMILIES.values() if family.gguf]
UNLIKE = ("gemma2", "smollm3")  # their tiny models are not as llama.cpp takes them for granted: tested on their own
ODD = {"ignore": ["*down_proj*"]}  # 52 columns, no multiple of 32


def on_grid(bits: int, group_size: int, symmetric: bool, columns: int = 192):
    weight = torch.randn(8, columns, generator=torch.Generator().manual_seed(bits)) + 0.3
    return round_to_nearest(weight, Affine(bits, group_size, symmetric))


def plan_of(quantized) -> WeightPlan:
    return WeightPlan(
        "model.layers.0.mlp.up_proj.weight", tuple(quantized.codes.shape), "F32", "linear", 0, quantized.grid
    )


@pytest.mark.parametrize("group_size", [32, 64, 128, 0])
@pytest.mark.parametrize(
    ("bits", "symmetric", "kind"),
    [
        (2, True, "Q4_0"), (3, True, "Q4_0"), (4, True, "Q4_0"), (2, False, "Q4_0"), (3, False, "Q4_0"),
        (4, False, "Q5_0"), (5, True, "Q5_0"), (5, False, "Q8_0"), (6, True, "Q8_0"), (7, False, "Q8_0"),
        (8, True, "Q8_0"),
    ],
)  # fmt: skip
def test_blocks_give_back_what_codes_stood_for(bits, symmetric, kind, group_size):
    quantized = on_grid(bits, group_size, symmetric)
    found = gguf_blocks.holds(plan_of(quantized))
    assert found is not None and found.name == kind
    data = gguf_blocks.stepped(quantized, found)
    assert data.nbytes == 8 * 192 // 32 * found.bytes
    back = gguf.quants.dequantize(data, gguf.GGMLQuantizationType[kind])
    assert np.array_equal(back, quantized.dequantize().numpy())


def test_a_minimum_is_rounded_to_float16():
    quantized = on_grid(4, 64, False)
    back = gguf.quants.dequantize(gguf_blocks.with_minimum(quantized), gguf.GGMLQuantizationType.Q4_1)
    step = quantized.scales.float().max().item()
    assert 0 < np.abs(back - quantized.dequantize().numpy()).max() < 0.01 * step


@pytest.mark.parametrize("grid", [Affine(4, 16, True), Affine(4, 48, True), Affine(8, 32, False)])
def test_grids_that_no_block_holds(grid):
    assert gguf_blocks.holds(WeightPlan("w", (8, 192), "F32", "linear", 0, grid)) is None


@pytest.mark.parametrize("family", ROWS)
def test_names_are_those_of_the_gguf_package_and_lead_back(tiny_folders, family):
    row = FAMILIES[family]
    architecture = next(kind for kind, name in gguf.MODEL_ARCH_NAMES.items() if name == row.gguf.architecture)
    facts = read_facts(str(tiny_folders[family]))
    names = gguf.get_tensor_name_map(architecture, facts.layers)
    for weight in facts.weights:
        found = gguf_tensors.gguf_name(weight.name, row)
        assert found == names.get_name(weight.name, try_suffixes=(".weight", ".bias"))
        assert gguf_tensors.model_name(found, row) == weight.name


@pytest.mark.parametrize("family", [family for family in ROWS if family not in UNLIKE])
@pytest.mark.parametrize(
    "grid", [{"bits": 4, "group_size": 32}, {"bits": 4, "group_size": 0, "symmetric": False}], ids=str
)
def test_the_file_answers_as_the_model_did(exported, family, grid):
    form = Gguf(dense="float32")
    odd = {} if family == "gpt2" else {"ignore": [f"*{FAMILIES[family].anatomy.mlp.output}*"]}
    export = exported(form, family, {"quantize_rtn": grid | odd})
    assert form.rounds_again(contents_of(export.model)) is None
    assert export.difference() < 1e-5
    assert abs(export.weight_bytes - export.estimate) < 16384


def test_gemma2_with_its_caps_and_windows(compressed, tmp_path):
    """Where attention is scaled by the head's size, as llama.cpp does it; elsewhere it is refused."""
    model, form = compressed("gemma2", {"quantize_rtn": {"bits": 4, "group_size": 32} | ODD}), Gguf(dense="float32")
    assert "scales attention" in str(form.refuses(contents_of(model)))
    model.module.config.query_pre_attn_scalar = 8
    for block in model.module.model.layers:
        block.self_attn.scaling = 8**-0.5
    assert form.refuses(contents_of(model)) is None
    form.write(model, tmp_path)
    assert Exported(model, form, tmp_path).difference() < 1e-5


def test_llama_3_stretches_its_frequencies(compressed, tmp_path):
    model, form = compressed("llama", {"quantize_rtn": {"bits": 4, "group_size": 32} | ODD}), Gguf(dense="float32")
    stretched = {
        "rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16,
    }  # fmt: skip
    model.module.config.rope_parameters = stretched
    model._rebuild({})
    form.write(model, tmp_path)
    export = Exported(model, form, tmp_path)
    assert export.difference() < 1e-5
    factors = gguf.GGUFReader(tmp_path / FILE).tensors[-1].data
    assert 1 <= factors.min() < factors.max() <= 8.001


def test_smollm3_leaves_every_fourth_block_without_positions(exported, compressed):
    assert "4th block" in str(Gguf().refuses(contents_of(compressed("smollm3", {"quantize_rtn": {"bits": 4}}))))
    drop = {"prune_layers": {"layers": 2}}
    left = compressed("smollm3", drop)
    assert left.module.config.no_rope_layers == [1], "the first of three blocks turns, and so it does in llama.cpp"
    assert exported(Gguf(dense="float32"), "smollm3", drop).difference() < 1e-5


def test_checkpoint_dtypes_stay(exported):
    export = exported(Gguf(), "qwen2", {"quantize_rtn": {"bits": 4, "group_size": 32} | ODD})
    kinds = {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(export.folder / FILE).tensors}
    assert kinds["token_embd.weight"] == "BF16" and kinds["output_norm.weight"] == "F32"
    assert kinds["blk.0.ffn_up.weight"] == "Q4_0"
    assert export.difference() < 1e-5


def test_what_rounds_again_is_said_and_done_well(exported):
    form = Gguf(dense="float32")
    export = exported(form, "mistral", {"quantize_rtn": {"bits": 4, "group_size": 16}})
    said = form.rounds_again(contents_of(export.model))
    assert "Q8_0" in str(said) and "F16" in str(said)
    assert export.difference() < 2e-2


def test_a_quantized_embedding_and_head(exported):
    step = {"quantize_rtn": {"bits": 4, "group_size": 32, "embedding_bits": 8, "head_bits": 6} | ODD}
    export = exported(Gguf(dense="float32"), "mistral", step)
    kinds = {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(export.folder / FILE).tensors}
    assert (kinds["token_embd.weight"], kinds["output.weight"]) == ("Q8_0", "Q8_0")
    assert export.difference() < 1e-5


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_a_stranger_reads_the_same(exported, family):
    """transformers has a reader of its own: its names, orders and sizes were not written by us."""
    from compresslab.engine.models.architecture import module_of
    from transformers import AutoConfig
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    export = exported(Gguf(dense="float32"), family, {"quantize_rtn": {"bits": 4, "group_size": 32}})
    file = str(export.folder / FILE)
    values = load_gguf_checkpoint(file)["config"]
    config = AutoConfig.for_model(values.pop("model_type"), **values)
    hollow = module_of(config, dict(export.model.module.state_dict()), torch.float32, torch.device("cpu"))
    tensors = load_gguf_checkpoint(file, return_tensors=True, model_to_load=hollow)["tensors"]
    hollow.load_state_dict(tensors, strict=False)
    with torch.inference_mode():
        found = hollow(input_ids=IDS, use_cache=False).logits
    assert float((found - answers(export.model)).abs().max()) < 1e-3


def test_byte_level_tokens_and_merges(exported):
    export = exported(Gguf(), "llama", {"quantize_rtn": {"bits": 4}})
    reader = gguf.GGUFReader(export.folder / FILE)
    plain = json.loads(export.model.tokenizer.backend_tokenizer.to_str())
    tokens = reader.get_field("tokenizer.ggml.tokens").contents()
    assert {token: number for number, token in enumerate(tokens)} == plain["model"]["vocab"]
    assert reader.get_field("tokenizer.ggml.merges").contents() == [" ".join(pair) for pair in plain["model"]["merges"]]
    assert reader.get_field("tokenizer.ggml.pre").contents() == "gpt-2"
    assert reader.get_field("tokenizer.ggml.token_type").contents()[0] == gguf_tokenizer.CONTROL
    assert reader.get_field("tokenizer.ggml.eos_token_id").contents() == 0


def sentencepiece_like() -> Tokenizer:
    bytes_ = {f"<0x{number:02X}>": 3 + number for number in range(256)}
    vocabulary = {"<unk>": 0, "<s>": 1, "</s>": 2} | bytes_ | {"▁": 259, "a": 260, "b": 261, "▁a": 262, "▁ab": 263}
    raw = Tokenizer(
        models.BPE(vocabulary, [("▁", "a"), ("▁a", "b")], unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    raw.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return raw


def test_sentencepiece_like_tokens_and_scores():
    plain = json.loads(sentencepiece_like().to_str())
    assert gguf_tokenizer.misfit(plain) is None
    found = gguf_tokenizer.vocabulary(plain, 266)
    assert found.model == "llama" and found.space_first and not found.begins
    assert found.kinds[0] == gguf_tokenizer.UNKNOWN and found.kinds[3] == gguf_tokenizer.BYTE
    assert found.kinds[264:] == [gguf_tokenizer.UNUSED] * 2
    assert found.scores[262] == 0 and found.scores[263] == -1 and found.scores[260] < -1000


def test_what_llama_cpp_can_not_compute_is_refused(compressed):
    form, step = Gguf(), {"quantize_rtn": {"bits": 4}}
    for family in ("opt", "bloom", "gpt_neox"):
        assert "GPT-2" in str(form.refuses(contents_of(compressed(family, step))))
    config = contents_of(compressed("llama", step)).config
    assert "gelu" in str(gguf_family.misfit(config | {"hidden_act": "gelu"}))
    assert "yarn" in str(gguf_family.misfit(config | {"rope_parameters": {"rope_type": "yarn"}}))
    cut = Tokenizer(models.BPE())
    cut.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Punctuation(), pre_tokenizers.ByteLevel()])
    assert gguf_tokenizer.misfit(json.loads(cut.to_str())).code == "gguf.pretokenizer"
