"""Encoder classifiers and encoder-decoders: read, compressed, measured and saved as the models that write on are."""

import json

import numpy as np
import pytest
import torch
from compresslab.commands.main import main
from compresslab.contract import cases
from compresslab.data.labelled import Labelled, Pair, read_labelled, read_pairs
from compresslab.engine.generation import BROKEN
from compresslab.engine.job import Job
from compresslab.engine.measuring.context import MeasureContext
from compresslab.engine.models.architecture import AUTO
from compresslab.engine.models.packing import WEIGHTS, load_packed
from compresslab.engine.models.tasks import shifted
from compresslab.engine.progress import Tracker
from compresslab.engine.session import Session
from compresslab.errors import BadInput
from compresslab.messages import Message
from compresslab.models.facts import read_facts
from compresslab.models.packed_layout import file_bytes
from compresslab.planning.estimate import estimate
from compresslab.recipes.generation_request import Decoding
from compresslab.recipes.method import METHODS
from compresslab.recipes.plan import make_plan
from compresslab.recipes.recipe import Recipe
from compresslab.workspace.oneline import generate, save

from tests.tiny_models import OTHER_TASKS, stories, write_checkpoint

CLASSIFIERS, SEQ2SEQ = ["bert", "distilbert", "roberta"], ["t5", "t5 gated", "bart"]
LABELS = ["calm", "merry", "sad"]
every_model = pytest.mark.parametrize("family", list(OTHER_TASKS))
classifiers = pytest.mark.parametrize("family", CLASSIFIERS)
encoder_decoders = pytest.mark.parametrize("family", SEQ2SEQ)
QUALITY = ["perplexity", "accuracy", "exact_match", "agreement"]


def task_of(family):
    return "classification" if family in CLASSIFIERS else "seq2seq"


KNOWN = {
    task: [{name: case} for name, method in METHODS.items() if task in method.tasks for case in cases(method)]
    for task in ("classification", "seq2seq")
}
KNOWN_CASES = [(family, step) for family in OTHER_TASKS for step in KNOWN[task_of(family)]]
UNKNOWN_CASES = [
    (family, {name: cases(method)[0]})
    for family in ("bert", "t5")
    for name, method in METHODS.items()
    if task_of(family) not in method.tasks
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tasks")
    return {family: write_checkpoint(folder / family, family) for family in OTHER_TASKS}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file of examples for each task."""
    folder = tmp_path_factory.mktemp("examples")
    lines = stories(21)
    labelled = [{"text": line[: 30 + 3 * n], "label": LABELS[n % 3]} for n, line in enumerate(lines)]
    pairs = [{"input": line[:30], "target": line[30 : 44 + n]} for n, line in enumerate(lines)]
    found = {"classification": folder / "labels.jsonl", "seq2seq": folder / "pairs.jsonl"}
    for task, rows in (("classification", labelled), ("seq2seq", pairs)):
        found[task].write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return found


@pytest.fixture(scope="module")
def session():
    return Session()


@pytest.fixture
def recipe_for(folders, files, tiny_texts):
    def make(family, *steps, **fields):
        text = str(tiny_texts[0])
        questions = str(files[task_of(family)])
        plain = {
            "model": str(folders[family]),
            "steps": list(steps),
            "calibration": {"text": text, "samples": 48, "sequence_length": 32},
            "evaluation": {"text": text, "context_length": 32, "max_tokens": 1024, "questions": questions},
            "device": "cpu",
            "dtype": "float32",
        }
        return Recipe.from_dict(plain | fields)

    return make


def quiet(event):
    """Nobody watches."""


def job():
    return Job(quiet, lambda: False, Tracker({}, quiet))


@pytest.fixture
def compress(session, recipe_for):
    def run(family, *steps, **fields):
        recipe = recipe_for(family, *steps, **fields)
        model, _ = session.compress(recipe, job())
        return recipe, session.baseline(recipe), model

    return run


def plain_model(folder, family):
    return AUTO[task_of(family)].from_pretrained(folder, dtype=torch.float32).eval()


def logits(module, family, ids):
    inputs = {"input_ids": ids}
    if family in SEQ2SEQ:
        inputs["decoder_input_ids"] = torch.cat([torch.zeros_like(ids[:, :1]), ids[:, :-1]], dim=1)
    with torch.inference_mode():
        return module(**inputs).logits


def values(measurements, variant):
    return {m.metric: m.value for m in measurements if m.variant == variant}


# -- reading ------------------------------------------------------------------------------


@every_model
def test_every_parameter_of_the_model_is_known(folders, family):
    facts = read_facts(str(folders[family]))
    plain = plain_model(folders[family], family)
    buffers = {"final_logits_bias"} if family == "bart" else set()
    assert {w.name for w in facts.weights} == set(dict(plain.named_parameters())) | buffers
    assert facts.task == task_of(family)
    assert facts.labels == (tuple(LABELS) if family in CLASSIFIERS else ())
    assert facts.context_length == 64


@every_model
def test_matrices_are_those_of_the_blocks_each_layer_with_a_number_of_its_own(folders, family):
    facts = read_facts(str(folders[family]))
    linear = [w for w in facts.weights if w.role == "linear"]
    plain = plain_model(folders[family], family)
    roots = (facts.anatomy.blocks, facts.anatomy.decoder or facts.anatomy.blocks)
    modules = {
        f"{name}.weight"
        for name, part in plain.named_modules()
        if isinstance(part, torch.nn.Linear) and name.startswith(roots)
    }
    assert {w.name for w in linear} == modules
    assert {w.layer for w in linear} == set(range(facts.layers))
    if facts.anatomy.decoder:
        last_of_encoder = max(w.layer for w in linear if w.name.startswith(facts.anatomy.blocks))
        assert min(w.layer for w in linear if w.name.startswith(facts.anatomy.decoder)) == last_of_encoder + 1


@every_model
def test_the_baseline_says_what_plain_transformers_says(compress, folders, family):
    _, baseline, same = compress(family)
    ids = torch.arange(1, 41).view(1, 40)
    expected = logits(plain_model(folders[family], family), family, ids)
    assert torch.allclose(logits(baseline.module, family, ids), expected, atol=1e-5, rtol=1e-5)
    assert same.weights_hash() == baseline.weights_hash()


@classifiers
def test_old_names_of_norms_are_known(folders, tmp_path, family):
    from safetensors.torch import load_file, save_file

    folder = tmp_path / family
    folder.mkdir()
    for file in folders[family].iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    tensors = load_file(folder / "model.safetensors")
    old = {
        k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): v
        for k, v in tensors.items()
    }
    root = read_facts(str(folder)).anatomy.root
    old[f"{root}.embeddings.position_ids"] = torch.arange(64).view(1, 64)
    save_file(old, folder / "model.safetensors", metadata={"format": "pt"})
    session = Session()
    found, expected = (
        session.baseline(Recipe(model=str(f), device="cpu", dtype="float32")) for f in (folder, folders[family])
    )
    assert found.weights_hash() == expected.weights_hash()


@pytest.mark.parametrize(
    ("family", "architectures", "says"),
    [
        ("bert", ["BertModel"], "without a classification head"),
        ("roberta", ["RobertaForMaskedLM"], "without a classification head"),
        ("t5", ["T5EncoderModel"], "without a language model head"),
        ("bart", ["BartForSequenceClassification"], "without a language model head"),
    ],
)
def test_another_head_is_refused(folders, tmp_path, family, architectures, says):
    for file in folders[family].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"architectures": architectures}))
    with pytest.raises(BadInput, match=says):
        read_facts(str(tmp_path))


def test_a_t5_that_cannot_generate_is_refused(folders, tmp_path):
    for file in folders["t5"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_decoder_layers": config["num_layers"] + 1}))
    with pytest.raises(BadInput, match="more decoder than encoder blocks"):
        read_facts(str(tmp_path))


# -- compressing --------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "step"), KNOWN_CASES, ids=str)
def test_a_step_does_what_was_planned_and_survives_the_disk(session, compress, tmp_path, family, step):
    recipe, baseline, model = compress(family, step)
    assert model.weights_hash() != baseline.weights_hash()
    changed = {n for n in baseline.stored if not torch.equal(baseline.weight(n), model.weight(n))}
    if not {"quantize_awq", "quantize_smooth"} & set(step):  # which scale what writes into a matrix too
        assert changed <= set(baseline.linear_names()) | set(baseline.embedding_names())
    save(model, tmp_path / "saved")
    again = load_packed(tmp_path / "saved", baseline.facts, session.choice(recipe))
    ids = torch.arange(1, 41).view(1, 40)
    assert again.weights_hash() == model.weights_hash()
    # A head that reads one row is multiplied in an order that hangs on where its weight lies in memory.
    assert torch.allclose(logits(again.module, family, ids), logits(model.module, family, ids), atol=1e-6)
    written = (tmp_path / "saved" / WEIGHTS).stat().st_size
    assert file_bytes(model.layout()) == written
    foreseen = estimate(make_plan(recipe, read_facts(recipe.model)))
    assert foreseen.compressed_bytes == (written if foreseen.exact else pytest.approx(written, rel=0.1))


@pytest.mark.parametrize(("family", "step"), UNKNOWN_CASES, ids=str)
def test_a_method_that_does_not_know_the_task_is_refused(recipe_for, folders, family, step):
    (name,) = step
    with pytest.raises(BadInput, match=f"Step 1: {name} does not support (classifiers|encoder-decoders) yet"):
        make_plan(recipe_for(family, step), read_facts(str(folders[family])))


@encoder_decoders
def test_statistics_are_those_of_a_plain_pass(session, recipe_for, compress, folders, family):
    from compresslab.engine.steps.context import StepContext

    recipe, baseline, _ = compress(family)
    context = StepContext(job(), session, recipe, baseline)
    found = dict(context.input_statistics(hessian=True))
    assert {name for group in found for name in group} == set(baseline.linear_names())
    cross = next(group for group in found if any("EncDec" in n or "encoder_attn.k" in n for n in group))
    plain, seen = plain_model(folders[family], family), []
    module = plain.get_submodule(cross[0].removesuffix(".weight"))
    module.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0].reshape(-1, 32)))
    for ids in context.calibration():
        logits(plain, family, ids.view(1, -1))
    x = torch.cat(seen)
    assert len(x) == found[cross].tokens
    assert torch.allclose(found[cross].hessian, x.T @ x / len(x), rtol=1e-3, atol=1e-5)


@classifiers
def test_sequential_statistics_see_the_layers_before(compress, family):
    step = {"quantize_gptq": {"bits": 3, "group_size": 16}}
    recipe, baseline, one_look = compress(family, step)
    calibration = recipe.calibration.model_dump() | {"statistics": "sequential"}
    _, _, each_time = compress(family, step, calibration=calibration)
    first = baseline.facts.anatomy.weight(0, baseline.facts.anatomy.attention.inputs[0])
    assert torch.equal(one_look.weight(first), each_time.weight(first))
    assert one_look.weights_hash() != each_time.weights_hash()


def test_sequential_statistics_are_refused_for_two_stacks(recipe_for, folders):
    recipe = recipe_for("t5", {"quantize_gptq": {}}, calibration={"statistics": "sequential"})
    with pytest.raises(BadInput, match="can't be sequential for encoder-decoders"):
        make_plan(recipe, read_facts(str(folders["t5"])))


# -- measuring ----------------------------------------------------------------------------


def measured(session, recipe, model, stage="final"):
    from compresslab.engine.pipeline import measure

    return measure(MeasureContext(job(), session, recipe, session.baseline(recipe), model, stage))


@classifiers
def test_accuracy_and_agreement_are_those_of_a_plain_loop(session, compress, folders, files, family):
    recipe, baseline, model = compress(family, {"quantize_rtn": {"bits": 2}}, metrics=QUALITY)
    found = measured(session, recipe, model)
    rows = [json.loads(line) for line in files["classification"].read_text().splitlines()]
    plain, tokenizer = plain_model(folders[family], family), baseline.tokenizer
    said = []
    for module in (plain, model.module):
        with torch.inference_mode():
            one = [module(torch.tensor([tokenizer(row["text"]).input_ids])).logits[0] for row in rows]
        said.append(torch.stack(one).log_softmax(-1))
    before, after = said
    answers = torch.tensor([LABELS.index(row["label"]) for row in rows])
    assert values(found, "baseline")["accuracy"] == pytest.approx(float((before.argmax(1) == answers).float().mean()))
    compressed = values(found, "compressed")
    assert compressed["accuracy"] == pytest.approx(float((after.argmax(1) == answers).float().mean()))
    changed = before.argmax(1) != after.argmax(1)
    assert compressed["flipped_answers"] == pytest.approx(float(changed.float().mean()))
    divergence = float((before.exp() * (before - after)).sum(1).mean())
    assert compressed["kl_divergence"] == pytest.approx(divergence, rel=1e-3, abs=1e-6)
    assert {m.metric for m in found} == {"accuracy", "flipped_answers", "kl_divergence", "top1_agreement"}
    assert {m.sample_unit for m in found} == {"examples"}


@encoder_decoders
def test_perplexity_and_exact_match_are_those_of_a_plain_loop(session, compress, folders, files, family):
    recipe, baseline, model = compress(family, {"quantize_rtn": {"bits": 2}}, metrics=QUALITY)
    found = measured(session, recipe, model)
    rows = [json.loads(line) for line in files["seq2seq"].read_text().splitlines()]
    plain, tokenizer = plain_model(folders[family], family), baseline.tokenizer
    for variant, module in (("baseline", plain), ("compressed", model.module)):
        nll, count = 0.0, 0
        for row in rows:
            target = torch.tensor([tokenizer(row["target"]).input_ids])
            with torch.inference_mode():
                loss = module(torch.tensor([tokenizer(row["input"]).input_ids]), labels=target).loss
            nll, count = nll + float(loss) * target.numel(), count + target.numel()
        assert values(found, variant)["perplexity"] == pytest.approx(np.exp(nll / count), rel=1e-5)
    samples = {m.metric: m.samples for m in found if m.variant == "compressed"}
    assert samples["perplexity"] == count and samples["exact_match"] == len(rows)
    assert set(samples) == {"perplexity", "exact_match", "flipped_answers", "kl_divergence", "top1_agreement"}


def plain_answers(module, tokenizer, prompts, new_tokens):
    """Greedy, one prompt at a time."""
    found = []
    for prompt in prompts:
        ids = torch.tensor([tokenizer(prompt).input_ids])
        out = module.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=new_tokens, do_sample=False)
        found.append(tuple(out[0, 1:].tolist()))
    return found


@encoder_decoders
def test_an_answer_is_that_of_plain_transformers(compress, folders, family):
    _, baseline, _ = compress(family)
    prompts = [line[:30] for line in stories(5)]
    given = [generate(baseline, text, Decoding(strategy="greedy", max_new_tokens=6)) for text in prompts]
    plain = plain_answers(plain_model(folders[family], family), baseline.tokenizer, prompts, 6)
    # Half a character at the end is not told.
    assert given == [baseline.tokenizer.decode(ids, skip_special_tokens=True).rstrip(BROKEN) for ids in plain]


@encoder_decoders
def test_exact_match_counts_the_answers_that_are_the_target(compress, folders, monkeypatch, family):
    from compresslab.engine.lru import Budget
    from compresslab.engine.measuring import answers
    from compresslab.engine.measuring.baseline_scores import BaselineScores, Subject
    from compresslab.engine.measuring.examples import Bench, Encoded

    monkeypatch.setattr(answers, "ROOM", 0)  # a random model never ends by itself
    _, baseline, model = compress(family, {"quantize_rtn": {"bits": 2}})
    prompts = [line[: 20 + n] for n, line in enumerate(stories(18))]
    tokenizer = baseline.tokenizer
    before = plain_answers(plain_model(folders[family], family), tokenizer, prompts, 6)
    after = plain_answers(model.module, tokenizer, prompts, 6)
    targets = [ids if n % 2 else (5, 6, 7, 8, 9, 10) for n, ids in enumerate(before)]
    examples = [
        Encoded(tuple(tokenizer(prompt).input_ids), (), target) for prompt, target in zip(prompts, targets, strict=True)
    ]
    subject = Subject.of(baseline, "answers", "pairs", Message("plain", text="pairs"), len(examples), 64)
    bench = Bench(baseline, model, examples, "pairs", BaselineScores(Budget(2**20)), subject, lambda: None)
    *_, scores = answers.score_answers(bench)
    text = [[tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in some] for some in (before, after)]
    right = [tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in targets]
    assert (scores.baseline_picks == scores.answers).tolist() == [a == b for a, b in zip(text[0], right, strict=True)]
    assert (scores.compressed_picks == scores.answers).tolist() == [a == b for a, b in zip(text[1], right, strict=True)]
    assert (scores.baseline_picks != scores.compressed_picks).tolist() == [a != b for a, b in zip(*text, strict=True)]
    assert 0 < (scores.baseline_picks == scores.answers).sum() < len(prompts)


def test_an_answer_is_right_where_its_text_is_the_target(compress):
    from compresslab.engine.measuring.answers import BASELINE, OTHER, TARGET, _picks

    _, baseline, _ = compress("t5")
    ids = [tuple(baseline.tokenizer(text).input_ids) for text in ("red kite", "red hat", "blue boat")]
    padded = torch.tensor([list(i) + [0] * (12 - len(i)) for i in ids])
    after = padded.clone()
    after[2] = padded[0]
    found = _picks(baseline.tokenizer, (0,), padded, after, [ids[0], ids[0], ids[1]])
    assert found.tolist() == [[TARGET, BASELINE, BASELINE], [TARGET, BASELINE, OTHER]]


@every_model
def test_a_draft_reads_a_quarter(session, compress, family):
    recipe, _, model = compress(family, {"quantize_rtn": {"bits": 4}}, metrics=QUALITY)
    found = measured(session, recipe, model, "draft")
    assert {m.samples for m in found if m.sample_unit == "examples"} <= {5}
    assert "exact_match" not in {m.metric for m in found}


def test_what_the_decoder_reads_is_one_place_later(compress):
    _, baseline, _ = compress("t5")
    targets = torch.tensor([[5, 6, 7], [8, -100, -100]])
    assert shifted(baseline, targets).tolist() == [[0, 5, 6], [0, 8, 0]]


@every_model
def test_a_whole_run_measures_speed_and_size_too(session, recipe_for, family, tmp_path, monkeypatch):
    monkeypatch.setenv("COMPRESSLAB_HOME", str(tmp_path))
    speed = {"speed": {"repeats": 2, "prompt_tokens": 16, "new_tokens": 4}}
    recipe = recipe_for(family, {"prune_magnitude": {"sparsity": 0.5}}, metrics=[speed, "footprint"])
    record = session.run(recipe, run_id="r", stage="final", report=quiet, cancelled=lambda: False)
    metrics = {m.metric for m in record.measurements}
    timed = {"prefill_tokens_per_second"} | (
        set() if family in CLASSIFIERS else {"ttft_seconds", "decode_tokens_per_second"}
    )
    assert {name for name in metrics if "second" in name} == timed
    assert {"size_on_disk_bytes", "peak_memory_bytes", "sparsity"} <= metrics


@pytest.mark.parametrize("family", ["t5", "bert"])
def test_a_test_text_that_is_not_measured_on_is_said_so(session, recipe_for, family):
    recipe = recipe_for(family, metrics=["perplexity", "accuracy", "footprint"])
    record = session.run(recipe, run_id="r", stage="draft", report=quiet, cancelled=lambda: False)
    codes = [said.code for said in record.notices]
    assert "run.text_unused" in codes and "run.text" not in codes and "run.context_lowered" not in codes
    given = recipe.replace(evaluation=recipe.evaluation.model_copy(update={"text": "bundled"}))
    record = session.run(given, run_id="r", stage="draft", report=quiet, cancelled=lambda: False)
    assert "run.text_unused" not in [said.code for said in record.notices]


# -- answers ------------------------------------------------------------------------------


@classifiers
def test_a_classifier_writes_no_text(compress, family):
    _, baseline, _ = compress(family)
    with pytest.raises(BadInput, match="is a classifier"):
        generate(baseline, "Mia had")


@encoder_decoders
def test_beam_search_answers_too(compress, family):
    _, baseline, _ = compress(family)
    prompt = stories(1)[0]
    ids = torch.tensor([baseline.tokenizer(prompt).input_ids])
    out = baseline.module.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=5, num_beams=3, do_sample=False
    )
    expected = baseline.tokenizer.decode(out[0, 1:], skip_special_tokens=True).rstrip(BROKEN)
    assert generate(baseline, prompt, Decoding(strategy="beam", beams=3, max_new_tokens=5)) == expected


# -- files --------------------------------------------------------------------------------


@pytest.fixture
def facts(folders):
    return {"classification": read_facts(str(folders["bert"])), "seq2seq": read_facts(str(folders["t5"]))}


def test_csv_and_jsonl_say_the_same(tmp_path, facts):
    labels, pairs = tmp_path / "l.csv", tmp_path / "p.csv"
    labels.write_text('text,label\n"a, b",merry\nc,2\n', encoding="utf-8")
    pairs.write_text('\ufeffinput,target\n"two\nlines",x\n', encoding="utf-8")
    assert read_labelled(str(labels), facts["classification"]) == [Labelled("a, b", 1), Labelled("c", 2)]
    assert read_pairs(str(pairs), facts["seq2seq"]) == [Pair("two\nlines", "x")]
    lines = tmp_path / "l.jsonl"
    lines.write_text('{"text": "a", "text_pair": "b", "label": 0}\n\n{"text": "c", "label": "sad"}\n')
    assert read_labelled(str(lines), facts["classification"]) == [Labelled("a", 0, "b"), Labelled("c", 2)]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.jsonl", '{"text": "a", "label": "merry"}\n{"text": "b", "label": "angry"}', "line 2: the label is 'angry'"),
        ("a.jsonl", '{"text": "a", "label": 3}', "numbers from 0 to 2"),
        ("a.jsonl", '{"text": "a", "label": true}', "the label is True"),
        ("a.jsonl", '{"text": "a"}', "line 1 needs the keys text and label"),
        ("a.jsonl", '{"text": "", "label": 0}', "text must be a text"),
        ("a.jsonl", "{text", "line 1 is not valid JSON"),
        ("a.csv", "a,b\nc,d", "line 1: the header needs the columns text and label"),
        ("a.csv", "text,label\nonly", "line 2 does not have as many columns"),
        ("a.csv", "text,label\na, b,merry", "line 2 does not have as many columns"),
        ("a.csv", "text,label\n", "There are no examples"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(tmp_path, facts, name, content, says):
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(BadInput, match=says):
        read_labelled(str(tmp_path / name), facts["classification"])


@every_model
def test_the_bundled_questions_are_refused_before_any_work(session, recipe_for, family):
    recipe = recipe_for(family, evaluation={"questions": "bundled"})
    with pytest.raises(BadInput, match=r"evaluation\.questions must be a JSONL file"):
        session.run(recipe, run_id="x", stage="draft", report=quiet, cancelled=lambda: False)


@pytest.mark.parametrize("family", ["bert", "t5"])
def test_the_command_line_runs_one(folders, files, tiny_texts, tmp_path, monkeypatch, capsys, family):
    monkeypatch.setenv("COMPRESSLAB_HOME", str(tmp_path))
    settings = [f"model={folders[family]}", f"evaluation.questions={files[task_of(family)]}"]
    settings += [f"evaluation.text={tiny_texts[0]}", f"calibration.text={tiny_texts[0]}"]
    settings += ["evaluation.context_length=32", "calibration.sequence_length=32", "quantize_gptq.bits=4"]
    settings += ["speed.repeats=2", "speed.new_tokens=4", "device=cpu"]
    code = main(["run", *(part for setting in settings for part in ("--set", setting))])
    said = capsys.readouterr().out
    assert code == 0
    assert ("accuracy" if family == "bert" else "exact_match") in said


@every_model
def test_the_export_loads_in_plain_transformers(compress, tmp_path, family):
    from compresslab.exports.transformers import Transformers

    _, _, model = compress(family, {"prune_wanda": {"sparsity": 0.5}}, {"quantize_rtn": {"bits": 4}})
    Transformers().write(model, tmp_path / "export")
    ids = torch.arange(1, 41).view(1, 40)
    expected = logits(model.module, family, ids)
    assert torch.allclose(logits(plain_model(tmp_path / "export", family), family, ids), expected, atol=1e-6)
