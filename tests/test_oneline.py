"""One-line use from Python: every verb gives a new model and leaves its argument alone."""

import compresslab
import pytest
from compresslab.engine.models.packing import load_packed
from compresslab.engine.session import shared_session
from compresslab.errors import BadInput
from compresslab.recipes.generation_request import Decoding
from compresslab.recipes.recipe import Recipe


@pytest.fixture
def model(tiny_folders):
    return str(tiny_folders["llama"])


def test_each_verb_takes_what_another_gave(model):
    pruned = compresslab.prune(model, sparsity=0.5)
    before = pruned.weights_hash()
    small = compresslab.quantize(pruned, bits=4, group_size=16)
    assert pruned.weights_hash() == before != small.weights_hash()
    assert pruned.sparsity() == small.sparsity() == pytest.approx(0.5, abs=0.001)
    assert small.reports()[1].bits == 4


def test_distill_moves_the_student_towards_its_teacher(model, tiny_recipe):
    recipe = tiny_recipe("llama", metrics=["agreement"])
    pruned = compresslab.prune(model, sparsity=0.7)
    student = compresslab.distill(model, pruned, steps=20, batch=4, learning_rate=0.003, kd_weight=1.0, top_k=0)
    assert student.sparsity() == pruned.sparsity()
    far, near = (_kl(compresslab.evaluate(m, recipe)) for m in (pruned, student))
    assert near < 0.9 * far


def _kl(measurements):
    return next(m.value for m in measurements if m.metric == "kl_divergence")


def test_distill_without_a_student_makes_a_shallower_one(model):
    student = compresslab.distill(model, steps=1, batch=2, student_layers=2)
    assert student.depth == 2


def test_evaluate_a_baseline_is_the_baseline_twice(model, tiny_recipe):
    found = compresslab.evaluate(model, tiny_recipe("llama", metrics=["perplexity"]))
    assert {m.variant for m in found} == {"baseline", "compressed"}
    assert len({m.value for m in found}) == 1


def test_evaluate_keeps_the_models_own_baseline(model, tiny_recipe):
    recipe = tiny_recipe("gpt2", metrics=["footprint"])
    found = compresslab.evaluate(compresslab.prune(model, sparsity=0.5), recipe)
    sizes = {m.variant: m.value for m in found if m.metric == "size_on_disk_bytes"}
    assert sizes["compressed"] < sizes["baseline"]


def test_generate_and_save(model, tmp_path):
    small = compresslab.quantize(model, bits=4)
    text = compresslab.generate(small, "Mia had a", Decoding(max_new_tokens=5))
    assert text == compresslab.generate(small, "Mia had a", Decoding(max_new_tokens=5))
    compresslab.save(small, tmp_path / "small")
    choice = shared_session().choice(Recipe(model=model))
    again = load_packed(tmp_path / "small", small.facts, choice)
    assert again.weights_hash() == small.weights_hash()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda m: compresslab.prune(m, sparsity=1.5), "sparsity is 1.5; it takes a number from 0 to 0.95"),
        (lambda m: compresslab.quantize(m, bits=4, rounding="up"), "no setting 'rounding'"),
        (lambda m: compresslab.prune("/no/model", sparsity=0.5), "no folder /no/model"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(model, call, says):
    with pytest.raises(BadInput, match=says):
        call(model)


def test_teacher_and_student_must_share_a_vocabulary(model, tmp_path):
    from transformers import AutoModelForCausalLM

    from tests.tiny_models import CONFIGS, tokenizer

    other = AutoModelForCausalLM.from_config(CONFIGS["llama"](vocab_size=400))
    other.save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    with pytest.raises(BadInput, match="share a vocabulary, and theirs have 320 and 400"):
        compresslab.distill(model, str(tmp_path), steps=1)


def test_other_methods_go_by_the_end_of_their_name():
    assert compresslab.prune("storyteller", method="layers", layers=2).depth == 6
    with pytest.raises(BadInput, match="'magic' to quantize with; there are rtn"):
        compresslab.quantize("storyteller", method="magic")
