"""GGUF: codes moved into blocks as they are, files that answer as the model did, tokenizers in llama.cpp's words."""

import json

import gguf
import numpy as np
import pytest
import torch
from compresslab.engine.solvers.rounding import round_to_nearest
from compresslab.exports import gguf_blocks, gguf_family, gguf_tokenizer
from compresslab.exports.gguf import FILE, Gguf
from compresslab.exports.gguf_cutting import Cutter
from compresslab.exports.verified import contents_of
from compresslab.grids.affine import Affine
from compresslab.models.facts import read_facts
from compresslab.models.families import FAMILIES
from compresslab.models.gguf import tensors as gguf_tensors
from compresslab.models.weights import WeightPlan
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from tests.exported import IDS, Exported, answers
from tests.tiny_models import tokenizer

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


def changed(**parts) -> dict:
    """A byte-level tokenizer.json of which something is another way."""
    plain = json.loads(tokenizer().backend_tokenizer.to_str())
    model = plain["model"] | parts.pop("model", {})
    return plain | {"model": model} | parts


def around(*after: str) -> dict:
    parts = [{"Sequence": {"id": "A", "type_id": 0}}, *({"SpecialToken": {"id": t, "type_id": 0}} for t in after)]
    special = {token: {"id": token, "ids": [number], "tokens": [token]} for number, token in enumerate(set(after))}
    return {"type": "TemplateProcessing", "single": parts, "pair": parts, "special_tokens": special}


def added(content: str, **how) -> list[dict]:
    plain = {"lstrip": False, "rstrip": False, "single_word": False, "normalized": False, "special": True}
    return [{"id": 0, "content": content} | plain | how]


BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
SPLIT = {"type": "Split", "pattern": {"Regex": next(iter(gguf_tokenizer.SPLITS))}, "behavior": "Isolated"}
ODD_TOKENIZERS = {
    "gguf.space_first": {"pre_tokenizer": BYTE_LEVEL | {"add_prefix_space": True}},
    "gguf.normalizer": {"normalizer": {"type": "Lowercase"}},
    "gguf.normalizer of several": {
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Strip"}]}
    },
    "gguf.added_token": {"added_tokens": added("<|end|>", lstrip=True)},
    "gguf.added_token as a word": {"added_tokens": added("<|end|>", single_word=True)},
    "gguf.added_token after some": {
        "added_tokens": [*added("<|a|>", rstrip=True), *added("<|b|>", id=1)],
    },
    "gguf.template": {"post_processor": around("<|endoftext|>", "<|end|>")},
    "gguf.template of another kind": {
        "post_processor": {"type": "BertProcessing", "sep": ["a", 1], "cls": ["b", 2]},
    },
    "gguf.bpe_words": {"model": {"end_of_word_suffix": "</w>"}},
    "gguf.bpe_words at random": {"model": {"dropout": 0.1}},
    "gguf.whole_words": {"model": {"ignore_merges": True}},
    "gguf.pretokenizer": {
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [SPLIT | {"behavior": "MergedWithNext"}, BYTE_LEVEL]}
    },
    "gguf.pretokenizer twice": {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [SPLIT, BYTE_LEVEL]}},
}


@pytest.mark.parametrize("case", ODD_TOKENIZERS)
def test_what_llama_cpp_does_not_do_with_a_text_is_refused(case):
    assert gguf_tokenizer.misfit(changed()) is None
    assert gguf_tokenizer.misfit(changed(**ODD_TOKENIZERS[case])).code == case.split()[0]


def test_composed_letters_are_a_remark():
    """Every Qwen asks for them: its files are worth having, and text that a keyboard writes is read alike."""
    plain = changed(normalizer={"type": "NFC"})
    assert gguf_tokenizer.misfit(plain) is None and gguf_tokenizer.remark(plain).code == "gguf.nfc"


def spaced(**parts) -> dict:
    return json.loads(sentencepiece_like().to_str()) | parts


METASPACE = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": False}
CHAT = [*added("<unk>"), *added("<s>", id=1), *added("</s>", id=2), *added("<|user|>", id=264)]


@pytest.mark.parametrize(
    ("code", "parts"),
    [
        ("gguf.normalizer", {"normalizer": {"type": "NFKC"}}),
        ("gguf.normalizer", {"normalizer": {"type": "Prepend", "prepend": "x"}}),
        ("gguf.pretokenizer", {"pre_tokenizer": {"type": "Whitespace"}}),
        ("gguf.pretokenizer", {"normalizer": None}),
        ("gguf.space_at_start", {"normalizer": None, "pre_tokenizer": METASPACE, "added_tokens": CHAT}),
    ],
)
def test_the_same_of_the_sentencepiece_like_kind(code, parts):
    assert gguf_tokenizer.misfit(spaced(**parts)).code == code


def test_without_all_byte_tokens_llama_cpp_would_end():
    plain = spaced()
    del plain["model"]["vocab"]["<0x41>"]
    assert gguf_tokenizer.misfit(plain).code == "gguf.bpe_bytes"


def test_no_two_tokens_are_alike():
    """llama.cpp ends where two are: rows without a token are named by their number, unless a token has that name."""
    plain = changed()
    plain["model"]["vocab"]["[PAD321]"] = 320
    tokens = gguf_tokenizer.vocabulary(plain, 324).tokens
    assert len(set(tokens)) == 324 and tokens[320] == "[PAD321]"


@pytest.mark.parametrize(
    ("name", "strips", "written"),
    [("mini", True, "mini (phi-3 tokens)"), ("Phi-3-mini", True, "Phi-3-mini"), ("phi3-like", False, "Phi 3-like")],
)
def test_blanks_after_special_tokens_are_stripped_by_the_name(name, strips, written):
    """llama.cpp knows it of phi-3 in general.name alone."""
    named = [*added("<unk>"), *added("<s>", id=1), *added("</s>", id=2, rstrip=True), *added("<|endoftext|>", id=3)]
    plain = changed(added_tokens=[*named, *added("<|user|>", id=4, rstrip=strips)])
    assert (gguf_tokenizer.misfit(plain) is None) is strips, "</s> alone is stripped there by no name"
    found = gguf_tokenizer.vocabulary(plain, 320, name)
    assert found.name == written and found.strips is strips


def test_a_name_with_phi_3_needs_its_tokens():
    """llama.cpp looks four of them up by that name, and does not open a file without one."""
    assert gguf_tokenizer.vocabulary(changed(), 320, "phi-3-like").name == "Phi 3-like"
    stripping = changed(added_tokens=added("<|user|>", rstrip=True))
    assert gguf_tokenizer.misfit(stripping).code == "gguf.added_token"


def test_tokens_that_end_a_text_have_a_key_each():
    ends = {"eos": [7, 8, 9], "bos": [1], "pad": [2]}
    found = gguf_tokenizer.vocabulary(changed(), 320, tokens=ends)
    assert found.ids == {"eos": 7, "eot": 8, "eom": 9, "bos": 1, "pad": 2} and not found.ends
    plain = changed(post_processor=around("<|endoftext|>"))
    found = gguf_tokenizer.vocabulary(plain, 320, tokens=ends | {"eos": [7]})
    assert found.ends and (found.ids["eos"], found.ids["eot"]) == (0, 7), "the one that the tokenizer puts after a text"


TEXTS = ["Mia had a red kite.", " Tom  saw\n\nthe 12 kites ", "caf\u00e9 \u6771\u4eac", "", "a<s>b </s> c", "ab ab\tab"]


@pytest.mark.parametrize("make", [changed, spaced, lambda: changed(post_processor=around("<|endoftext|>"))])
def test_text_is_cut_as_the_tokenizer_does(make):
    plain = make()
    size = len(plain["model"]["vocab"])
    cut = Cutter(gguf_tokenizer.vocabulary(plain, size, tokens={"bos": [1], "eos": [0]}))
    ours = Tokenizer.from_str(json.dumps(plain))
    assert [cut(text) for text in TEXTS] == [ours.encode(text).ids for text in TEXTS]


def test_the_nearest_joining_waits_its_turn():
    """Scores decide, not places: against the slow way, on texts that join again and again."""
    vocabulary = {"<unk>": 0} | {f"<0x{n:02X}>": n + 1 for n in range(256)}
    letters, merges = ["\u2581", *"abc"], []
    for sign in letters:
        vocabulary[sign] = len(vocabulary)
    draw = np.random.default_rng(0)
    pool = list(letters)
    while len(merges) < 60:
        first, second = draw.choice(pool, 2)
        if first + second not in vocabulary:
            vocabulary[first + second] = len(vocabulary)
            merges.append((str(first), str(second)))
            pool.append(first + second)
    raw = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True))
    raw.normalizer = normalizers.Replace(" ", "\u2581")
    found = gguf_tokenizer.vocabulary(json.loads(raw.to_str()), len(vocabulary))
    for _ in range(20):
        text = "".join(draw.choice([" ", *"abc"], 40))
        assert Cutter(found)(text) == slowly(found, text)


def slowly(found, text: str) -> list[int]:
    pieces = list(text.replace(" ", "\u2581"))
    while True:
        joined = {n: pieces[n] + pieces[n + 1] for n in range(len(pieces) - 1)}
        known = [(-found.scores[found.tokens.index(w)], n) for n, w in joined.items() if w in found.tokens]
        if not known:
            return [found.tokens.index(piece) for piece in pieces]
        place = min(known)[1]
        pieces[place : place + 2] = [joined[place]]


def test_gemma2_without_caps_says_so(compressed, tmp_path):
    """llama.cpp caps with 50 and 30 where a file does not say: a cap far beyond any logit is none."""
    model, form = compressed("gemma2", {"quantize_rtn": {"bits": 4, "group_size": 32} | ODD}), Gguf(dense="float32")
    config = model.module.config
    config.query_pre_attn_scalar, config.attn_logit_softcapping, config.final_logit_softcapping = 8, None, None
    model._rebuild({})
    form.write(model, tmp_path)
    fields = gguf.GGUFReader(tmp_path / FILE).fields
    for cap in ("attn_logit_softcapping", "final_logit_softcapping"):
        assert fields[f"gemma2.{cap}"].contents() >= 1e4
    assert Exported(model, form, tmp_path).difference() < 1e-5


def test_attention_that_llama_cpp_scales_by_depth(compressed):
    """A Gemma 2 of 46 blocks is taken for the one of 27B, which divides by hidden size / heads."""
    config = contents_of(compressed("gemma2", {"quantize_rtn": {"bits": 4}})).config | {"layer_types": None}
    width = config["hidden_size"] // config["num_attention_heads"]
    for depth, scalar in ((46, width), (3, config["head_dim"])):
        said = config | {"num_hidden_layers": depth, "head_dim": 2 * width}
        assert gguf_family.misfit(said | {"query_pre_attn_scalar": width if depth == 46 else 2 * width}) is None
        assert gguf_family.misfit(said | {"query_pre_attn_scalar": scalar + 3}).code == "gguf.attention_scale"


def test_scores_that_are_not_scaled_are_refused(compressed):
    config = contents_of(compressed("gpt2", {"quantize_rtn": {"bits": 4}})).config
    assert gguf_family.misfit(config) is None
    assert gguf_family.misfit(config | {"scale_attn_weights": False}).code == "gguf.attention_unscaled"
    assert gguf_family.misfit(config | {"scale_attn_by_inverse_layer_idx": True}).code == "gguf.attention_layer"


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
