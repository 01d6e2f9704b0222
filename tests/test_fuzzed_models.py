"""Whatever a stranger's model holds: it works, or one sentence says what is wrong with it.

The fuzzer changes what is right by a little, the same way every time. It holds no input that crashes or hangs other
software: sizes are small, nothing is nested deeply, and a tokenizer is never asked to read with damaged parts.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from compresslab.data.texts import SEPARATOR, Question
from compresslab.engine.job import silent_job
from compresslab.engine.measuring.scores import encode_question
from compresslab.engine.models import tokens
from compresslab.engine.models.checkpoint import load_baseline, read_tokenizer
from compresslab.engine.models.device import Choice
from compresslab.engine.runtimes.torch_runtime import TorchRuntime
from compresslab.engine.session import Session
from compresslab.errors import BadInput
from compresslab.messages import Message
from compresslab.models.facts import read_facts
from compresslab.models.families import FAMILIES
from compresslab.models.safetensors_header import BITS, read_header
from compresslab.models.source import WEIGHTS
from compresslab.recipes.recipe import Recipe
from compresslab.work.child import outcome
from compresslab.workspace import Workspace
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForCausalLM

from tests.fuzzing import JUNK, fuzzed, junk, refused
from tests.tiny_models import config_of, tokenizer, write_checkpoint


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("strange") / "llama", "llama")


@pytest.fixture
def model(llama: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(llama, tmp_path / "model"))


def load(folder: Path) -> Any:
    return load_baseline(str(folder), Choice(torch.device("cpu"), torch.float32, Message("a"), Message("a")))


def edit(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


# -- models --------------------------------------------------------------------------------------------------------

CONFIG_KEYS = [
    "model_type", "architectures", "num_hidden_layers", "hidden_size", "vocab_size", "num_attention_heads", "head_dim",
    "num_key_value_heads", "intermediate_size", "max_position_embeddings", "tie_word_embeddings", "hidden_act",
    "rope_parameters", "rope_scaling", "quantization_config", "id2label", "bos_token_id", "dtype", "text_config",
    "rms_norm_eps", "attention_bias", "pad_token_id", "transformers_version",
]  # fmt: skip


@fuzzed(150, first=st.sampled_from(CONFIG_KEYS), value=junk, second=st.sampled_from(CONFIG_KEYS), other=junk)
def test_configs_are_read_or_refused(llama: Path, first: str, value: Any, second: str, other: Any) -> None:
    with damaged_config(llama, {first: value, second: other}) as folder:
        refused(lambda: read_facts(str(folder)))


@fuzzed(40, key=st.sampled_from(CONFIG_KEYS), value=junk)
def test_configs_are_loaded_or_refused(llama: Path, key: str, value: Any) -> None:
    with damaged_config(llama, {key: value}) as folder:
        refused(lambda: load(folder))


class damaged_config:  # noqa: N801 it is used as a function
    """The model with another config, as long as it is looked at; its weights stay the same file."""

    def __init__(self, folder: Path, changes: dict[str, Any]) -> None:
        self.file, self.folder = folder / "config.json", folder
        self.before = self.file.read_text()
        plain = json.loads(self.before) | changes
        self.after = json.dumps({str(key): value for key, value in plain.items()})

    def __enter__(self) -> Path:
        from compresslab.models import facts

        self.file.write_text(self.after)
        facts._facts.cache_clear()
        return self.folder

    def __exit__(self, *_: object) -> None:
        self.file.write_text(self.before)


ENTRY_KEYS = ["dtype", "shape", "data_offsets", ""]
ENTRY_JUNK = (*JUNK, [0, 8], [8, 0], [0, 1.5], [-8, 8], "F8_E4M3", "I64", "F32", [3, True], [0] * 40)


@fuzzed(150, key=st.sampled_from(ENTRY_KEYS), value=st.sampled_from(ENTRY_JUNK), place=st.integers(0, 30))
def test_headers_are_read_or_refused(llama: Path, tmp_path_factory: Any, key: str, value: Any, place: int) -> None:
    file = tmp_path_factory.mktemp("header") / WEIGHTS
    content = (llama / WEIGHTS).read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    name = sorted(header)[place % len(header)]
    header[name] = header[name] | {key: value} if key else value
    text = json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])
    if refused(lambda: read_header(file)):
        return
    if {entry.dtype for entry in read_header(file).tensors.values()} <= BITS.keys():
        load_file(file)  # what we take, the library takes


@pytest.mark.parametrize(
    "text", [b"[]", b"5", b"{", b"[" * 100_000, b'{"a": ' + b"1" * 5000 + b"}", b"\xff\xff", b"null"]
)
def test_a_header_that_is_no_header(model: Path, text: bytes) -> None:
    (model / WEIGHTS).write_bytes(len(text).to_bytes(8, "little") + text)
    assert "fetch the checkpoint again" in refused(lambda: read_facts(str(model)))


TOKENIZER_KEYS = ["version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor",
                  "decoder", "model"]  # fmt: skip


@fuzzed(60, key=st.sampled_from(TOKENIZER_KEYS), value=junk)
def test_tokenizers_are_read_or_refused(llama: Path, tmp_path_factory: Any, key: str, value: Any) -> None:
    folder = tmp_path_factory.mktemp("words")
    for file in llama.glob("*.json"):
        shutil.copyfile(file, folder / file.name)
    edit(folder / "tokenizer.json", **{key: value})
    refused(lambda: read_tokenizer(folder))


def test_a_panic_of_native_code_is_a_sentence_and_the_child_lives_on(model: Path) -> None:
    """Of pyo3 it is no Exception. It is made up here: no file that leads to one is kept."""

    class PanicError(BaseException):
        pass

    def panics(*_: Any, **__: Any) -> None:
        raise PanicError("index out of\nbounds")

    with pytest.raises(BadInput, match="index out of"), tokens.reading(load(model)):
        panics()

    class Broken:
        warm = staticmethod(panics)

    ended = outcome(Broken(), {"kind": "warm", "model": "storyteller"}, lambda event: None, lambda: False)  # type: ignore[arg-type]
    assert ended["state"] == "failed" and "PanicError" in str(Message.from_json(ended["error"]))


# -- damaged, or not quite as others -------------------------------------------------------------------------------

DAMAGES: dict[str, Callable[[Path], Any]] = {
    "architectures": lambda f: edit(f / "config.json", architectures=1),
    "model_type": lambda f: edit(f / "config.json", model_type=["llama"]),
    "deep": lambda f: (f / "config.json").write_text("[" * 100_000),
    "folder": lambda f: ((f / "config.json").unlink(), (f / "config.json").mkdir()),
    "digits": lambda f: (f / "config.json").write_text('{"model_type": ' + "1" * 5000 + "}"),
    "heads": lambda f: edit(f / "config.json", num_attention_heads=999),
    "header": lambda f: (f / WEIGHTS).write_bytes((2).to_bytes(8, "little") + b"[]"),
    "pipe": lambda f: ((f / "config.json").unlink(), os.mkfifo(f / "config.json")),
    "deeper": lambda f: edit(f / "config.json", num_hidden_layers=10**6),
    "wider": lambda f: edit(f / "config.json", intermediate_size=10**9),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_model_is_told_where_it_is_chosen_and_hides_no_other(model: Path, damage: str) -> None:
    DAMAGES[damage](model)
    workspace = Workspace()
    workspace.store.models_used = lambda: [str(model)]  # type: ignore[method-assign]
    assert "storyteller" in workspace.models.names()
    assert refused(lambda: workspace.models.facts(str(model)))


def test_a_link_out_of_the_folder_is_refused_and_one_within_is_not(model: Path, tmp_path: Path) -> None:
    (model / WEIGHTS).rename(model / "kept.bin")
    (model / WEIGHTS).symlink_to("kept.bin")
    assert read_facts(str(model)).layers == 3
    (tmp_path / "secret").write_text("secret")
    (model / "LICENSE").symlink_to(tmp_path / "secret")
    assert "LICENSE" in refused(lambda: read_facts(str(model)))


def test_null_quantization_is_none(model: Path) -> None:
    edit(model / "config.json", quantization_config=None)
    assert load(model).depth == 3


def test_tensors_without_a_place_are_left_out_with_a_word(model: Path) -> None:
    whole = load(model)
    extra = {"v_head.summary.weight": torch.zeros(1, 32), "model.extra.scale": torch.zeros(4)}
    extra |= {"model.layers.7.mlp.up_proj.weight": torch.zeros(52, 32), "counter": torch.zeros(1, dtype=torch.long)}
    save_file(load_file(model / WEIGHTS) | extra, model / WEIGHTS)
    os.utime(model / WEIGHTS, ns=(1, 1))
    found = load(model)
    assert set(found.facts.left_out) == set(extra)
    assert found.weights_hash() == whole.weights_hash() and found.facts.layers == 3
    edit(model / "config.json", num_hidden_layers=2)
    os.utime(model / WEIGHTS, ns=(2, 2))
    assert load(model).depth == read_facts(str(model)).layers == 2


def test_float64_is_read_as_float32_and_other_dtypes_are_refused(model: Path) -> None:
    tensors = load_file(model / WEIGHTS)
    save_file({name: tensor.double() for name, tensor in tensors.items()}, model / WEIGHTS)
    os.utime(model / WEIGHTS, ns=(1, 1))
    assert {weight.dtype for weight in read_facts(str(model)).weights} == {"F32"}
    assert load(model).stored["model.norm.weight"].dtype == torch.float32
    name = "model.layers.0.mlp.up_proj.weight"
    save_file(tensors | {name: tensors[name].to(torch.float8_e4m3fn)}, model / WEIGHTS)
    os.utime(model / WEIGHTS, ns=(2, 2))
    assert f"{name} as F8_E4M3" in refused(lambda: read_facts(str(model)))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_named(model: Path, value: float) -> None:
    tensors = load_file(model / WEIGHTS)
    tensors["model.layers.2.mlp.up_proj.weight"][3, 5] = value
    save_file(tensors, model / WEIGHTS)
    assert "model.layers.2.mlp.up_proj.weight of" in refused(lambda: load(model))


def test_large_values_are_numbers_though_their_sum_is_not(model: Path) -> None:
    tensors = {name: tensor.float() for name, tensor in load_file(model / WEIGHTS).items()}
    tensors["model.norm.weight"][:] = 3e38
    save_file(tensors, model / WEIGHTS)
    assert not refused(lambda: load(model))


# -- texts ---------------------------------------------------------------------------------------------------------


def test_a_token_that_the_embedding_has_no_row_for_is_named(model: Path) -> None:
    found = load(model)
    found.tokenizer.add_tokens(["<|im_end|>"], special_tokens=True)
    (ids,) = tokens.prompt_ids(found.tokenizer, ["Mia<|im_end|>"])
    with pytest.raises(BadInput, match=r"'<\|im_end\|>' \(number 320\).* only 320 rows"):
        tokens.check_known(ids, found)
    tokens.check_known(ids[:-1], found)


def test_a_prompt_is_not_ended_by_what_the_tokenizer_appends() -> None:
    words = tokenizer()
    plain = words("Mia had").input_ids
    words.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{SEPARATOR} $A {SEPARATOR}", special_tokens=[(SEPARATOR, 0)]
    )
    assert words("Mia had").input_ids == [0, *plain, 0]
    assert tokens.prompt_ids(words, ["Mia had", f"Mia had{SEPARATOR}"]) == [[0, *plain], [0, *plain, 0]]
    question = encode_question(words, Question("Mia had", (" red", " blue"), 0), 32)
    assert question.prompt == (0, *plain) and all(0 not in choice for choice in question.choices)


def test_choices_longer_than_the_context_are_refused() -> None:
    with pytest.raises(BadInput, match=r"A choice .* has \d+ tokens, and the model reads at most 32"):
        encode_question(tokenizer(), Question("Mia had", (" red", " blue" * 60), 0), 32)


@pytest.mark.parametrize("text", [SEPARATOR, f"{SEPARATOR}\n{SEPARATOR}\n"])
def test_a_text_of_separators_has_no_tokens(text: str) -> None:
    assert tokens.tokenize(tokenizer(), text) == []


# -- norms without weights -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["quantize_awq", "quantize_smooth"])
def test_norms_without_weights_work_everywhere(tmp_path: Path, tiny_texts: tuple[Path, Path], method: str) -> None:
    """OPT without affine norms, as Galactica has them."""
    folder, session = tmp_path / "galactica", Session()
    torch.manual_seed(0)
    config = config_of(FAMILIES["opt"], enable_bias=False, layer_norm_elementwise_affine=False)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    calibration = {"text": str(tiny_texts[0]), "samples": 16, "sequence_length": 32}
    recipe = Recipe.from_dict({"model": str(folder), "steps": [method], "calibration": calibration, "device": "cpu"})
    compressed, _ = session.compress(recipe, silent_job())
    for runtime in (TorchRuntime(compressed), session.runtimes.onnx(session.baseline(recipe))):
        assert bool(torch.isfinite(runtime.logits(torch.arange(8)[None])).all())
