"""The ONNX graph of a compressed model says what torch says with the same weights: every family and width."""

from dataclasses import replace

import onnx
import onnxruntime
import pytest
import torch
from compresslab.engine.job import Job
from compresslab.engine.models.checkpoint import load_baseline
from compresslab.engine.models.device import Choice
from compresslab.engine.progress import Tracker
from compresslab.engine.runtimes import CannotExpress
from compresslab.engine.runtimes.onnx_graph import graph_of
from compresslab.engine.runtimes.onnx_linear import Linear, matrix
from compresslab.engine.runtimes.onnx_nodes import GRAPH_FILE, Nodes
from compresslab.engine.runtimes.onnx_session import OnnxRuntime, session_of
from compresslab.engine.runtimes.torch_runtime import TorchRuntime
from compresslab.engine.session import Session
from compresslab.engine.solvers.rounding import round_to_nearest
from compresslab.errors import RunFailed
from compresslab.grids.affine import Affine
from compresslab.models import families
from onnx import TensorProto
from transformers import AutoModelForCausalLM

from tests.tiny_models import CONFIGS, FAMILIES, LAYERS, VOCABULARY, tokenizer

EXPRESSED = [name for name in FAMILIES if families.FAMILIES[name.split()[0]].graph and name != "opt narrow"]
GRIDS = {
    "2 bits": Affine(2, 32, True),
    "2 bits asymmetric per row": Affine(2, 0, False),
    "3 bits": Affine(3, 16, True),
    "3 bits asymmetric": Affine(3, 32, False),
    "4 bits in groups that end short": Affine(4, 32, True),
    "4 bits asymmetric": Affine(4, 16, False),
    "4 bits per row": Affine(4, 0, True),
    "5 bits asymmetric": Affine(5, 32, False),
    "6 bits in groups of three blocks": Affine(6, 48, True),
    "8 bits": Affine(8, 256, True),
    "8 bits asymmetric per row": Affine(8, 0, False),
}
EXACT = 1e-5  # of the largest logit: float32 sums in another order
INT8_ACTIVATIONS = 0.05  # root mean square over that of the logits; 0.01 to 0.03 for these models
BITS = {"bits": 4, "group_size": 32}
ON_CPU = Choice(torch.device("cpu"), torch.float32, "", "")


@pytest.fixture
def baseline(tiny_folders):
    return lambda family: load_baseline(str(tiny_folders[family]), ON_CPU)


@pytest.fixture
def compress(tiny_recipe):
    """The model of a recipe."""

    def run(family, *steps):
        job = Job(lambda event: None, lambda: False, Tracker({}, lambda event: None))
        return Session().compress(tiny_recipe(family, *steps), job)[0]

    return run


@pytest.fixture(scope="session")
def ids():
    return torch.randint(0, VOCABULARY, (2, 40), generator=torch.Generator().manual_seed(5))


def quantized(model, *grids):
    """Every matrix on a grid, embedding and lm_head too; several grids take turns."""
    for place, name in enumerate([*model.linear_names(), *model.embedding_names()]):
        model.quantize(name, round_to_nearest(model.weight(name), grids[place % len(grids)]))
    return model


def exact(model):
    """Float32 activations: no rounding but that of the weights."""
    return OnnxRuntime(graph_of(model, accuracy_level=1), threads=1)


def far(found, expected):
    """The largest difference, as a share of the largest logit."""
    return float((found - expected).abs().max() / expected.abs().max())


def spread(found, expected):
    return float((found - expected).norm() / expected.norm())


def greedy(runtime, prompt, count):
    runtime.start(len(prompt), prompt.shape[1] + count)
    tokens = [runtime.feed(prompt).argmax(-1, keepdim=True)]
    while len(tokens) < count:
        tokens.append(runtime.feed(tokens[-1]).argmax(-1, keepdim=True))
    return torch.cat(tokens, 1)


# -- the same weights, every family and width ----------------------------------------------


@pytest.mark.parametrize("family", EXPRESSED)
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_logits_are_those_of_torch_with_the_same_weights(baseline, ids, family, grid):
    model = quantized(baseline(family), grid)
    expected = TorchRuntime(model).logits(ids)
    assert float(expected.std()) > 0.1, "flat logits would be right whatever the graph does"
    assert far(exact(model).logits(ids), expected) < EXACT


@pytest.mark.parametrize("family", EXPRESSED)
def test_int8_activations_stay_near_and_write_the_same(baseline, ids, family):
    model = quantized(baseline(family), Affine(8, 32, True), Affine(4, 16, False))
    expected = TorchRuntime(model).logits(ids)
    assert EXACT < spread(OnnxRuntime(graph_of(model), 1).logits(ids), expected) < INT8_ACTIVATIONS
    dynamic = graph_of(model, form="dynamic_int8")
    assert EXACT < spread(OnnxRuntime(dynamic, 1).logits(ids), expected) < INT8_ACTIVATIONS


@pytest.mark.parametrize("family", EXPRESSED)
def test_greedy_text_is_that_of_torch(baseline, ids, family):
    model = quantized(baseline(family), Affine(4, 16, True))
    expected = greedy(TorchRuntime(model), ids[:, :24], 20)
    assert torch.equal(greedy(exact(model), ids[:, :24], 20), expected)


@pytest.mark.parametrize("family", EXPRESSED)
def test_a_model_without_codes_is_a_float32_graph(baseline, ids, family):
    model = baseline(family)
    graph = graph_of(model, form="float32")
    assert far(OnnxRuntime(graph, 1).logits(ids), TorchRuntime(model).logits(ids)) < EXACT
    assert (str(graph.kernel), graph.real, graph.reason) == ("MatMul float32", True, None)


@pytest.mark.parametrize("family", ["llama", "phi3", "gpt_neox"])
def test_widths_may_differ_from_matrix_to_matrix(baseline, ids, family):
    model = quantized(
        baseline(family), Affine(4, 16, True), Affine(8, 32, False), Affine(2, 0, True), Affine(3, 32, True)
    )
    model.prune(model.linear_names()[-1], model.weight(model.linear_names()[-1]) < 0)
    assert far(exact(model).logits(ids), TorchRuntime(model).logits(ids)) < EXACT


@pytest.mark.parametrize("form", ["bits", "dynamic_int8", "float32"])
def test_codes_per_row_are_never_rounded_again(baseline, ids, form):
    model = quantized(baseline("llama"), Affine(8, 0, True))
    found = OnnxRuntime(graph_of(model, form=form, accuracy_level=1), 1).logits(ids)
    assert spread(found, TorchRuntime(model).logits(ids)) < (INT8_ACTIVATIONS if form == "dynamic_int8" else EXACT)
    assert graph_of(model, form=form).real is (form != "float32")


def test_a_token_with_outlying_values_does_not_blur_the_others():
    generator = torch.Generator().manual_seed(2)
    weight = round_to_nearest(torch.randn(48, 64, generator=generator), Affine(8, 0, True))
    nodes = Nodes()
    x = nodes.input("x", TensorProto.FLOAT, [1, "tokens", 64])
    nodes.op("Identity", [Linear(nodes, "dynamic_int8", 4).multiply(x, matrix(weight), "weight")], out="y")
    nodes.output("y", TensorProto.FLOAT, [1, "tokens", 48])
    tokens = torch.randn(1, 9, 64, generator=generator)
    tokens[0, 0] *= 1000
    found = torch.from_numpy(session_of(nodes.graph("", "", True), 1).run(None, {"x": tokens.numpy()})[0])
    assert spread(found[:, 1:], tokens[:, 1:] @ weight.dequantize().T) < 0.01


# -- the cache -----------------------------------------------------------------------------


@pytest.mark.parametrize("family", EXPRESSED)
def test_the_cache_changes_nothing(baseline, ids, family):
    runtime = exact(quantized(baseline(family), Affine(4, 32, True)))
    expected = runtime.logits(ids)
    runtime.start(2, 40)
    parts = [
        runtime.feed(ids[:, :25]),
        runtime.feed(ids[:, 25:30]),
        *(runtime.feed(t) for t in ids[:, 30:].split(1, 1)),
    ]
    for end, found in zip([25, 30, *range(31, 41)], parts, strict=True):
        assert far(found, expected[:, end - 1]) < EXACT


def test_rows_of_the_cache_change_places(baseline, ids):
    runtime = exact(baseline("llama"))
    runtime.start(2, 40)
    runtime.feed(ids[:, :20])
    runtime.reorder(torch.tensor([1, 1]))
    found = runtime.feed(ids[:1, 20:21].expand(2, 1))
    expected = runtime.logits(torch.cat([ids[1:, :20], ids[:1, 20:21]], 1))[:, -1]
    assert far(found, expected.expand(2, -1)) < EXACT


def test_what_was_said_before_stays_as_it_was(baseline, ids):
    runtime = exact(baseline("llama"))
    runtime.start(2, 40)
    first = runtime.feed(ids[:, :20])
    kept = first.clone()
    runtime.feed(ids[:, 20:21])
    runtime.logits(ids)
    assert torch.equal(first, kept)


@pytest.mark.parametrize("form", ["bits", "float32"])
def test_a_runtime_outlives_its_graph(baseline, ids, form):
    graph = graph_of(quantized(baseline("opt"), Affine(4, 16, True)), form=form)
    runtime = OnnxRuntime(graph, 1)
    expected = runtime.logits(ids)
    written = [array for array in graph.weights.values() if array.flags.writeable]
    for array in written:
        array.fill(0)
    assert written
    assert torch.equal(runtime.logits(ids), expected)


def test_a_full_cache_is_said(baseline, ids):
    runtime = exact(baseline("llama"))
    runtime.start(2, 20)
    runtime.feed(ids[:, :20])
    with pytest.raises(RunFailed, match="room for 20 tokens, and 21"):
        runtime.feed(ids[:, 20:21])


def test_prompts_may_be_read_in_another_form(baseline, ids):
    model = quantized(baseline("qwen3"), Affine(8, 0, True))
    steps, prompts = graph_of(model, accuracy_level=1), graph_of(model, form="float32")
    mixed = OnnxRuntime(steps, 1)
    mixed.read_prompts_in(OnnxRuntime(prompts, 1))
    expected = TorchRuntime(model).logits(ids)
    mixed.start(2, 40)
    assert far(mixed.feed(ids[:, :36]), expected[:, 35]) < EXACT
    assert far(mixed.feed(ids[:, 36:]), expected[:, 39]) < EXACT
    rough = OnnxRuntime(steps, 1)
    rough.read_prompts_in(OnnxRuntime(graph_of(model, form="dynamic_int8"), 1))
    rough.start(2, 40)
    assert far(rough.feed(ids[:, :36]), expected[:, 35]) > EXACT, "the other form must have read it"


# -- structure and configs -----------------------------------------------------------------


@pytest.mark.parametrize("family", EXPRESSED)
def test_models_with_fewer_layers(baseline, ids, family):
    model = baseline(family)
    model.keep_layers([0, 2])
    quantized(model, Affine(4, 32, True))
    assert far(exact(model).logits(ids), TorchRuntime(model).logits(ids)) < EXACT


@pytest.mark.parametrize("family", EXPRESSED)
def test_models_with_fewer_channels_and_heads(compress, ids, family):
    heads = 0.0 if families.anatomy(CONFIGS[family]().to_dict()).head_count == "fixed" else 0.5
    model = compress(family, {"prune_channels": {"mlp": 0.4, "heads": heads, "round_to": 4}}, {"quantize_rtn": BITS})
    shapes = {name: weight.shape for name, weight in model.weights.items()}
    assert shapes != {weight.name: weight.shape for weight in model.facts.weights}
    assert far(exact(model).logits(ids), TorchRuntime(model).logits(ids)) < EXACT


@pytest.mark.parametrize("step", ["quantize_gptq", "quantize_awq", "quantize_hqq"])
def test_codes_of_every_quantizer(compress, ids, step):
    model = compress("llama", {step: BITS})
    assert far(exact(model).logits(ids), TorchRuntime(model).logits(ids)) < EXACT


CHANGES = {
    "window of all layers": ("mistral", {"sliding_window": 8}),
    "window by layer": (
        "qwen2",
        {"use_sliding_window": True, "sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"] * 2},
    ),
    "linear positions": ("llama", {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e4}}),
    "positions of Llama 3": (
        "llama",
        {
            "rope_parameters": {
                "rope_type": "llama3",
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 32,
                "rope_theta": 1e4,
            }
        },
    ),
    "head of 80": ("llama", {"head_dim": 80}),
    "an odd number of pairs": ("phi", {"hidden_size": 40, "rope_parameters": {"partial_rotary_factor": 0.6}}),
    "softcapping of scores": ("gemma2", {"attn_logit_softcapping": 1.0}),
}


@pytest.mark.parametrize(("family", "changes"), CHANGES.values(), ids=CHANGES)
def test_what_configs_may_ask_for(tmp_path, ids, family, changes):
    model = built(tmp_path, family, changes)
    assert far(exact(model).logits(ids), TorchRuntime(model).logits(ids)) < EXACT


def built(folder, family, changes):
    """A random model whose config differs from that of the tiny one."""
    config = CONFIGS[family]()
    values = config.to_dict() | {"rope_theta": 1e4} | changes
    values["rope_parameters"] = {"rope_type": "default", "rope_theta": 1e4} | values.get("rope_parameters", {})
    if "layer_types" in changes:
        values["layer_types"] = values["layer_types"][:LAYERS]
    torch.manual_seed(1)
    module = AutoModelForCausalLM.from_config(type(config)(**values), attn_implementation="eager")
    module.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    model = load_baseline(str(folder), ON_CPU)
    model.module.set_attn_implementation("eager")
    return model


# -- refusals ------------------------------------------------------------------------------


REFUSED = {
    "bloom": ("bloom", {}, "no graph yet for the family bloom"),
    "norms behind": ("opt narrow", {}, "normalizes after the residual is added"),
    "length": (
        "llama",
        {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}},
        "positions are scaled by length",
    ),
    "norms of queries": ("phi", {"qk_layernorm": True}, "queries and keys have layer norms"),
    "activation": ("llama", {"hidden_act": "mish"}, "activation mish"),
}


@pytest.mark.parametrize(("family", "changes", "words"), REFUSED.values(), ids=REFUSED)
def test_what_can_not_be_expressed_is_said(tmp_path, family, changes, words):
    model = built(tmp_path, family, changes)
    with pytest.raises(CannotExpress, match=words):
        graph_of(model)


def test_rounded_inputs_are_refused(baseline):
    model = baseline("llama")
    model.round_inputs(model.linear_names()[:1], 8)
    with pytest.raises(CannotExpress, match="rounded to 8 bits"):
        graph_of(model)


# -- labels, bytes, files ------------------------------------------------------------------


def test_labels_say_what_runs(baseline):
    model = quantized(baseline("llama"), Affine(3, 32, True), Affine(3, 32, True), Affine(8, 0, True))
    graph = graph_of(model)
    assert str(graph.kernel) == (
        "MatMulNBits int4 group 32, int8 activations and MatMulNBits int8 per row, int8 activations"
    )
    assert (graph.real, str(graph.reason)) == (True, "3-bit weights run in the 4-bit kernel")


def test_zeros_and_dense_matmuls_are_simulated(baseline):
    model = baseline("llama")
    model.prune(model.linear_names()[0], model.weight(model.linear_names()[0]) < 0)
    graph = graph_of(model)
    assert (graph.real, str(graph.reason)) == (False, "unstructured zeros: no CPU kernel skips them")
    small = graph_of(quantized(baseline("llama"), Affine(4, 8, True)))
    assert not small.real
    assert "not multiples of 16" in str(small.reason)


def test_weights_are_held_once_and_at_their_width():
    """The table of the bundled model is lm_head too; beside codes and scales there are norms and rotation tables."""
    model = quantized(load_baseline("storyteller", ON_CPU), Affine(4, 64, True))
    names = [*model.linear_names(), *model.embedding_names()]
    codes = sum(model.weights[name].count for name in names) // 2
    scales = 4 * sum(model.stored[name].scales.numel() for name in names)
    norms = 4 * sum(weight.count for weight in model.weights.values() if weight.role == "other")
    tables = 4 * model.context_length * model.facts.heads.dim
    held = {array.__array_interface__["data"][0]: array.nbytes for array in graph_of(model).weights.values()}
    assert codes + scales <= sum(held.values()) <= codes + scales + norms + tables


@pytest.mark.parametrize("family", ["llama", "gemma2", "opt"])
def test_a_saved_graph_needs_no_code_of_ours(baseline, ids, tmp_path, family):
    graph = graph_of(quantized(baseline(family), Affine(4, 16, False)))
    graph.save(tmp_path)
    assert {entry.key: entry.value for entry in graph.model.metadata_props}["kernel"] == str(graph.kernel)
    with_weights = replace(graph, model=onnx.load(tmp_path / GRAPH_FILE), weights={})
    expected = OnnxRuntime(graph, 1).logits(ids)
    assert torch.equal(OnnxRuntime(with_weights, 1).logits(ids), expected)
    plain = onnxruntime.InferenceSession(tmp_path / GRAPH_FILE)
    assert plain.get_outputs()[-1].shape == ["batch", "chosen", VOCABULARY]


def test_the_bundled_model_writes_the_same_with_int8_activations():
    """A trained model, whose tokens are not a matter of chance."""
    model = load_baseline("storyteller", ON_CPU)
    prompt = torch.tensor([model.tokenizer("Once upon a time there was a")["input_ids"]])
    quantized(model, Affine(8, 64, True))
    expected = greedy(TorchRuntime(model), prompt, 20)
    assert torch.equal(greedy(OnnxRuntime(graph_of(model), 1), prompt, 20), expected)
