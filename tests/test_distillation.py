"""Distillation: what is learned, from whom, and what must stay as it is."""

import pytest
import torch
import torch.nn.functional as F
from compresslab.engine.job import Job
from compresslab.engine.progress import Tracker
from compresslab.engine.session import Session
from compresslab.engine.solvers.rounding import QuantizedWeight
from compresslab.engine.steps import teacher as teaching
from compresslab.errors import BadInput, Cancelled
from compresslab.records.events import Loss

FULL = {"steps": 25, "batch": 8, "learning_rate": 2e-3, "kd_weight": 1.0, "temperature": 1.0}


@pytest.fixture(scope="module")
def session():
    return Session()


def compressed(session, recipe, events=None, cancelled=lambda: False):
    job = Job(events.append if events is not None else lambda event: None, cancelled, Tracker({}, lambda event: None))
    return session.compress(recipe, job)[0], job


def divergence(session, recipe, model):
    """KL of the baseline to the model on the calibration text."""
    baseline = session.baseline(recipe)
    batch = session.calibration(recipe, baseline, compressed(session, recipe.replace(steps=()))[1])
    with torch.no_grad():
        wanted = baseline.module(batch).logits.log_softmax(-1)
        said = model.module(batch).logits.log_softmax(-1)
    return float(F.kl_div(said.flatten(0, 1), wanted.flatten(0, 1), reduction="batchmean", log_target=True))


BEFORE = [
    {"quantize_rtn": {"bits": 2, "group_size": 16}},
    {"quantize_gptq": {"bits": 2, "group_size": 0, "symmetric": False, "embedding_bits": 2, "search": False}},
    {"prune_magnitude": {"sparsity": 0.7}},
    {"prune_channels": {"mlp": 0.7, "round_to": 4, "importance": "magnitude", "repair": False}},
    {"prune_layers": {"layers": 1}},
]


@pytest.mark.parametrize("settings", [{}, {"train": "low rank"}, {"top_k": 0}, {"weight_decay": 0.1}], ids=str)
@pytest.mark.parametrize("before", BEFORE, ids=lambda step: next(iter(step)))
def test_the_student_comes_nearer_to_its_teacher(session, tiny_recipe, before, settings):
    recipe = tiny_recipe("llama", before)
    harmed, _ = compressed(session, recipe)
    mended_recipe = tiny_recipe("llama", before, {"distill_logits": FULL | settings})
    mended, _ = compressed(session, mended_recipe)
    assert divergence(session, recipe, mended) < divergence(session, recipe, harmed)


@pytest.mark.parametrize("method", ["distill_logits", "distill_layers"])
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_rounded_weights_stay_on_their_grids_and_zeros_stay(session, tiny_recipe, family, method):
    steps = [
        {"prune_wanda": {"n_of_m": "2:4"}},
        {"quantize_rtn": {"bits": 2, "group_size": 16, "symmetric": False}},
        {method: FULL | {"learning_rate": 1e-2}},  # enough for a code of 2 bits to move, whatever the random model is
    ]
    before, _ = compressed(session, tiny_recipe(family, *steps[:2]))
    model, _ = compressed(session, tiny_recipe(family, *steps))
    changed = 0
    for name in model.linear_names():
        stored, old = model.stored[name], before.stored[name]
        assert isinstance(stored, QuantizedWeight) and stored.grid == old.grid
        assert torch.equal(stored.parameters["zeros"], old.parameters["zeros"])
        assert bool((model.weight(name)[model.masks[name]] == 0).all())
        assert torch.equal(model.masks[name], before.masks[name])
        changed += int((stored.codes != old.codes).sum())
    assert changed > 0


def test_nothing_learned_is_nothing_moved(session, tiny_recipe):
    """A learning rate of almost nothing gives back the very codes that it began with."""
    steps = [{"quantize_gptq": {"bits": 3, "group_size": 16}}, {"distill_logits": FULL | {"learning_rate": 1e-6}}]
    before, _ = compressed(session, tiny_recipe("llama", *steps[:1]))
    model, _ = compressed(session, tiny_recipe("llama", *steps))
    same = [(model.stored[name].codes == before.stored[name].codes).float().mean() for name in model.linear_names()]
    assert min(same) > 0.99


@pytest.mark.parametrize(("train", "moves"), [("low rank", "linear"), ("norms", "other")])
def test_only_what_shall_learn_learns(session, tiny_recipe, train, moves):
    recipe = tiny_recipe("llama", {"distill_logits": FULL | {"train": train, "student_layers": 2}})
    model, _ = compressed(session, recipe)
    start, _ = compressed(session, tiny_recipe("llama", {"distill_logits": {"steps": 0, "student_layers": 2}}))
    moved = {model.weights[n].role for n in model.stored if not torch.equal(model.weight(n), start.weight(n))}
    assert moved == {moves}


def test_remembered_choices_give_the_divergence_that_was_asked_for(session, tiny_recipe):
    recipe = tiny_recipe("llama")
    baseline, job = session.baseline(recipe), compressed(session, recipe)[1]
    sequences = session.calibration(recipe, baseline, job)[:4]
    logits = torch.randn(4 * (sequences.shape[1] - 1), baseline.facts.vocab_size, generator=torch.manual_seed(1))
    with torch.no_grad():
        wanted = (baseline.module(sequences).logits[:, :-1].flatten(0, 1) / 2).log_softmax(-1)
    exact = F.kl_div((logits / 2).log_softmax(-1), wanted, reduction="batchmean", log_target=True)
    gaps = []
    for k in (4, 64, baseline.facts.vocab_size):
        known = teaching.opinions(baseline, sequences, k, 2.0, lambda share: None)
        found = known.divergence(torch.arange(4), logits, 2.0)
        assert found <= exact + 1e-2  # tokens counted as one can only hide a difference
        gaps.append(float(exact - found))
    assert gaps[0] > gaps[1] > gaps[2] and gaps[2] < 0.05 * float(exact)


def test_a_second_run_does_not_ask_the_teacher_again(session, tiny_recipe, monkeypatch):
    compressed(session, tiny_recipe("llama", {"distill_logits": FULL}))

    def refuse(*_arguments):
        raise AssertionError("the teacher was asked again")

    monkeypatch.setattr(teaching, "opinions", refuse)
    compressed(session, tiny_recipe("llama", {"distill_logits": FULL | {"learning_rate": 1e-3}}))


def test_it_can_learn_from_what_the_teacher_writes(session, tiny_recipe):
    steps = [{"prune_layers": {"layers": 1}}, {"distill_logits": FULL | {"text": "teacher"}}]
    model, job = compressed(session, tiny_recipe("llama", *steps))
    harmed, _ = compressed(session, tiny_recipe("llama", *steps[:1]))
    recipe = tiny_recipe("llama")
    assert divergence(session, recipe, model) < divergence(session, recipe, harmed)
    assert any(said.code == "train.own_texts" for said in job.remembered)


def test_what_the_teacher_writes_is_the_same_for_a_seed(session, tiny_recipe):
    baseline = session.baseline(tiny_recipe("llama"))
    first, again, other = (teaching.written(baseline, 3, 20, seed, lambda share: None) for seed in (1, 1, 2))
    assert first.shape == (3, 20) and torch.equal(first, again) and not torch.equal(first, other)


def test_plain_attention_is_for_the_training_alone(session, tiny_recipe):
    recipe = tiny_recipe("llama", {"distill_layers": {"steps": 2, "batch": 2, "attention_share": 1.0}})
    baseline = session.baseline(recipe)
    before = baseline.module.config._attn_implementation
    model, _ = compressed(session, recipe)
    assert model.module.config._attn_implementation == baseline.module.config._attn_implementation == before


def test_the_loss_is_told_and_falls(session, tiny_recipe):
    events = []
    recipe = tiny_recipe(
        "llama", {"prune_magnitude": {"sparsity": 0.8}}, {"distill_logits": FULL | {"steps": 20}}, seed=9
    )
    compressed(session, recipe, events)
    losses = [event.loss for event in events if isinstance(event, Loss)]
    assert losses[-1] < 0.8 * losses[0]


def test_training_stops_between_steps(session, tiny_recipe):
    calls = []

    def cancelled():
        calls.append(1)
        return len(calls) > 30

    with pytest.raises(Cancelled):
        compressed(session, tiny_recipe("llama", {"distill_logits": {"steps": 5000}}), cancelled=cancelled)
    assert len(calls) < 40


def test_a_model_without_norms_to_train_says_so(session, tiny_recipe, monkeypatch):
    from compresslab.engine.steps import student

    monkeypatch.setattr(student.Student, "parameters", [])
    with pytest.raises(BadInput, match="nothing to train"):
        compressed(session, tiny_recipe("llama", {"distill_logits": {"steps": 2, "train": "norms"}}))
