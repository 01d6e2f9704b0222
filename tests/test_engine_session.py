"""The session and its pipeline: what it reports, keeps warm, stops, and never leaves behind."""

import json
from dataclasses import replace

import pytest
import torch
from compresslab.engine.job import silent_job
from compresslab.engine.lru import Budget, get_or_make
from compresslab.engine.measuring import scores
from compresslab.engine.models import packing
from compresslab.engine.models.device import available, choose
from compresslab.engine.progress import Tracker
from compresslab.engine.session import Session
from compresslab.errors import BadInput, Cancelled, RunFailed
from compresslab.files.paths import home, run_folder
from compresslab.models.facts import read_facts
from compresslab.recipes.recipe import Recipe
from compresslab.records.events import from_json, to_json

STEPS = [
    {"prune_magnitude": {"sparsity": 0.4}},
    {"distill_logits": {"steps": 6, "batch": 2}},
    {"quantize_rtn": {"bits": 4}},
]
SPEED = {"speed": {"repeats": 2, "prompt_tokens": 8, "new_tokens": 4}}
ALL = ["perplexity", "accuracy", "agreement", SPEED, "footprint"]


@pytest.fixture(scope="module")
def session():
    return Session()


def run(session, recipe, stage="final", run_id="r1", cancelled=lambda: False):
    events = []
    record = session.run(recipe, run_id=run_id, stage=stage, report=events.append, cancelled=cancelled)
    return record, events


def left_behind():
    folder = home() / "runs"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


# -- what a run reports ---------------------------------------------------------------------


def test_a_final_run_reports_measures_and_saves(session, tiny_recipe):
    recipe = tiny_recipe("llama", *STEPS, metrics=ALL, runtime="onnxruntime")
    record, events = run(session, recipe)
    assert left_behind() == ["r1"]
    assert set(record.stages) == {
        "load",
        "prune_magnitude",
        "distill_logits",
        "quantize_rtn",
        "save",
        "evaluate",
        "speed",
    }
    assert 0.5 * record.seconds < sum(record.stages.values()) <= record.seconds  # all but a little between them
    measured = [m for event in events if event.kind == "measured" for m in event.measurements]
    assert {(m.metric, m.variant) for m in measured} == {(m.metric, m.variant) for m in record.measurements}
    assert all(m.stage == "final" for m in record.measurements)
    assert len({m.metric for m in record.measurements}) == 19
    assert [from_json(to_json(event)) for event in events] == events
    assert record == type(record).model_validate_json(record.to_json())


def test_drafts_converge_with_every_batch(session, tiny_recipe):
    _, events = run(session, tiny_recipe("llama", STEPS[0], metrics=["perplexity"]))
    drafts = [event for event in events if event.kind == "draft"]
    seen = [draft.samples for draft in drafts]
    assert len(seen) >= 4 and seen == sorted(set(seen))
    assert seen[0] <= 4 * 32
    assert all(m.stage == "draft" for draft in drafts for m in draft.measurements)


def test_a_draft_reads_a_quarter_and_saves_nothing(session, tiny_recipe):
    recipe = tiny_recipe("llama", STEPS[0], metrics=ALL)
    draft, _ = run(session, recipe, "draft")
    final, _ = run(session, recipe, "final", "r2")
    assert left_behind() == ["r2"] and draft.saved_to is None
    assert draft.find("perplexity").samples == final.find("perplexity").samples / 4
    assert draft.find("accuracy").samples == 16  # whole batches, so that a final run can use them again
    assert draft.find("decode_tokens_per_second") is None
    assert draft.compressed_hash == final.compressed_hash


def test_progress_never_goes_back_and_ends_whole(session, tiny_recipe):
    _, events = run(session, tiny_recipe("llama", *STEPS, metrics=ALL))
    fractions = [event.fraction for event in events if event.kind == "progress"]
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] < 0.1 and fractions[-1] <= 1.0


def test_time_left_is_unknown_at_first_and_honest_later(monkeypatch):
    now, told = [0.0], []
    monkeypatch.setattr("compresslab.engine.progress.time.monotonic", lambda: now[0])
    tracker = Tracker({"a": 1.0, "b": 3.0}, told.append)
    tracker.begin("a")
    assert told[-1].seconds_left is None
    now[0] = 10.0
    tracker.begin("b")
    now[0] = 20.0
    tracker.advance(1, 3)
    assert told[-1].fraction == pytest.approx(0.5)
    assert told[-1].seconds_left == pytest.approx(20.0)


def test_what_costs_more_than_expected_is_counted_in_the_time_left_and_takes_nothing_back(monkeypatch):
    now, told = [0.0], []
    monkeypatch.setattr("compresslab.engine.progress.time.monotonic", lambda: now[0])
    tracker = Tracker({"a": 1.0, "b": 1.0, "c": 2.0}, told.append)
    tracker.begin("a")
    now[0] = 10.0
    tracker.begin("b")
    assert tracker.extend(4.0) == pytest.approx(0.8)
    now[0] = 11.0
    tracker.advance(0.1, 1)
    assert told[-1].fraction == told[-2].fraction == pytest.approx(0.25)
    assert told[-1].seconds_left == pytest.approx(11.0 * (8 - 1.5) / 1.5)  # of what is really done: 1.5 of 8
    now[0] = 50.0
    tracker.advance(0.8, 1)
    assert told[-1].fraction == pytest.approx(5 / 8) and told[-1].seconds_left == pytest.approx(30.0)


def test_the_time_left_knows_when_statistics_have_to_be_taken(tiny_recipe):
    once = run(Session(), tiny_recipe("llama", {"quantize_gptq": {}}, metrics=["perplexity"]), "draft")[1]
    again = run(Session(), tiny_recipe("llama", {"quantize_gptq": {}}, metrics=["perplexity"]), "draft")[1]
    first, second = ([e.fraction for e in events if e.kind == "progress"] for events in (once, again))
    assert first == sorted(first) and max(first) <= 1.0
    at = [next(e.fraction for e in events if getattr(e, "stage", "") == "evaluate") for events in (once, again)]
    assert at[0] > at[1]  # more of the whole lies before the evaluation where the statistics are not there yet
    assert second == sorted(second)


def test_losses_fall_and_are_kept(session, tiny_recipe):
    harsh = [
        {"prune_magnitude": {"sparsity": 0.7}},
        {"distill_logits": {"steps": 60, "learning_rate": 0.003, "kd_weight": 1.0}},
    ]
    recipe = tiny_recipe("llama", *harsh, metrics=["agreement"])
    record, events = run(session, recipe, "draft")
    losses = [event for event in events if event.kind == "loss"]
    assert [(loss.step, loss.loss) for loss in losses] == [(point.step, point.loss) for point in record.losses]
    assert losses[0].step == 1 and losses[-1].step == losses[-1].total == 60
    assert losses[-1].loss < 0.7 * losses[0].loss
    pruned, _ = run(session, tiny_recipe("llama", harsh[0], metrics=["agreement"]), "draft")
    assert record.find("kl_divergence").value < 0.7 * pruned.find("kl_divergence").value


def test_a_training_that_breaks_says_what_to_change(session, tiny_recipe, monkeypatch):
    from compresslab.engine.steps import distiller

    broken = torch.tensor(float("nan"), requires_grad=True)
    monkeypatch.setattr(distiller._Losses, "__call__", lambda *_: broken)
    with pytest.raises(RunFailed, match="smaller learning_rate"):
        run(session, tiny_recipe("mistral", STEPS[1], metrics=["perplexity"]))
    assert left_behind() == []


# -- what stays warm --------------------------------------------------------------------------


def test_a_changed_last_step_starts_from_the_step_before(tiny_recipe, monkeypatch):
    session, applied = Session(), []
    recipe = tiny_recipe("llama", *STEPS, metrics=["perplexity"])
    for step in recipe.steps:
        original = type(step).apply

        def apply(self, model, context, original=original):
            applied.append(self.name)
            original(self, model, context)

        monkeypatch.setattr(type(step), "apply", apply)
    first, _ = run(session, recipe, "draft")
    assert applied == ["prune_magnitude", "distill_logits", "quantize_rtn"]
    changed, _ = run(session, recipe.assign("quantize_rtn.bits=8"), "draft")
    assert applied[3:] == ["quantize_rtn"]
    assert changed.losses == first.losses
    run(session, recipe, "final")
    assert len(applied) == 4
    other, _ = run(session, recipe.assign("seed=1"), "draft")
    assert len(applied) == 7 and other.compressed_hash != first.compressed_hash
    cold, _ = run(Session(), recipe.assign("quantize_rtn.bits=8"), "draft")
    assert cold.compressed_hash == changed.compressed_hash


def test_what_the_baseline_said_is_not_asked_again(tiny_recipe, monkeypatch):
    session = Session()
    recipe = tiny_recipe("llama", STEPS[0], metrics=["perplexity", "accuracy"])
    first, _ = run(session, recipe)
    asked = []
    for name in ("log_probabilities", "choose"):
        original = getattr(scores, name)

        def ask(model, batch, original=original):
            asked.append(model)
            return original(model, batch)

        monkeypatch.setattr(scores, name, ask)
    again, _ = run(session, recipe.assign("prune_magnitude.sparsity=0.5"))
    assert asked and not any(model is session.baseline(recipe) for model in asked)
    assert again.find("perplexity", "baseline").value == first.find("perplexity", "baseline").value


def test_a_checkpoint_that_was_written_again_is_loaded_again(tiny_texts, tmp_path, tiny_recipe):
    from tests.tiny_models import write_checkpoint

    session = Session()
    recipe = tiny_recipe("llama", metrics=["perplexity"]).replace(model=str(tmp_path / "m"))
    write_checkpoint(tmp_path / "m", "llama", seed=1)
    first, _ = run(session, recipe, "draft")
    write_checkpoint(tmp_path / "m", "llama", seed=2)
    second, _ = run(session, recipe, "draft")
    assert first.baseline_hash != second.baseline_hash


def rope(folder):
    config = json.loads((folder / "config.json").read_text())
    config["rope_parameters"] = {"rope_theta": 50.0, "rope_type": "default"}
    (folder / "config.json").write_text(json.dumps(config))


def tokenizer(folder):
    """Without its last merges: more, and shorter tokens."""
    plain = json.loads((folder / "tokenizer.json").read_text())
    plain["model"]["merges"] = plain["model"]["merges"][:5]
    (folder / "tokenizer.json").write_text(json.dumps(plain))


@pytest.mark.parametrize("edit", [rope, tokenizer])
def test_whatever_was_edited_is_seen_by_a_warm_process(tmp_path, tiny_recipe, edit):
    from tests.tiny_models import write_checkpoint

    session = Session()
    recipe = tiny_recipe("llama", {"quantize_gptq": {"bits": 3}}, metrics=["perplexity", "accuracy"])
    recipe = recipe.replace(model=str(write_checkpoint(tmp_path / "m", "llama")))
    first, _ = run(session, recipe, "draft")
    edit(tmp_path / "m")
    second, _ = run(session, recipe, "draft")
    afresh, _ = run(Session(), recipe, "draft")
    assert values(second) == values(afresh) and values(second) != values(first)
    assert first.baseline_hash != second.baseline_hash == afresh.baseline_hash


def values(record):
    return [(m.metric, m.variant, m.value) for m in record.measurements]


def test_a_saved_run_ends_its_texts_as_its_model_says_now(session, tmp_path, tiny_recipe):
    from tests.tiny_models import write_checkpoint

    folder = write_checkpoint(tmp_path / "m", "llama")
    run(session, tiny_recipe("llama", metrics=["footprint"]).replace(model=str(folder)), run_id="ends")
    where = {"device": "cpu", "dtype": "float32"}
    before = session.saved_run("ends", where)
    assert session.saved_run("ends", where) is before
    (folder / "generation_config.json").write_text('{"eos_token_id": [0, 5]}')
    assert session.saved_run("ends", where).facts.generation.ends == (0, 5)


def test_a_cache_keeps_to_its_budget_of_bytes():
    cache = Budget(4 * 100).cache()
    computed = []

    def make(n, size):
        return lambda: computed.append(n) or torch.full((size,), float(n))

    for n in (1, 2, 1, 3, 1):  # two fit
        assert get_or_make(cache, (n,), make(n, 50))[0] == n
    assert computed == [1, 2, 3]
    assert get_or_make(cache, (2,), make(2, 50))[0] == 2 and computed[-1] == 2
    for _ in range(2):  # more than the whole budget: kept alone
        assert get_or_make(cache, (9,), make(9, 500)).numel() == 500
    assert list(cache) == [(9,)] and computed == [1, 2, 3, 2, 9]


def test_caches_share_their_budget_and_a_shared_tensor_counts_once():
    budget = Budget(4 * 100)
    first, second = budget.cache(), budget.cache(most=2)
    shared = torch.ones(60)
    first["a"] = shared
    second["b"] = [shared, {"more": torch.ones(30)}]
    assert budget.taken == 4 * 90 and "a" in first
    del second["b"]
    assert budget.taken == 4 * 60
    second["c"] = torch.ones(50)  # the other cache gives way: its value was used before
    assert ("a" in first, "c" in second, budget.taken) == (False, True, 4 * 50)
    first["d"], first["e"] = torch.ones(20), torch.ones(20)
    assert second["c"].numel() == 50
    first["f"] = torch.ones(30)
    assert [*first, *second] == ["e", "f", "c"]
    budget.shed(0)
    assert [*first, *second] == ["f"] and budget.taken == 4 * 30


def test_models_that_were_compressed_are_kept_by_their_bytes(tiny_recipe):
    """However many settings are tried, a process takes no more than its budget: what is shared counts once."""
    session = Session()
    run(session, tiny_recipe("llama", metrics=["footprint"]), "draft")
    one = session.budget.taken
    run(session, tiny_recipe("llama", {"quantize_rtn": {"bits": 3}}, metrics=["footprint"]), "draft")
    session.budget.most_bytes = session.budget.taken + (session.budget.taken - one) // 2
    for bits in (4, 5, 6, 7, 8):
        run(session, tiny_recipe("llama", {"quantize_rtn": {"bits": bits}}, metrics=["footprint"]), "draft")
        assert session.budget.taken <= session.budget.most_bytes
    assert len(session._baselines) == 1 and len(session._compressed) < 5


def test_caches_give_way_to_a_job_that_needs_the_memory(tiny_recipe, monkeypatch):
    session = Session()
    for bits in (3, 4, 5):
        run(session, tiny_recipe("llama", {"quantize_rtn": {"bits": bits}}, metrics=["footprint"]), "draft")
    before = session.budget.taken
    monkeypatch.setattr("compresslab.recipes.memory.free", lambda: 0)
    monkeypatch.setattr("compresslab.recipes.memory.available", lambda **_: 10**12)
    run(session, tiny_recipe("llama", {"quantize_rtn": {"bits": 6}}, metrics=["footprint"]), "draft")
    assert session.budget.taken < before and len(session._baselines) == 1


# -- stop, and failures -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stage", ["load", "prune_magnitude", "distill_logits", "quantize_rtn", "save", "evaluate", "speed"]
)
def test_stop_is_seen_in_every_stage_and_leaves_nothing(tiny_recipe, stage):
    reached = []

    def report(event):
        if event.kind == "progress" and event.stage == stage:
            reached.append(event)

    with pytest.raises(Cancelled):
        Session().run(
            tiny_recipe("llama", *STEPS, metrics=ALL),
            run_id="stopped",
            stage="final",
            report=report,
            cancelled=lambda: bool(reached),
        )
    assert left_behind() == []


def test_a_full_disk_is_said_in_one_sentence_and_leaves_nothing(session, tiny_recipe, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packing, "write_packed", full)
    with pytest.raises(RunFailed, match=r"could not be written .*no space left"):
        run(session, tiny_recipe("llama", STEPS[0], metrics=["perplexity"]))
    assert left_behind() == []


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA"), RuntimeError("not enough memory")])
def test_out_of_memory_comes_with_advice(session, tiny_recipe, monkeypatch, error):
    def too_large(*_):
        raise error

    monkeypatch.setattr("compresslab.engine.measuring.scores.log_probabilities", too_large)
    session.scores.clear()
    with pytest.raises(RunFailed, match=r"not enough memory.*smaller"):
        run(session, tiny_recipe("llama", STEPS[0], metrics=["perplexity"]))
    assert left_behind() == []


def test_a_run_of_the_same_name_is_replaced_whole(session, tiny_recipe):
    run(session, tiny_recipe("llama", STEPS[0], metrics=["footprint"]), run_id="same")
    record, _ = run(session, tiny_recipe("llama", STEPS[2], metrics=["footprint"]), run_id="same")
    recipe = tiny_recipe("llama")
    again = packing.load_packed(run_folder("same"), read_facts(recipe.model), session.choice(recipe))
    assert again.weights_hash() == record.compressed_hash


def test_a_checkpoint_without_tokenizer_is_refused(tiny_folders, tiny_recipe, tmp_path):
    import shutil

    shutil.copytree(tiny_folders["llama"], tmp_path / "m")
    for file in (tmp_path / "m").glob("tokenizer*"):
        file.unlink()
    with pytest.raises(BadInput, match="no usable tokenizer"):
        run(Session(), tiny_recipe("llama").replace(model=str(tmp_path / "m")))


def test_weights_that_do_not_fit_the_config_are_refused(tiny_folders, tiny_recipe, tmp_path):
    import json
    import shutil

    shutil.copytree(tiny_folders["llama"], tmp_path / "m")
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    (tmp_path / "m" / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 4}))
    with pytest.raises(BadInput, match=r"has no matrix model\.layers\.3\."):
        run(Session(), tiny_recipe("llama").replace(model=str(tmp_path / "m")))


# -- devices ------------------------------------------------------------------------------------


def test_a_device_that_is_not_there_is_refused(tiny_folders):
    facts = read_facts(str(tiny_folders["llama"]))
    missing = next(name for name in ("cuda", "mps") if name not in available())
    with pytest.raises(BadInput, match=f"no {missing} device here; use"):
        choose(missing, "auto", facts)


def stored_as(facts, dtype):
    return replace(facts, weights=tuple(replace(weight, dtype=dtype) for weight in facts.weights))


def test_auto_says_what_it_chose_and_why(tiny_folders):
    facts = read_facts(str(tiny_folders["llama"]))
    choice = choose("auto", "auto", stored_as(facts, "BF16"))
    assert choice.device.type == available()[0]
    assert choice.reason
    assert choice.dtype_reason.code in ("device.faster", "device.not_faster")


@pytest.mark.parametrize("dtype", ["F16", "F32"])
def test_auto_never_rounds_the_checkpoint_once_more(tiny_folders, dtype):
    choice = choose("cpu", "auto", stored_as(read_facts(str(tiny_folders["llama"])), dtype))
    assert choice.dtype_name == "float32"
    assert choice.dtype_reason.code == "device.holds_weights"


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_every_dtype_keeps_zeros_and_the_exact_weights(tiny_recipe, dtype):
    recipe = tiny_recipe("llama", *STEPS, metrics=["perplexity"], dtype=dtype)
    session = Session()
    record, _ = run(session, recipe)
    again = packing.load_packed(run_folder("r1"), read_facts(recipe.model), session.choice(recipe))
    assert again.weights_hash() == record.compressed_hash
    assert record.hardware.dtype == dtype and record.hardware.dtype_reason.code == "device.asked"
    plain, _ = run(session, recipe.replace(steps=()))
    assert plain.baseline_hash == plain.compressed_hash
    assert plain.find("perplexity").change == 0.0


def test_pruning_and_rounding_do_not_depend_on_the_compute_dtype(tiny_recipe):
    steps = STEPS[0], STEPS[2]
    hashes = {
        run(Session(), tiny_recipe("llama", *steps, metrics=["footprint"], dtype=dtype), "draft")[0].compressed_hash
        for dtype in ("float32", "bfloat16")
    }
    assert len(hashes) == 1


def test_warm_loads_and_scores_ahead(tiny_recipe, monkeypatch, tiny_texts, tmp_path):
    from compresslab.data import texts

    monkeypatch.setattr(texts, "EVALUATION", tmp_path)
    for name, file in (("stories.txt", tiny_texts[0]), ("general.jsonl", tiny_texts[1])):
        (tmp_path / name).write_bytes(file.read_bytes())
    session = Session()
    recipe = tiny_recipe("llama")
    session.warm(recipe.model, "cpu", "float32")
    loads = []
    monkeypatch.setattr("compresslab.engine.session.load_baseline", lambda *_, **__: loads.append(1))
    run(session, recipe.replace(metrics=recipe.metrics[:1]), "draft")
    assert loads == []


def test_stories_are_asked_of_the_model_that_was_taught_them(session, tiny_recipe):
    other = tiny_recipe("llama").assign("evaluation.questions=bundled")
    asked, subject = session.questions(other, session.baseline(other), silent_job())
    assert (len(asked), str(subject.text)) == (140, "general questions")
    own = Recipe().assign("evaluation.max_questions=10")
    asked, subject = session.questions(own, session.baseline(own), silent_job())
    assert (len(asked), str(subject.text)) == (10, "bundled questions")
