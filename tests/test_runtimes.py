"""The runtime seam: the same tokens whoever gives the logits, the choice with its reason, what records say of it."""

import pytest
import torch
from compresslab.engine.lru import Budget
from compresslab.engine.runtimes import LONG_PROMPT, CannotExpress, choosing, prompts
from compresslab.engine.runtimes.bandwidth import read_bandwidth
from compresslab.engine.runtimes.choosing import Runtimes, form_of
from compresslab.engine.runtimes.decoding import Greedy
from compresslab.engine.runtimes.fidelity import divergence
from compresslab.engine.runtimes.onnx_graph import graph_of
from compresslab.engine.runtimes.onnx_session import OnnxRuntime
from compresslab.engine.runtimes.torch_runtime import TorchRuntime
from compresslab.engine.session import Session
from compresslab.grids.affine import Affine
from compresslab.models.anatomy import Heads
from compresslab.models.traffic import cache_per_token, read_per_token
from compresslab.models.weights import WeightPlan
from compresslab.recipes.generation_request import Decoding, GenerateRequest, Pane

from tests.tiny_models import FAMILIES

BITS = {"quantize_rtn": {"bits": 4, "group_size": 32}}
ACTIVATIONS = {"quantize_smooth": {}}
STRATEGIES = {
    "greedy": {},
    "sample": {"strategy": "sample", "sampling_temperature": 0.9, "top_p": 0.8, "seed": 3},
    "beam": {"strategy": "beam", "beams": 3},
}


def new_runtimes():
    return Runtimes(Budget(2**30))


@pytest.fixture(scope="module")
def session():
    return Session()


def quiet(event):
    """Nobody watches."""


def compressed(session, recipe):
    from compresslab.engine.job import Job
    from compresslab.engine.progress import Tracker

    return session.compress(recipe, Job(quiet, lambda: False, Tracker({}, quiet)))[0]


class Disguised(TorchRuntime):
    """Torch's logits, by the road that every other runtime takes."""

    name = "onnxruntime"


def write(session, recipe, runtime, prompt="Mia had a red", **decoding):
    """Events of one pane."""
    events = []
    pane = Pane(label="p", source="recipe" if recipe.steps else "baseline", model=recipe.model)
    if recipe.steps:
        pane = pane.model_copy(update={"recipe": recipe.to_dict()})
    request = GenerateRequest(
        prompt=prompt,
        panes=(pane,),
        decoding=Decoding(**{"max_new_tokens": 14} | decoding),
        device="cpu",
        dtype="float32",
        runtime=runtime,
    )
    session.generate(request, report=events.append, cancelled=lambda: False)
    return events


def tokens(events):
    return [event.token_id for event in events if event.kind == "token"]


# -- one way to decode ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "strategy"),
    [*((family, "greedy") for family in FAMILIES), *((f, s) for f in ("llama", "gemma2") for s in ("sample", "beam"))],
)
def test_another_runtime_writes_with_the_decoding_of_torch(session, tiny_recipe, monkeypatch, family, strategy):
    monkeypatch.setattr(session.runtimes, "onnx", Disguised)
    recipe = tiny_recipe(family)
    there, here = (write(session, recipe, name, **STRATEGIES[strategy]) for name in ("onnxruntime", "torch"))
    assert tokens(there) == tokens(here) != []
    assert [event.text for event in there if event.kind == "token"] == [
        event.text for event in here if event.kind == "token"
    ]
    assert str(there[-1].runtime).startswith("onnxruntime") and str(here[-1].runtime).startswith("torch")


def test_tokens_come_one_by_one(session, tiny_recipe, monkeypatch):
    seen = []

    class Counting(Disguised):
        def feed(self, ids):
            seen.append(tuple(ids.shape))
            return super().feed(ids)

    monkeypatch.setattr(session.runtimes, "onnx", Counting)
    told = [event.kind for event in write(session, tiny_recipe("llama"), "onnxruntime", max_new_tokens=5)]
    assert seen == [(1, 4), (1, 1), (1, 1), (1, 1), (1, 1)]
    assert told.count("token") == 5


def test_the_cache_of_torch_gives_the_logits_of_a_whole_reading(session, tiny_recipe):
    runtime = TorchRuntime(session.baseline(tiny_recipe("gemma2")))
    ids = torch.arange(24).view(2, 12)
    whole = runtime.logits(ids)
    runtime.start(2, 12)
    parts = [runtime.feed(ids[:, :7]), *(runtime.feed(ids[:, place : place + 1]) for place in range(7, 12))]
    assert torch.allclose(torch.stack(parts, 1), whole[:, 6:], atol=1e-4)
    runtime.reorder(torch.tensor([1, 1]))
    first, second = runtime.feed(torch.tensor([[3], [3]]))
    assert torch.allclose(first, second, atol=1e-5)


# -- the choice ----------------------------------------------------------------------------


def test_what_is_asked_for_is_taken(session, tiny_recipe):
    model = session.baseline(tiny_recipe("llama"))
    chosen = new_runtimes().choose(model, "torch")
    assert (chosen.runtime.name, chosen.why.code) == ("torch", "device.asked")


@pytest.mark.parametrize("family", ["t5", "bert"])
def test_other_tasks_stay_in_torch_and_say_why(session, tmp_path, family):
    from compresslab.recipes.recipe import Recipe

    from tests.tiny_models import write_checkpoint

    folder = write_checkpoint(tmp_path / family, family)
    model = session.baseline(Recipe(model=str(folder), device="cpu", dtype="float32"))
    chosen = new_runtimes().choose(model)
    assert chosen.runtime.name == "torch" and "another task" in str(chosen.why)


def test_a_refusal_falls_back_to_torch_with_its_reason(session, tiny_recipe, monkeypatch):
    def refuse(model):
        raise CannotExpress("ALiBi has no kernel here")

    runtimes = new_runtimes()
    monkeypatch.setattr(runtimes, "onnx", refuse)
    model = session.baseline(tiny_recipe("llama"))
    for asked in ("auto", "onnxruntime"):
        chosen = runtimes.choose(model, asked)
        assert chosen.runtime.name == "torch"
        assert str(chosen.why) == "onnxruntime can't run this model: ALiBi has no kernel here"


@pytest.mark.parametrize(("seconds", "name"), [([1.0, 3.0], "onnxruntime"), ([3.0, 1.0], "torch")])
def test_auto_takes_what_a_trial_found_faster(session, tiny_recipe, monkeypatch, seconds, name):
    runtimes = new_runtimes()
    monkeypatch.setattr(runtimes, "onnx", Disguised)
    monkeypatch.setattr(choosing, "seconds_a_token", lambda raced, model: seconds)
    chosen = runtimes.choose(session.baseline(tiny_recipe("llama")))
    assert chosen.runtime.name == name and "3.0 times as fast" in str(chosen.why)


def test_a_second_form_that_would_fill_the_memory_is_refused(session, tiny_recipe, monkeypatch):
    model = session.baseline(tiny_recipe("llama"))
    monkeypatch.setattr(choosing, "SHARE_OF_MEMORY", 1e-9)
    with pytest.raises(CannotExpress, match="too little memory"):
        new_runtimes().onnx(model)


def test_the_form_follows_the_weights(session, tiny_recipe):
    assert form_of(session.baseline(tiny_recipe("llama"))) == "float32"
    assert form_of(compressed(session, tiny_recipe("llama", BITS))) == "bits"


def test_a_warm_runtime_is_kept_and_few_are(session, tiny_recipe):
    runtimes, model = new_runtimes(), compressed(session, tiny_recipe("llama", BITS))
    first = runtimes.onnx(model)
    assert runtimes.onnx(model.copy()) is first
    for bits in (2, 3, 5, 6, 8):
        runtimes.onnx(compressed(session, tiny_recipe("llama", {"quantize_rtn": {"bits": bits}})))
    assert runtimes.onnx(model) is not first


def test_threads_are_those_that_were_fastest(session, tiny_recipe, monkeypatch):
    asked = []
    monkeypatch.setattr(choosing, "thread_counts", lambda: [2, 1])
    monkeypatch.setattr(choosing, "seconds_a_token", lambda raced, model: asked.append(len(raced)) or [2.0, 1.0])
    runtimes, recipe = new_runtimes(), tiny_recipe("llama", BITS)
    runtimes.onnx(compressed(session, recipe))
    assert list(runtimes._threads.values()) == [1] and asked == [2]
    runtimes.onnx(compressed(session, tiny_recipe("llama", {"quantize_rtn": {"bits": 8}})))
    assert asked == [2]  # the same checkpoint in the same form: no second trial


# -- prompts -------------------------------------------------------------------------------


@pytest.fixture
def trials(monkeypatch):
    """Answers of the trials that a test decides; what was asked, in turn."""
    asked, answers = [], {"has_room": True, "is_faster": True, "is_near": True}
    for name in answers:
        monkeypatch.setattr(choosing, name, lambda *args, name=name: asked.append(name) or answers[name])
    return asked, answers


def test_prompts_are_read_in_int8_where_that_is_faster_and_says_the_same(session, tiny_recipe, trials):
    model = compressed(session, tiny_recipe("llama", BITS))
    runtimes, ids = new_runtimes(), torch.arange(40).view(1, 40)
    runtime, other = runtimes.onnx(model), runtimes.onnx(model, "dynamic_int8")
    assert runtimes.choose(model, "onnxruntime", LONG_PROMPT - 1).runtime is runtime and not trials[0]
    assert runtimes.choose(model, "onnxruntime", LONG_PROMPT).runtime is runtime
    assert runtime.kernel.values["prompts"] == other.kernel
    assert str(runtime.reason) == f"prompts: {other.reason}" and runtime.real
    plain = OnnxRuntime(graph_of(model), 1)
    assert runtime.weight_bytes == plain.weight_bytes + other.weight_bytes
    mixed, int8, codes = (read(each, ids) for each in (runtime, other, plain))
    assert torch.equal(mixed, int8) and not torch.equal(mixed, codes)
    mixed, codes = (read(each, ids[:, : LONG_PROMPT - 1]) for each in (runtime, plain))
    assert torch.equal(mixed, codes), "few tokens are read as they are written"


def read(runtime, ids):
    runtime.start(*ids.shape)
    return runtime.feed(ids)


@pytest.mark.parametrize("trial", ["has_room", "is_faster", "is_near"])
def test_else_one_form_reads_and_writes(session, tiny_recipe, trials, trial):
    trials[1][trial] = False
    model = compressed(session, tiny_recipe("llama", BITS))
    runtime = new_runtimes().choose(model, "onnxruntime", 100).runtime
    assert trial in trials[0] and "prompts" not in f"{runtime.kernel} {runtime.reason}"


def test_what_was_slower_is_not_tried_again_for_the_same_checkpoint(session, tiny_recipe, trials):
    asked, answers = trials
    answers["is_faster"] = False
    runtimes = new_runtimes()
    for group in (32, 32, 16):
        step = {"quantize_rtn": {"bits": 4, "group_size": group, "head_bits": 4 + group // 8}}
        runtimes.choose(compressed(session, tiny_recipe("llama", step)), "onnxruntime", 100)
    assert asked.count("is_faster") == 2 and "is_near" not in asked


def test_what_reads_prompts_is_looked_for_once(session, tiny_recipe, trials):
    runtimes, model = new_runtimes(), compressed(session, tiny_recipe("llama", BITS))
    labels = {runtimes.choose(model, "onnxruntime", 100).runtime.kernel for _ in range(3)}
    assert trials[0] == ["has_room", "is_faster", "is_near"] and len(labels) == 1


def test_a_pane_says_in_what_its_prompt_was_read(session, tiny_recipe, trials):
    done = write(session, tiny_recipe("llama", BITS), "onnxruntime", prompt="Mia had a red kite. " * 7)[-1]
    assert "; prompts: DynamicQuantizeMatMul int8" in str(done.runtime) and "rounded once more" in str(done.note)


def test_int8_is_near_for_the_same_weights_alone(session, tiny_recipe):
    recipe = tiny_recipe("llama", BITS)
    model, baseline = compressed(session, recipe), session.baseline(recipe)
    assert prompts.is_near(OnnxRuntime(graph_of(model, form="dynamic_int8"), 1), model)
    assert not prompts.is_near(TorchRuntime(baseline), model)


@pytest.mark.parametrize(("pace", "faster"), [(0.5, True), (1.0, False), (2.0, False)])
def test_a_trial_of_prompts_wants_a_clear_gain(session, tiny_recipe, monkeypatch, pace, faster):
    model = session.baseline(tiny_recipe("llama"))
    here, there = TorchRuntime(model), TorchRuntime(model)
    monkeypatch.setattr(prompts, "_seconds", lambda runtime, ids: pace if runtime is there else 1.0)
    assert prompts.is_faster(there, here, model) is faster


def test_a_second_form_wants_room(session, tiny_recipe, monkeypatch):
    model = session.baseline(tiny_recipe("llama"))
    assert prompts.has_room(model)
    monkeypatch.setattr(prompts, "SHARE_OF_MEMORY", 1e-9)
    assert not prompts.has_room(model)


# -- records -------------------------------------------------------------------------------


SPEED = {"speed": {"repeats": 2, "prompt_tokens": 16, "new_tokens": 4}}


def run(session, recipe):
    return session.run(recipe, run_id="r", stage="final", report=quiet, cancelled=lambda: False)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("COMPRESSLAB_HOME", str(tmp_path))


def test_a_run_says_in_what_it_was_timed_beside_what(session, tiny_recipe):
    record = run(session, tiny_recipe("llama", BITS, metrics=[SPEED], runtime="onnxruntime"))
    decode, plain = record.find("decode_tokens_per_second"), record.find("torch_decode_tokens_per_second", "baseline")
    assert decode.kernel == "real" and str(decode.runtime).startswith("onnxruntime, MatMulNBits int4 group 32")
    assert str(record.find("decode_tokens_per_second", "baseline").runtime) == "onnxruntime, MatMul float32"
    assert str(plain.runtime) == "torch, dense float32" and plain.value > 0
    held = record.find("runtime_weight_bytes")
    assert 0 < held.value < record.find("runtime_weight_bytes", "baseline").value and held.runtime == decode.runtime
    assert any("timed in onnxruntime: as requested" in str(notice) for notice in record.notices)
    found = record.find("runtime_divergence")
    assert 0 < found.value < 0.05 and found.samples == 4 * 17 and "quality was measured in torch" in str(found.note)


def test_a_share_of_bandwidth_is_bytes_times_rate_over_a_plain_read(session, tiny_recipe):
    recipe = tiny_recipe("llama", BITS, metrics=[SPEED], runtime="onnxruntime")
    record, model = run(session, recipe), compressed(session, recipe)
    share, rate = record.find("bandwidth_share"), record.find("decode_tokens_per_second")
    tokens = 16 + 4 / 2
    size = read_per_token(model.layout(), low_bit=True) + cache_per_token(model.facts.heads, 3, tokens)
    assert share.value == pytest.approx(size * rate.value / read_bandwidth(size), rel=1e-6)
    assert record.find("bandwidth_share", "baseline") and f"{size / 1e6:.1f} MB per token" in str(share.note)


def test_the_cache_by_hand():
    assert cache_per_token(Heads(count=4, kv_count=2, dim=8), layers=3, tokens=10) == 3 * 2 * (2 * 8) * 4 * 10


def test_three_bits_are_named_as_what_they_run_in(session, tiny_recipe):
    recipe = tiny_recipe("llama", {"quantize_rtn": {"bits": 3}}, metrics=[SPEED], runtime="onnxruntime")
    decode = run(session, recipe).find("decode_tokens_per_second")
    assert "int4" in str(decode.runtime) and "3-bit weights run in the 4-bit kernel" in str(decode.note)


def test_torch_where_it_is_asked_for_is_simulated_and_has_no_second_baseline(session, tiny_recipe):
    record = run(session, tiny_recipe("llama", BITS, metrics=[SPEED], runtime="torch"))
    decode = record.find("decode_tokens_per_second")
    assert (str(decode.runtime), decode.kernel) == ("torch, dense float32", "simulated") and "dense" in str(decode.note)
    assert record.find("torch_decode_tokens_per_second", "baseline") is None
    assert record.find("runtime_divergence") is None


def test_a_recipe_that_no_graph_expresses_is_timed_in_torch_and_says_why(session, tiny_recipe):
    record = run(session, tiny_recipe("llama", ACTIVATIONS, metrics=[SPEED]))
    assert str(record.find("decode_tokens_per_second").runtime) == "torch, dense float32"
    assert any("timed in torch: onnxruntime can't run this model" in str(notice) for notice in record.notices)


def test_panes_name_runtime_and_kernel(session, tiny_recipe):
    low, plain = (write(session, tiny_recipe("llama", BITS), name)[-1] for name in ("onnxruntime", "torch"))
    assert str(low.runtime).startswith("onnxruntime, MatMulNBits int4") and low.kernel == "real"
    assert (str(plain.runtime), plain.kernel) == ("torch, dense float32", "simulated")


# -- what it says of itself ----------------------------------------------------------------


def test_divergence_is_zero_for_the_same_logits_and_grows_with_other_weights(session, tiny_recipe):
    recipe = tiny_recipe("llama", BITS)
    model, baseline = compressed(session, recipe), session.baseline(recipe)
    windows = torch.arange(96).view(3, 32)
    same, _, count = divergence(TorchRuntime(model), model, windows)
    other, error, _ = divergence(TorchRuntime(baseline), model, windows)
    assert same < 1e-6 and count == 3 * 17
    assert other > 100 * max(same, 1e-9) and error > 0


def test_bytes_a_token_by_hand():
    embedding = WeightPlan("e", (100, 64), "F32", "embedding")
    head = WeightPlan("h", (100, 64), "F32", "head")
    norm = WeightPlan("n", (64,), "F32", "other")
    linear = WeightPlan("l", (10, 64), "F32", "linear")
    assert read_per_token([embedding, norm, linear], low_bit=False) == 4 * (6400 + 640)
    assert read_per_token([embedding, head, linear], low_bit=False) == 4 * (6400 + 640)
    low = WeightPlan("l", (10, 64), "F32", "linear", grid=Affine(bits=3, group_size=32, symmetric=True))
    assert read_per_token([embedding, head, low], low_bit=True) == 4 * 6400 + 10 * (32 + 2 * 4)
    assert read_per_token([embedding, head, low], low_bit=False) == 4 * (6400 + 640)
    five = WeightPlan("l", (10, 64), "F32", "linear", grid=Affine(bits=5, group_size=0, symmetric=False))
    assert read_per_token([five], low_bit=True) == 10 * (64 + 1 + 4)


def test_a_plain_read_has_a_speed():
    assert 1e7 < read_bandwidth(2**22) < 1e13


def test_greedy_says_what_generate_says(session, tiny_recipe):
    model = session.baseline(tiny_recipe("llama"))
    prompt = torch.tensor([model.tokenizer("Mia had a red").input_ids])
    greedy = Greedy(TorchRuntime(model), prompt, 6)
    said = [int(greedy._token)]
    for _ in range(5):
        greedy.next()
        said.append(int(greedy._token))
    expected = model.module.generate(prompt, max_new_tokens=6, do_sample=False, eos_token_id=None)
    assert said == expected[0, prompt.shape[1] :].tolist()


# -- on a GPU ------------------------------------------------------------------------------


def on_gpu(session, recipe):
    """A model that says it was put on a GPU; nothing of it runs there."""
    model = compressed(session, recipe)
    model.device = torch.device("cuda")
    return model


def test_without_torchao_a_gpu_runs_torch_and_says_why(session, tiny_recipe, monkeypatch):
    from compresslab.engine.runtimes import torchao_runtime

    monkeypatch.setattr(torchao_runtime, "find_spec", lambda name: None)
    chosen = new_runtimes().choose(on_gpu(session, tiny_recipe("llama", BITS)))
    assert chosen.runtime.name == "torch" and "pip install compresslab[gpu]" in str(chosen.why)
    assert new_runtimes().choose(on_gpu(session, tiny_recipe("llama", BITS)), "onnxruntime").runtime.name == "torch"


@pytest.mark.parametrize(
    ("bits", "capability", "kernels"),
    [(4, (9, 0), ["int4"]), (3, (8, 0), ["int4"]), (8, (8, 0), ["int8"]), (6, (9, 0), ["int8", "float8"])],
)
def test_the_kernels_of_a_gpu_are_as_wide_as_the_codes(session, tiny_recipe, monkeypatch, bits, capability, kernels):
    from compresslab.engine.runtimes import torchao_runtime

    monkeypatch.setattr(torchao_runtime, "find_spec", lambda name: object())
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    model = on_gpu(session, tiny_recipe("llama", {"quantize_rtn": {"bits": bits}}))
    assert torchao_runtime.candidates(model) == kernels


@pytest.mark.parametrize(
    ("step", "why"),
    [({"prune_magnitude": {}}, "not all of its matrices are quantized"), (ACTIVATIONS, "round their inputs")],
)
def test_what_a_gpu_kernel_does_not_know_is_refused(session, tiny_recipe, monkeypatch, step, why):
    from compresslab.engine.runtimes import torchao_runtime

    monkeypatch.setattr(torchao_runtime, "find_spec", lambda name: object())
    with pytest.raises(CannotExpress, match=why):
        torchao_runtime.candidates(on_gpu(session, tiny_recipe("llama", step)))
