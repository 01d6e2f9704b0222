"""Metrics against plain loops with transformers, and error bars that mean something."""

import json
import math

import numpy as np
import pytest
import torch
from compresslab.data.texts import SEPARATOR, Question, evaluation_questions
from compresslab.engine.measuring import timing
from compresslab.engine.measuring.measurements import accuracies, divergences, flips, log_ratio, median, perplexities
from compresslab.engine.measuring.scores import QuestionScores, Shared, TokenScores, encode_question
from compresslab.engine.models.tokens import tokenize
from compresslab.engine.session import Session
from compresslab.errors import BadInput
from compresslab.recipes.recipe import Recipe
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.tiny_models import FAMILIES, stories, tokenizer

QUALITY = ["perplexity", "accuracy", "agreement"]
SLIGHTLY = {"quantize_rtn": {"bits": 6, "group_size": 16}}
HARD = {"prune_magnitude": {"sparsity": 0.6}}


@pytest.fixture(scope="module")
def session():
    return Session()


def run(session, recipe, stage="draft", report=lambda event: None):
    return session.run(recipe, run_id="test", stage=stage, report=report, cancelled=lambda: False)


def plain_model(recipe):
    return AutoModelForCausalLM.from_pretrained(recipe.model, dtype=torch.float32)


# -- against plain loops ------------------------------------------------------------------


def plain_perplexity(recipe, text):
    """GPTQ's protocol, window by window."""
    model, words = plain_model(recipe), AutoTokenizer.from_pretrained(recipe.model)
    length = recipe.evaluation.context_length
    ids = []
    for story in text.split(SEPARATOR):
        ids += [words.bos_token_id, *words(story, add_special_tokens=False).input_ids]
    ids = ids[: recipe.evaluation.max_tokens]
    losses = []
    for start in range(0, len(ids) // length * length, length):
        window = torch.tensor([ids[start : start + length]])
        losses.append(model(window, labels=window).loss.item())
    return math.exp(sum(losses) / len(losses))


@pytest.mark.parametrize("family", FAMILIES)
def test_perplexity_is_that_of_a_plain_loop(session, tiny_recipe, tiny_texts, family):
    recipe = tiny_recipe(family, metrics=["perplexity"])
    found = run(session, recipe, "final").find("perplexity", "baseline")
    assert found.value == pytest.approx(plain_perplexity(recipe, tiny_texts[0].read_text()), rel=1e-5)
    assert str(found.dataset) == "stories.txt, context 32"
    assert found.samples == 2048 // 32 * 31


def plain_scores(model, words, question):
    """Each choice by itself: the log-likelihood of its tokens after the prompt."""
    start = words(question.prompt).input_ids
    scores = []
    for choice in question.choices:
        ids = words(question.prompt + choice).input_ids
        assert ids[: len(start)] == start
        logits = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        scores.append(sum(logits[place - 1, ids[place]].item() for place in range(len(start), len(ids))))
    return scores


@pytest.mark.parametrize("family", FAMILIES)
def test_accuracy_is_that_of_a_plain_loop(session, tiny_recipe, family):
    recipe = tiny_recipe(family, metrics=["accuracy"])
    model, words = plain_model(recipe), AutoTokenizer.from_pretrained(recipe.model)
    right = [
        int(np.argmax(plain_scores(model, words, question))) == question.answer
        for question in evaluation_questions(recipe.evaluation.questions)
    ]
    found = run(session, recipe, "final").find("accuracy", "baseline")
    assert found.value == pytest.approx(sum(right) / len(right))
    assert found.samples == len(right) == 40
    assert set(found.by_kind) == {"color", "hue"}


@pytest.mark.parametrize("family", ["llama", "gemma2", "opt narrow"])
def test_choices_of_many_tokens_are_scored_whole(session, tiny_recipe, family):
    from compresslab.engine.measuring.scores import choice_scores

    recipe = tiny_recipe(family)
    model, words = plain_model(recipe), AutoTokenizer.from_pretrained(recipe.model)
    questions = [
        Question("Mia had a red", (" kite", " boat and a hat", " boat and", " zebra"), 0),
        Question("Tom saw", (" the green ball in the evening", " Xylophones!"), 1),
    ]
    encoded = [encode_question(words, question, 64) for question in questions]
    assert any(len(choice) > 3 for question in encoded for choice in question.choices)
    found = choice_scores(session.baseline(recipe), encoded)
    for question, scores in zip(questions, found, strict=True):
        assert scores == pytest.approx(plain_scores(model, words, question), rel=1e-4)


def test_a_choice_that_melts_into_the_prompt_is_scored_from_where_they_differ():
    question = Question("Mia had a ki", ("te", "ng"), 0)  # " kite" is one token
    encoded = encode_question(tokenizer(), question, 64)
    words = tokenizer()
    assert words.decode(encoded.prompt) == "Mia had a"
    assert [words.decode(choice) for choice in encoded.choices] == [" kite", " king"]


def test_a_prompt_that_is_too_long_loses_its_beginning():
    question = Question(" ".join(stories(20)) + " The end was", (" red", " blue"), 0)
    encoded = encode_question(tokenizer(), question, 32)
    assert encoded.cut
    assert len(encoded.prompt) + max(map(len, encoded.choices)) == 32
    assert tokenizer().decode(encoded.prompt).endswith(" The end was")


# -- agreement and pairing ------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_agrees_with_itself_entirely(session, tiny_recipe, family):
    record = run(session, tiny_recipe(family, metrics=QUALITY), "final")
    assert record.find("kl_divergence").value == 0.0
    assert record.find("top1_agreement").value == 1.0
    assert record.find("flipped_answers").value == 0.0
    perplexity = record.find("perplexity")
    assert (perplexity.change, perplexity.change_error) == (0.0, 0.0)
    assert perplexity.value == record.find("perplexity", "baseline").value


def test_agreement_is_that_of_a_plain_loop(session, tiny_recipe):
    from compresslab.engine.job import Job
    from compresslab.engine.progress import Tracker

    recipe = tiny_recipe("llama", HARD, metrics=["agreement"])
    record = run(session, recipe, "final")
    quiet = Job(lambda event: None, lambda: False, Tracker({}, lambda event: None))
    before, after = session.baseline(recipe), session.compress(recipe, quiet)[0]
    windows, _ = session.evaluation_windows(recipe, before, quiet)
    p = before.module(windows).logits[:, :-1].double().log_softmax(-1)
    q = after.module(windows).logits[:, :-1].double().log_softmax(-1)
    assert record.find("kl_divergence").value == pytest.approx(((p.exp() * (p - q)).sum(-1)).mean().item(), rel=1e-4)
    same = (p.argmax(-1) == q.argmax(-1)).double().mean().item()
    assert record.find("top1_agreement").value == pytest.approx(same, abs=2e-3)


def test_the_paired_error_is_far_smaller_than_two_separate_ones(session, tiny_recipe):
    record = run(session, tiny_recipe("llama", SLIGHTLY, metrics=["perplexity"]), "final")
    baseline, compressed = record.find("perplexity", "baseline"), record.find("perplexity")
    assert compressed.change == pytest.approx(100 * (compressed.value / baseline.value - 1), rel=1e-6)
    separate = 100 * math.hypot(baseline.error, compressed.error) / baseline.value
    assert 0 < compressed.change_error < separate / 5


def test_errors_cover_the_truth_about_as_often_as_they_claim():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        shift = rng.normal(0, 0.3, 64)  # tokens of one window move together
        nll = (2.0 + shift + rng.normal(0, 0.05, 64)) * 31
        scores = TokenScores("t", np.full(64, 31), nll, nll, np.zeros(64), np.zeros(64))
        found = perplexities(scores)[0]
        hits += abs(found.value - math.exp(2.0)) <= found.error
    assert 0.6 < hits / 400 < 0.76  # one standard error: 68 %


def test_the_interval_of_a_first_draft_with_few_windows_is_wide_enough():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(2000):
        lost = rng.normal(0.1, 0.3, 6) * 31
        scores = TokenScores("t", np.full(6, 31), lost * 0, lost, np.zeros(6), np.zeros(6))
        ratio, error = log_ratio(scores)
        hits += abs(ratio - 0.1) <= 1.96 * error
    assert 0.935 < hits / 2000 < 0.965  # the plain standard error would hold it in 89 %


def answers(right, before, after):
    return QuestionScores("q", np.array(right), np.array(before), np.array(after), ("",) * len(right))


def test_flips_count_every_changed_answer_and_accuracy_its_balance():
    scores = answers([0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 2, 1])
    baseline, compressed = accuracies(scores)
    assert (baseline.value, compressed.value, compressed.change) == (0.5, 0.5, 0.0)
    assert compressed.change_error == pytest.approx(math.sqrt(2) / 4)  # one gained, one lost
    (flipped,) = flips(scores)
    assert flipped.value == 0.75


def test_all_right_still_has_an_error():
    (baseline, _) = accuracies(answers([1] * 50, [1] * 50, [1] * 50))
    assert baseline.value == 1.0 and 0 < baseline.error < 0.02


def test_a_broken_model_still_has_finite_numbers():
    nll = np.full(4, 1e6)
    scores = TokenScores("t", np.full(4, 31), nll / 1e5, nll, nll, np.zeros(4))
    for found in [*perplexities(scores), *divergences(scores)]:
        assert math.isfinite(found.value)
        assert found.change is None or math.isfinite(found.change)


def test_median_and_its_error():
    assert median([5.0]) == (5.0, None)
    middle, error = median([1.0, 2.0, 3.0, 4.0, 100.0])
    assert middle == 3.0 and 0 < error < 1.5


# -- footprint and speed ------------------------------------------------------------------


def test_footprint_says_what_was_written_and_held(session, tiny_recipe):
    recipe = tiny_recipe("gpt2", {"quantize_rtn": {"bits": 4}}, HARD, metrics=["footprint"])
    draft, final = run(session, recipe, "draft"), run(session, recipe, "final")
    for variant in ("baseline", "compressed"):
        assert draft.find("size_on_disk_bytes", variant).value == final.find("size_on_disk_bytes", variant).value
        held = final.find("weight_memory_bytes", variant).value
        assert held == session.baseline(recipe).facts.parameters * 4
        assert final.find("peak_memory_bytes", variant).value >= held
        assert "window" in str(final.find("peak_memory_bytes", variant).note)
    assert final.find("size_on_disk_bytes").value < final.find("size_on_disk_bytes", "baseline").value
    assert final.find("sparsity").value == pytest.approx(0.6, abs=0.001)
    assert final.find("sparsity", "baseline").value == 0


def test_peak_memory_sees_what_a_window_needs(tmp_path):
    from compresslab.engine.measuring.footprint import peak_bytes

    from tests.tiny_models import CONFIGS

    config = CONFIGS["llama"](vocab_size=16_000, max_position_embeddings=1024, tie_word_embeddings=False)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    model = Session().baseline(Recipe(model=str(tmp_path), device="cpu", dtype="float32"))
    logits_bytes = 1024 * 16_000 * 4
    peak, _ = peak_bytes(model, torch.zeros(1, 1024, dtype=torch.long))
    assert peak - model.memory_bytes > 0.9 * logits_bytes


def test_speed_is_timed_beside_the_baseline(session, tiny_recipe):
    speed = {"speed": {"repeats": 3, "prompt_tokens": 16, "new_tokens": 4}}
    drafts = []
    recipe = tiny_recipe("llama", HARD, metrics=[speed])
    record = run(session, recipe, "final", lambda event: drafts.append(event) if event.kind == "draft" else None)
    assert len(drafts) == 3
    for variant, kernel in (("baseline", "real"), ("compressed", "simulated")):
        ttft = record.find("ttft_seconds", variant)
        assert ttft.samples == 3 and ttft.value > 0 and ttft.kernel == kernel
        assert record.find("decode_tokens_per_second", variant).value > 0
        assert record.find("prefill_tokens_per_second", variant).value == pytest.approx(16 / ttft.value, rel=0.5)
    assert "no CPU kernel skips them" in str(record.find("ttft_seconds").note)


def test_a_shallower_model_is_a_real_change_of_kernel(session, tiny_recipe):
    speed = {"speed": {"repeats": 2, "prompt_tokens": 16, "new_tokens": 4}}
    recipe = tiny_recipe("llama", {"distill_logits": {"steps": 0, "student_layers": 1}}, metrics=[speed])
    assert run(session, recipe, "final").find("ttft_seconds").kernel == "real"


def test_speed_is_left_out_of_a_draft(session, tiny_recipe):
    record = run(session, tiny_recipe("llama", metrics=["speed", "perplexity"]), "draft")
    assert {m.metric for m in record.measurements} == {"perplexity"}


# -- texts ----------------------------------------------------------------------------------


def test_a_text_that_is_too_short_says_how_much_is_missing(session, tiny_recipe, tmp_path):
    text = tmp_path / "short.txt"
    text.write_text("Mia had a kite.")
    recipe = tiny_recipe("llama", metrics=["perplexity"]).assign(f"evaluation.text={text}")
    with pytest.raises(BadInput, match=r"short.txt has \d+ tokens, and one window needs 32"):
        run(session, recipe)


def test_a_context_longer_than_the_models_is_cut_with_a_notice(session, tiny_recipe):
    record = run(session, tiny_recipe("llama", metrics=["perplexity"]).assign("evaluation.context_length=4096"))
    assert str(record.find("perplexity").dataset) == "stories.txt, context 64"
    assert any("4096 exceeds the model's context" in str(notice) for notice in record.notices)


def test_documents_begin_with_the_tokenizers_own_token():
    words = tokenizer()
    ids = tokenize(words, SEPARATOR.join(["Mia", "Tom"]))
    assert ids == [0, *words("Mia").input_ids, 0, *words("Tom").input_ids]
    assert tokenize(words, "Mia Tom") == words("Mia Tom").input_ids


def test_readers_of_one_source_compute_it_once():
    computed = []

    def source():
        for n in range(3):
            computed.append(n)
            yield n

    shared = Shared(source(), lambda n: (n + 1) / 3)
    pairs = list(zip(shared, shared, strict=True))
    assert pairs == [(0, 0), (1, 1), (2, 2)]
    assert computed == [0, 1, 2] and shared.done == 1.0


def test_questions_of_the_users_own(session, tiny_recipe, tmp_path):
    own = tmp_path / "own.jsonl"
    lines = [{"prompt": f"{n} Mia saw", "choices": [" the", " a"], "answer": 0} for n in range(12)]
    own.write_text("\n".join(json.dumps(line) for line in lines))
    record = run(session, tiny_recipe("llama", metrics=["accuracy"]).assign(f"evaluation.questions={own}"), "final")
    found = record.find("accuracy")
    assert (str(found.dataset), found.samples, found.by_kind) == ("own.jsonl", 12, None)


# -- others beside a race --------------------------------------------------------------------


def test_others_are_watched_during_the_rounds(monkeypatch):
    clock = [0.0, 0.0]  # by the wall, and of cores by others
    monkeypatch.setattr(timing, "_cpu_seconds", lambda: tuple(clock))
    monkeypatch.setattr(timing.psutil, "cpu_count", lambda: 4)
    others = timing.Others()
    for seconds, share, busy in ((1.0, 0.1, False), (0.1, 4.0, False), (1.0, 1.5, True), (1.0, 0.0, True)):
        clock[0] += seconds
        clock[1] += seconds * share
        assert others.look() == busy


@pytest.mark.parametrize(("began", "count"), [(10**9, 0), (2, 1), (0, 1)], ids=["after it", "during it", "before it"])
def test_a_race_beside_other_work_says_so(session, tiny_recipe, monkeypatch, began, count):
    looks = iter(range(10_000))

    def cpu_seconds():
        look = next(looks)
        return 10.0 * look, 1000.0 * max(0, look - began)

    monkeypatch.setattr(timing, "_cpu_seconds", cpu_seconds)
    record = run(
        session,
        tiny_recipe("llama", metrics=[{"speed": {"repeats": 3, "prompt_tokens": 16, "new_tokens": 4}}]),
        "final",
    )
    assert [notice.code for notice in record.notices].count("timing.busy") == count
    said = str(record.find("decode_tokens_per_second").note)
    assert ("the machine was busy" in said) == bool(count)
