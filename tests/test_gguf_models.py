"""GGUF files as models: what an export wrote is read back, every type of block as the gguf package reads it, and what
is no model here is refused in one sentence. The tokenizer cuts as the one that was written."""

import json
import os
import subprocess
import sys

import gguf
import numpy as np
import pytest
import torch
from compresslab.engine.job import silent_job
from compresslab.engine.models.checkpoint import load_baseline
from compresslab.engine.models.device import Choice
from compresslab.engine.session import Session
from compresslab.exports.gguf import FILE, Gguf
from compresslab.messages import Message
from compresslab.models.facts import read_facts
from compresslab.models.families import FAMILIES
from compresslab.models.gguf.header import BLOCKS, read_header
from compresslab.models.gguf.tokenizer import tokenizer_json
from compresslab.planning.estimate import estimate
from compresslab.recipes.plan import make_plan
from compresslab.recipes.recipe import Recipe
from compresslab.recipes.rounded_before import rounded_before
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from tests.exported import IDS, answers
from tests.fuzzing import fuzzed, junk, refused
from tests.test_export_gguf import ROWS, UNLIKE
from tests.tiny_models import SEPARATOR, config_of, stories, tokenizer

WHOLE = [family for family in ROWS if family not in UNLIKE]
CHOICE = Choice(torch.device("cpu"), torch.float32, Message("a"), Message("a"))


def load(name, **how):
    return load_baseline(str(name), CHOICE, **how)


@pytest.fixture(scope="module")
def written(tmp_path_factory, tiny_recipe):
    """`written(family, dense)`: a tiny model, uncompressed, as a GGUF file."""
    made, session = {}, Session()

    def write(family, dense="checkpoint"):
        if (family, dense) not in made:
            folder = tmp_path_factory.mktemp("gguf")
            model = session.baseline(tiny_recipe(family))
            Gguf(dense=dense).write(model, folder)
            made[family, dense] = folder / FILE
        return made[family, dense]

    return write


def change(file, to, keys=None, tensors=None):
    """The file again with other keys (None takes one away), and other types of its matrices."""
    reader = gguf.GGUFReader(file)
    architecture = (keys or {}).get("general.architecture", reader.fields["general.architecture"].contents())
    writer = gguf.GGUFWriter(to, architecture)
    fields = {key: (field.types, field.contents()) for key, field in reader.fields.items() if "." in key}
    for key, (types, value) in fields.items():
        if key not in ("general.architecture", *(keys or {})) and not key.startswith("GGUF."):
            writer.add_key_value(key, value, types[0], types[-1] if len(types) > 1 else None)
    for key, value in (keys or {}).items():
        if value is not None and key != "general.architecture":
            kinds = {str: gguf.GGUFValueType.STRING, float: gguf.GGUFValueType.FLOAT32, bool: gguf.GGUFValueType.BOOL}
            writer.add_key_value(key, value, kinds.get(type(value), gguf.GGUFValueType.UINT32))
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        kind = gguf.GGMLQuantizationType[(tensors or {}).get(tensor.name, tensor.tensor_type.name)]
        writer.add_tensor(tensor.name, gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return to


# -- what was written comes back -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dense", ["float16", "float32"])
@pytest.mark.parametrize("family", WHOLE)
def test_an_exported_model_comes_back_to_the_last_bit(written, tiny_folders, family, dense):
    before, after = load(tiny_folders[family]), load(written(family, dense))
    assert after.weights.keys() == before.weights.keys()
    assert after.facts.family == ("llama" if family == "mistral" else family)
    for name, weight in before.weights.items():
        asked = torch.float32 if weight.role == "other" or dense == "float32" else torch.float16
        wanted, found = before.stored[name].to(asked), after.stored[name]
        assert found.dtype == asked and found.shape == wanted.shape
        exact = not (family.startswith("gemma") and weight.role == "other")  # llama.cpp's norms have the one added
        assert torch.equal(found, wanted) if exact else torch.allclose(found, wanted, atol=1e-7)
    tolerance = 1e-5 if dense == "float32" else 1e-2
    assert torch.allclose(answers(before), answers(after), atol=tolerance * answers(before).std())
    sizes = ("layers", "hidden_size", "vocab_size", "context_length", "tied", "heads", "mlp_width")
    assert [getattr(after.facts, size) for size in sizes] == [getattr(before.facts, size) for size in sizes]
    assert after.facts.generation.edges() == before.facts.generation.edges()
    for text in (*stories(3), f"  two  blanks\n\n123 {SEPARATOR} it's"):
        assert after.tokenizer(text).input_ids == before.tokenizer(text).input_ids


@pytest.mark.parametrize("family", UNLIKE)
def test_models_as_llama_cpp_takes_them_for_granted_come_back(tmp_path, family):
    torch.manual_seed(0)
    changes = {"query_pre_attn_scalar": 8} if family == "gemma2" else {"no_rope_layer_interval": 4}
    AutoModelForCausalLM.from_config(config_of(FAMILIES[family], **changes)).save_pretrained(tmp_path / "model")
    tokenizer().save_pretrained(tmp_path / "model")
    before = load(tmp_path / "model")
    Gguf(dense="float32").write(before, tmp_path / "file")
    after = load(tmp_path / "file")
    assert torch.allclose(answers(before), answers(after), atol=1e-5 * float(answers(before).std()))


def test_frequencies_stretched_as_in_llama_3_come_back(tmp_path):
    rope = {
        "rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16,
    }  # fmt: skip
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config_of(FAMILIES["llama"], rope_parameters=rope)).save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    before = load(tmp_path)
    Gguf(dense="float32").write(before, tmp_path / "file")
    after = load(tmp_path / "file" / FILE)
    assert after.module.config.rope_parameters == before.module.config.rope_parameters
    assert torch.allclose(answers(before), answers(after), atol=1e-5)


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "BF16"])
def test_types_are_read_as_the_gguf_package_reads_them(written, tmp_path, kind):
    """Beside those below, which the package can't write, on a model."""
    name = "blk.1.ffn_up.weight"
    file = change(written("llama", "float32"), tmp_path / "other.gguf", tensors={name: kind})
    tensor = next(tensor for tensor in gguf.GGUFReader(file).tensors if tensor.name == name)
    expected = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
    for model in (load(file), load(file, offloaded=True)):
        found = model.stored["model.layers.1.mlp.up_proj.weight"]
        assert found.dtype == (torch.bfloat16 if kind == "BF16" else torch.float16)
        assert torch.equal(found, torch.from_numpy(np.array(expected)).to(found.dtype))
    facts = read_facts(str(file))
    assert facts.rounded_to == (() if kind == "BF16" else (kind,))
    assert facts.baseline_bytes == facts.file_bytes == file.stat().st_size


def test_every_type_has_the_size_that_the_gguf_package_gives_it():
    for number, (name, weights, bytes_) in BLOCKS.items():
        kind = gguf.GGMLQuantizationType(number)
        assert (kind.name, *gguf.GGML_QUANT_SIZES[kind]) == (name, weights, bytes_)


def test_whole_and_block_by_block_are_one_and_a_run_goes_through(written, tiny_texts):
    name = str(written("qwen3"))
    calibration = {"text": str(tiny_texts[0]), "samples": 8, "sequence_length": 32}
    recipe = Recipe.from_dict({"model": name, "steps": ["quantize_rtn"], "calibration": calibration, "device": "cpu"})
    compressed, _ = Session().compress(recipe, silent_job())
    assert torch.isfinite(answers(compressed)).all()
    with torch.inference_mode():
        whole, blocks = (load(name, **how).module(input_ids=IDS).logits for how in ({}, {"offloaded": True}))
    assert torch.equal(whole, blocks)


def test_facts_need_no_torch_and_a_folder_with_one_file_is_a_model(written, own_home):
    file = written("llama")
    code = "import sys; from compresslab.models.facts import read_facts as read\n"
    code += "print(read(sys.argv[1]).layers, 'torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["3", "False"]
    assert read_facts(str(file.parent)).folder == read_facts(str(file)).folder
    os.utime(file, ns=(1, 1))
    assert read_facts(str(file.parent)).layers == 3 and len(list((own_home / "gguf").iterdir())) == 2


def test_templates_and_ends_of_turns_come_along(written, tmp_path):
    keys = {"tokenizer.chat_template": "{{ messages[0]['content'] }}!", "tokenizer.chat_template.rag": "rag"}
    model = load(change(written("llama"), tmp_path / "a.gguf", keys | {"tokenizer.ggml.eot_token_id": 7}))
    assert set(model.tokenizer.chat_template) == {"default", "rag"}
    assert model.tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False) == "Hi!"
    assert model.facts.generation.ends == (0, 7) and model.tokenizer.eos_token == SEPARATOR


@pytest.mark.parametrize(("bits", "symmetric", "same"), [(4, False, True), (4, True, False), (3, False, False)])
def test_a_rounded_baseline_is_said_and_so_is_its_grid_in_the_recipe(written, tmp_path, bits, symmetric, same):
    names = [name for name in read_header(written("llama", "float32")).tensors if "ffn_up" in name]
    file = change(written("llama", "float32"), tmp_path / "a.gguf", tensors=dict.fromkeys(names, "Q4_1"))
    step = {"quantize_rtn": {"bits": bits, "group_size": 32, "symmetric": symmetric}}
    plan = make_plan(Recipe.from_dict({"model": str(file), "steps": [step]}), read_facts(str(file)))
    said = [str(message) for message in rounded_before(plan)]
    assert "a.gguf holds Q4_1" in said[0] and (len(said) == 2) is same
    told = estimate(plan)
    assert told.baseline_bytes == file.stat().st_size
    assert not rounded_before(make_plan(Recipe.from_dict({"steps": [step]}), read_facts("storyteller")))


# -- tokenizers ----------------------------------------------------------------------------------------------------


def spaced(**more):
    """Keys of a SentencePiece-like tokenizer."""
    pieces = [
        "<unk>",
        "<s>",
        "</s>",
        *(f"<0x{n:02X}>" for n in range(256)),
        "\u2581",
        "a",
        "b",
        "ab",
        "\u2581a",
        "\u2581ab",
    ]
    kinds = [2, 3, 3, *[6] * 256, *[1] * 6]
    scores = [0.0] * 259 + [-9.0, -9.0, -9.0, -1.0, -2.0, -3.0]
    start = "tokenizer.ggml."
    found = {"model": "llama", "tokens": pieces, "token_type": kinds, "scores": scores, "bos_token_id": 1}
    return {start + key: value for key, value in (found | {"eos_token_id": 2, "unknown_token_id": 0} | more).items()}


def cut(values, text):
    from tokenizers import Tokenizer

    return Tokenizer.from_str(json.dumps(tokenizer_json(values, "m"))).encode(text).tokens


def test_scores_decide_which_neighbours_are_joined():
    assert cut(spaced(), "ab") == ["<s>", "\u2581", "ab"] or cut(spaced(), "ab") == ["<s>", "\u2581ab"]
    assert cut(spaced(add_bos_token=False, add_space_prefix=False), "ab a") == ["ab", "\u2581a"]
    assert cut(spaced(add_eos_token=True), "\n") == ["<s>", "\u2581", "<0x0A>", "</s>"]
    assert cut(spaced(), "a</s>b")[2:] == ["</s>", "\u2581", "b"]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"model": "bert"}, "bert"),
        ({"tokens": []}, "no tokens"),
        ({"tokens": ["a", "a"]}, "tokens"),
        ({"token_type": [1]}, "token_type"),
        ({"scores": [0.5]}, "scores"),
        ({"bos_token_id": 10**6}, "bos_token_id"),
        ({"model": "gpt2", "merges": ["a zz"], "pre": "gpt-2"}, "merges"),
        ({"model": "gpt2", "merges": [], "pre": "chameleon"}, "chameleon"),
    ],
)
def test_tokenizers_that_make_no_sense_are_told(keys, said):
    assert said in refused(lambda: tokenizer_json(spaced(**keys), "m"))


# -- what is no model here -----------------------------------------------------------------------------------------

REFUSED = {
    "LoRA": {"general.type": "adapter"},
    "mmproj": {"general.type": "mmproj"},
    "'mamba'": {"general.architecture": "mamba"},
    "5 files": {"split.count": 5},
    "experts": {"llama.expert_count": 8},
    "yarn": {"llama.rope.scaling.type": "yarn"},
    "llama.block_count": {"llama.block_count": None},
}


@pytest.mark.parametrize("said", REFUSED)
def test_what_is_no_model_here_is_told(written, tmp_path, own_home, said):
    file = change(written("llama"), tmp_path / "other.gguf", REFUSED[said])
    assert said in refused(lambda: read_facts(str(file)))
    assert not list((own_home / "gguf").glob("*"))


def test_a_file_that_is_cut_short_and_one_that_is_no_gguf(written, tmp_path):
    content = written("llama").read_bytes()
    for size in (30, 500, 5000, len(content) // 2, len(content) - 1):
        (tmp_path / "cut.gguf").write_bytes(content[:size])
        assert "cut off" in refused(lambda: read_facts(str(tmp_path / "cut.gguf"))), size
    (tmp_path / "no.gguf").write_text("hello")
    assert "no GGUF file" in refused(lambda: read_facts(str(tmp_path / "no.gguf")))


def test_a_type_that_is_unknown_is_told_by_number_with_those_that_can_be_read(written, tmp_path):
    content = written("llama", "float32").read_bytes()
    name = b"blk.1.ffn_up.weight"
    place = content.index(name) + len(name) + 4 + 2 * 8
    (tmp_path / "odd.gguf").write_bytes(content[:place] + (77).to_bytes(4, "little") + content[place + 4 :])
    said = refused(lambda: read_facts(str(tmp_path / "odd.gguf")))
    assert "77" in said and "Q4_K" in said and name.decode() in said


def test_of_several_files_one_is_to_be_named(written, tmp_path):
    for name in ("a.gguf", "b.gguf", "mmproj-a.gguf"):
        (tmp_path / name).write_bytes(written("llama").read_bytes())
    said = refused(lambda: read_facts(str(tmp_path)))
    assert "a.gguf" in said and "b.gguf" in said and "mmproj" not in said


def test_a_link_out_of_the_folder_is_no_model(written, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "a.gguf").symlink_to(written("llama"))
    assert "a.gguf" in refused(lambda: read_facts(str(tmp_path / "model")))


# -- whatever a stranger's file holds ------------------------------------------------------------------------------


@fuzzed(150, place=st.integers(0, 3000), value=st.binary(min_size=1, max_size=8))
def test_headers_are_read_or_refused(written, tmp_path_factory, place, value):
    content = bytearray(written("llama").read_bytes())
    content[place : place + len(value)] = value
    file = tmp_path_factory.mktemp("damaged") / "model.gguf"
    file.write_bytes(content)
    refused(lambda: read_facts(str(file)))


KEYS = [
    "llama.block_count", "llama.context_length", "llama.embedding_length", "llama.attention.head_count",
    "llama.attention.head_count_kv", "llama.rope.freq_base", "llama.rope.scaling.factor", "llama.rope.dimension_count",
    "llama.attention.key_length", "llama.feed_forward_length", "general.architecture", "general.type", "split.count",
    "llama.attention.layer_norm_rms_epsilon", "tokenizer.ggml.tokens", "tokenizer.ggml.token_type",
    "tokenizer.ggml.merges", "tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id", "tokenizer.ggml.model",
    "tokenizer.ggml.pre", "tokenizer.chat_template", "general.name", "tokenizer.ggml.add_bos_token",
]  # fmt: skip


@fuzzed(150, key=st.sampled_from(KEYS), value=junk)
def test_values_are_read_or_refused(written, key, value):
    from compresslab.models.gguf import folder

    header = read_header(written("llama"))
    values = header.values | {key: value}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folder, "read_header", lambda file: type(header)(values, header.tensors))
        refused(lambda: folder._written(written("llama"), "m"))
