"""Heads and embeddings that are one table or several: as plain transformers has it, whatever config.json says."""

import json

import pytest
import torch
from compresslab.engine.models.checkpoint import load_baseline
from compresslab.engine.models.device import Choice
from compresslab.engine.models.packing import load_packed, write_folder
from compresslab.errors import BadInput
from compresslab.models.facts import model_name, read_facts
from compresslab.models.families import FAMILIES
from compresslab.models.source import WEIGHTS
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from tests.tiny_models import CONFIGS, configs, write_checkpoint

IDS = torch.arange(24).view(1, 24)
WRITERS = [*CONFIGS, *configs("seq2seq")]
CPU = Choice(torch.device("cpu"), torch.float32, "", "")


class Checkpoint:
    """A tiny model whose tables of tokens are put there anew."""

    def __init__(self, folder, family):
        self.folder, self._folder = write_checkpoint(folder, family), str(folder)
        config = json.loads((folder / "config.json").read_text())
        body = FAMILIES[config["model_type"]].anatomy
        self.embedding, self.head, self.copies = f"{body.embedding}.weight", f"{body.head}.weight", body.copies
        own = load_file(folder / WEIGHTS)
        shared = (self.head, *self.copies)
        self._others = {key: value for key, value in own.items() if model_name(key, body) not in shared}
        self.task, self.values = body.task, self._others[self.embedding]

    def write(self, *, tied, **tables):
        """Tables by their names; what is not named is not in the file."""
        named = {getattr(self, name): table for name, table in tables.items() if name != "copies"}
        named |= dict.fromkeys(self.copies, tables["copies"]) if "copies" in tables else {}
        kept = {key: value for key, value in self._others.items() if key != self.embedding}
        whole = {key: value.clone() for key, value in (kept | named).items()}
        save_file(whole, self.folder / WEIGHTS, metadata={"format": "pt"})
        config = json.loads((self.folder / "config.json").read_text()) | {"tie_word_embeddings": tied}
        (self.folder / "config.json").write_text(json.dumps(config))

    def other(self):
        return torch.randn(self.values.shape, generator=torch.Generator().manual_seed(1)).to(self.values.dtype)

    def is_as_transformers_has_it(self):
        """Logits to the bit, and as many numbers; returns our model."""
        auto = AutoModelForCausalLM if self.task == "causal" else AutoModelForSeq2SeqLM
        theirs, info = auto.from_pretrained(self.folder, dtype=torch.float32, output_loading_info=True)
        assert not info["missing_keys"]
        ours = load_baseline(self._folder, CPU)
        assert torch.equal(logits(ours.module, self.task), logits(theirs.eval(), self.task))
        assert (
            numbers(ours.module)
            == numbers(theirs)
            == sum(weight.count for weight in ours.facts.weights) + buffers(ours)
        )
        return ours


def logits(module, task):
    both = {"input_ids": IDS} if task == "causal" else {"input_ids": IDS, "decoder_input_ids": IDS}
    with torch.no_grad():
        return module(**both).logits


def numbers(module):
    return sum(parameter.numel() for parameter in module.parameters())


def buffers(model):
    """Weights of the file that the module does not train."""
    names = {name for name, _ in model.module.named_buffers()}
    return -sum(weight.count for weight in model.facts.weights if weight.name in names)


@pytest.fixture
def checkpoint(family, tmp_path):
    return Checkpoint(tmp_path / "model", family)


every_writer = pytest.mark.parametrize("family", WRITERS)
encoder_decoders = pytest.mark.parametrize("family", ["t5", "bart"])


@every_writer
def test_a_head_of_its_own_is_kept_though_the_config_says_tied(checkpoint, tmp_path):
    checkpoint.write(tied=True, embedding=checkpoint.values, head=checkpoint.other())
    model = checkpoint.is_as_transformers_has_it()
    assert not model.facts.tied and torch.equal(model.weight(checkpoint.head), checkpoint.other().float())
    write_folder(model, tmp_path)
    again = load_packed(tmp_path, model.facts, CPU)
    assert torch.equal(logits(again.module, checkpoint.task), logits(model.module, checkpoint.task))
    said = json.loads((tmp_path / "config.json").read_text())["tie_word_embeddings"]
    assert said is (checkpoint.task != "causal")  # there, it is about the embeddings of the two stacks as well


@every_writer
def test_a_head_that_is_the_embedding_once_more_stays_tied(checkpoint):
    checkpoint.write(tied=True, embedding=checkpoint.values, head=checkpoint.values)
    model = checkpoint.is_as_transformers_has_it()
    assert model.facts.tied and checkpoint.head not in model.stored


@every_writer
def test_the_head_stands_in_for_an_embedding_that_no_file_holds(checkpoint):
    checkpoint.write(tied=True, head=checkpoint.values)
    model = checkpoint.is_as_transformers_has_it()
    assert model.facts.tied and torch.equal(model.weight(checkpoint.embedding), checkpoint.values.float())


@pytest.mark.parametrize("family", ["llama", "gpt2", "phi"])
def test_equal_tables_of_a_config_that_says_untied_are_two(checkpoint):
    checkpoint.write(tied=False, embedding=checkpoint.values, head=checkpoint.values)
    model = checkpoint.is_as_transformers_has_it()
    assert not model.facts.tied and {checkpoint.embedding, checkpoint.head} <= set(model.stored)


@pytest.mark.parametrize("family", ["llama", "gpt2", "bart"])
def test_a_head_that_nobody_has_is_missed(checkpoint):
    checkpoint.write(tied=False, embedding=checkpoint.values, copies=checkpoint.values)
    with pytest.raises(BadInput, match=f"says that {checkpoint.head} is not shared with") as refused:
        read_facts(str(checkpoint.folder))
    assert refused.value.code == "model.table_missing"


@pytest.mark.parametrize("family", ["t5", "t5 gated"])
def test_t5_means_something_else_by_that_word(checkpoint):
    checkpoint.write(tied=False, embedding=checkpoint.values)
    assert checkpoint.is_as_transformers_has_it().facts.tied


@encoder_decoders
def test_embeddings_of_the_stacks_are_kept_where_they_differ(checkpoint):
    checkpoint.write(tied=True, embedding=checkpoint.values, copies=checkpoint.other())
    model = checkpoint.is_as_transformers_has_it()
    assert {weight.role for weight in model.facts.weights if weight.name in checkpoint.copies} == {"embedding"}
    before = logits(model.module, checkpoint.task)
    model.settle({checkpoint.embedding: torch.zeros_like(checkpoint.values)})
    assert model.weight(checkpoint.copies[0]).any()
    assert not torch.equal(logits(model.module, checkpoint.task), before)  # of the head, which is tied to it still


@encoder_decoders
def test_equal_ones_are_one_table(checkpoint):
    checkpoint.write(tied=True, embedding=checkpoint.values, copies=checkpoint.values, head=checkpoint.values)
    model = checkpoint.is_as_transformers_has_it()
    assert not {checkpoint.head, *checkpoint.copies} & set(model.stored)


@pytest.mark.parametrize("family", ["llama"])
def test_tables_that_one_dtype_makes_equal_stay_two(checkpoint):
    near = checkpoint.values.float() * (1 + 2**-11)
    checkpoint.write(tied=True, embedding=checkpoint.values.float(), head=near)
    model = load_baseline(str(checkpoint.folder), Choice(torch.device("cpu"), torch.bfloat16, "", ""))
    head, embedding = (model.module.get_parameter(name) for name in (checkpoint.head, checkpoint.embedding))
    assert torch.equal(model.stored[checkpoint.head], near) and head is not embedding
