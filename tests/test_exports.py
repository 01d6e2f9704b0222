"""Exports: what is offered, written, opened again, compared and described; and what leaves nothing behind."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import transformers
import yaml
from compresslab.errors import BadInput, Cancelled, RunFailed
from compresslab.exports.format import Contents, Reopened
from compresslab.exports.gguf import Gguf
from compresslab.exports.gptq import Gptq
from compresslab.exports.registry import FORMATS
from compresslab.exports.transformers import WEIGHTS, Transformers
from compresslab.files.paths import run_folder
from compresslab.messages import plain
from compresslab.models.packed_layout import PACKED
from compresslab.recipes.recipe import Recipe
from compresslab.records.events import Progress
from compresslab.work.exporting import CARD, RECORD, SPARE_BYTES, contents_of_run, folder_name
from compresslab.workspace import Workspace
from safetensors.torch import load_file, save_file

from tests.local_hub import PUSHED, local_hub
from tests.tiny_models import stories, write_checkpoint

ROOT = Path(__file__).resolve().parent.parent
LINES = list(enumerate(stories(12)))
CLASSIFIER = "AutoModelForSequenceClassification"
GROUPED = {"quantize_rtn": {"bits": 4, "group_size": 16}}


@pytest.fixture
def workspace(own_home):
    return Workspace()


@pytest.fixture
def ran(workspace, tiny_recipe):
    """`ran(*steps, family=...)`: the record of a finished run of a tiny model."""

    def make(*steps, family="llama"):
        recipe = tiny_recipe(family, *steps).to_dict() | {"metrics": ["perplexity"]}
        return workspace.run(Recipe.from_dict(recipe))

    return make


# -- what the registry promises -------------------------------------------------------------------


def test_naming_the_formats_needs_no_torch():
    code = (
        "import sys; import compresslab.work.exporting, compresslab.exports.registry;"
        "print([name for name in ('torch', 'transformers', 'onnx', 'onnxruntime', 'gguf') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
def test_a_format_says_what_it_is(form):
    assert form.label and form.plain.endswith(".") and form.help.endswith(".")
    assert form.opened_by and form.weight_files


# -- the way out ----------------------------------------------------------------------------------


def test_an_export_is_opened_again_and_the_record_says_how_it_answered(workspace, ran, tmp_path):
    record = ran(GROUPED)
    heard = []
    settings = {"transformers": {"dtype": "float32"}}
    (done,) = workspace.exports.write(
        record.run_id, "transformers", tmp_path / "out", settings=settings, report=heard.append
    )
    folder = tmp_path / "out" / folder_name(record, "transformers")
    assert done.folder == str(folder)
    assert str(done.opened_by) == f"transformers {transformers.__version__}"
    assert done.relative_difference <= done.bound == pytest.approx(1e-4)
    assert done.weight_bytes == (folder / WEIGHTS).stat().st_size
    assert abs(done.weight_bytes - done.estimated_bytes) < 10_000
    perplexity = next(m for m in done.quality if m.metric == "perplexity")
    assert (
        perplexity.stage == "draft" and str(perplexity.dataset).endswith("context 32") and abs(perplexity.change) < 0.01
    )
    assert workspace.runs.find(record.run_id).exports == [done]
    assert json.loads((folder / RECORD).read_text()) == done.model_dump(mode="json")
    fractions = [event.fraction for event in heard if isinstance(event, Progress)]
    assert fractions == sorted(fractions) and len({e.stage for e in heard if isinstance(e, Progress)}) >= 3
    assert list((tmp_path / "out").iterdir()) == [folder], "nothing temporary stays"


def test_float32_gives_every_effective_weight_back_to_the_bit(workspace, ran, tmp_path):
    from compresslab.engine.models.model import effective
    from compresslab.engine.session import Session

    record = ran({"prune_wanda": {"sparsity": 0.5}}, GROUPED)
    (done,) = workspace.exports.write(
        record.run_id, "transformers", tmp_path, settings={"transformers": {"dtype": "float32"}}
    )
    model = Session().saved_run(record.run_id, {"device": "cpu", "dtype": "float32"})
    written = load_file(Path(done.folder) / WEIGHTS)
    for name, stored in model.stored.items():
        assert torch.equal(written[name], effective(stored)), name


def test_a_half_precision_export_is_half_as_large_and_still_answers(workspace, ran, tmp_path):
    record = ran(GROUPED)
    sizes = {}
    for dtype in ("float32", "float16", "bfloat16"):
        settings = {"transformers": {"dtype": dtype}}
        (done,) = workspace.exports.write(record.run_id, "transformers", tmp_path / dtype, settings=settings)
        sizes[dtype] = done.weight_bytes
        assert done.unexplained_difference <= done.bound == 1e-4, "beside the same weights in that dtype"
        assert done.relative_difference > 1e-4 or dtype == "float32"
    assert sizes["float16"] == pytest.approx(sizes["bfloat16"], rel=0.01), "headers differ by a letter"
    assert sizes["float32"] == pytest.approx(2 * sizes["float16"], rel=0.05)


def test_rounded_inputs_are_said_to_be_dropped_and_the_rest_still_compared(workspace, ran, tmp_path):
    record = ran({"quantize_smooth": {"bits": 8}})
    (offer,) = [offer for offer in workspace.exports.offers(record.run_id) if offer.form.name == "transformers"]
    assert any("round their inputs" in str(remark) for remark in offer.remarks)
    (done,) = workspace.exports.write(
        record.run_id, "transformers", tmp_path, settings={"transformers": {"dtype": "float32"}}
    )
    assert any(note.code == "export.inputs_compared" for note in done.notes)
    assert done.relative_difference <= done.bound
    assert "round their inputs" in (Path(done.folder) / CARD).read_text()


@pytest.mark.parametrize("steps", [({"prune_layers": {"layers": 1}},), ({"prune_channels": {"mlp": 0.5}}, GROUPED)])
def test_models_of_other_shapes_are_estimated_and_opened(workspace, ran, tmp_path, steps):
    record = ran(*steps)
    (done,) = workspace.exports.write(record.run_id, "transformers", tmp_path)
    assert abs(done.weight_bytes - done.estimated_bytes) < 10_000


def test_the_queue_takes_the_same_way(workspace, ran, tmp_path):
    from compresslab.engine.session import Session
    from compresslab.work.child import outcome
    from compresslab.work.worker import Worker

    record = ran(GROUPED)
    (job_id,) = workspace.exports.submit(record.run_id, "transformers", tmp_path)
    job = workspace.jobs.find(job_id)
    assert job.kind == "export" and job.run_id is None, "a failed export must not take the run's folder with it"
    ended = outcome(Session(), job.payload, lambda event: None, lambda: False)
    Worker(workspace.store).main._keep(job, ended)
    (kept,) = workspace.runs.find(record.run_id).exports
    assert ended["state"] == "done" and Path(kept.folder) == tmp_path / folder_name(record, "transformers")
    assert (Path(kept.folder) / WEIGHTS).exists()


# -- what is offered ------------------------------------------------------------------------------


def test_the_packed_header_alone_says_what_the_model_in_memory_says(ran):
    from compresslab.engine.session import Session
    from compresslab.exports.verified import contents_of

    record = ran({"prune_layers": {"layers": 1}}, {"prune_wanda": {"sparsity": 0.7}}, GROUPED)
    model = Session().saved_run(record.run_id, {"device": "cpu", "dtype": "float32"})
    known = {w.name: (w.shape, w.grid) for w in contents_of(model).layout}
    read = {w.name: (w.shape, w.grid) for w in contents_of_run(record).layout}
    assert read == known and any(grid for _, grid in read.values())


def test_a_run_whose_weights_are_gone_is_refused(workspace, ran):
    record = ran(GROUPED)
    (run_folder(record.run_id) / PACKED).unlink()
    with pytest.raises(BadInput, match="no longer here; run its recipe again"):
        workspace.exports.offers(record.run_id)


# -- refusals, before anything is written ---------------------------------------------------------


def refused(call, match, place):
    with pytest.raises(BadInput, match=match):
        call()
    assert not list(place.glob("*")), "nothing half-done may be left behind"


def test_bad_requests_are_refused_before_any_work(workspace, ran, tmp_path):
    run_id, out = ran(GROUPED).run_id, tmp_path / "out"
    out.mkdir()
    refused(lambda: workspace.exports.write(run_id, "zip", out), "no format 'zip'; there are onnx, gguf", out)
    refused(lambda: workspace.exports.write(run_id, [], out), "Name a format", out)
    settings = {"transformers": {"dtype": "int8"}}
    refused(lambda: workspace.exports.write(run_id, "transformers", out, settings=settings), "it takes one of", out)
    refused(lambda: workspace.exports.write(run_id, "transformers", out, push="nobody"), "write owner/name", out)
    refused(lambda: workspace.exports.write("nope", "transformers", out), "no run 'nope'", out)


def test_a_disk_without_room_is_refused(workspace, ran, tmp_path, monkeypatch):
    record = ran(GROUPED)
    free = SimpleNamespace(free=SPARE_BYTES + 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    refused(
        lambda: workspace.exports.write(record.run_id, "transformers", tmp_path / "o"),
        "free some space",
        tmp_path / "o",
    )


def test_a_place_that_can_not_hold_a_folder_is_refused(workspace, ran, tmp_path, monkeypatch):
    record, file = ran(GROUPED), tmp_path / "notes.txt"
    file.write_text("mine")
    with pytest.raises(BadInput, match=r"notes\.txt is a file, and exports go into a folder"):
        workspace.exports.write(record.run_id, "transformers", file)
    monkeypatch.setattr(
        "compresslab.work.exporting.os.access", lambda path, mode: False
    )  # who runs as root may write anywhere
    with pytest.raises(BadInput, match=r"can't be written to; choose another place"):
        workspace.exports.write(record.run_id, "transformers", tmp_path / "out")
    assert file.read_text() == "mine" and not (tmp_path / "out").exists()


def test_every_file_may_be_read_by_whoever_may_read_the_card(workspace, ran, tmp_path):
    (done,) = workspace.exports.write(ran(GROUPED).run_id, "transformers", tmp_path)
    modes = {file.stat().st_mode for file in Path(done.folder).iterdir()}
    assert modes == {(Path(done.folder) / CARD).stat().st_mode}


def test_what_is_no_export_is_never_written_over(workspace, ran, tmp_path):
    record = ran(GROUPED)
    folder = tmp_path / folder_name(record, "transformers")
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(BadInput, match="exists already and is not an export"):
        workspace.exports.write(record.run_id, "transformers", tmp_path)
    assert (folder / "thesis.txt").read_text() == "mine"


def test_an_older_export_is_replaced_in_folder_and_record(workspace, ran, tmp_path):
    record = ran(GROUPED)
    workspace.exports.write(record.run_id, "transformers", tmp_path)
    settings = {"transformers": {"dtype": "float32"}}
    (second,) = workspace.exports.write(record.run_id, "transformers", tmp_path, settings=settings)
    assert workspace.runs.find(record.run_id).exports == [second]


# -- failures leave nothing -----------------------------------------------------------------------


def failing(workspace, record, out, error):
    with pytest.raises(error) as caught:
        workspace.exports.write(record.run_id, "transformers", out)
    assert not out.exists() or not list(out.iterdir()), "nothing half-done may be left behind"
    assert workspace.runs.find(record.run_id).exports == []
    return str(caught.value)


def test_files_that_answer_otherwise_are_not_kept(workspace, ran, tmp_path, monkeypatch):
    record, write = ran(GROUPED), Transformers.write

    def wrong(self, model, folder):
        write(self, model, folder)
        tensors = load_file(folder / WEIGHTS)
        name = "model.layers.1.mlp.down_proj.weight"
        tensors[name] = tensors[name].roll(1, 0)
        save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})

    monkeypatch.setattr(Transformers, "write", wrong)
    said = failing(workspace, record, tmp_path / "out", RunFailed)
    assert "does not answer like the model in memory" in said and "Nothing was kept" in said


ROUNDED_AGAIN = {
    "gguf": ({"bits": 4, "group_size": 16}, {}),
    "gguf as Q4_1": ({"bits": 4, "group_size": 32, "symmetric": False}, {"gguf": {"asymmetric": "small"}}),
    "transformers": ({"bits": 4, "group_size": 16}, {"transformers": {"dtype": "bfloat16"}}),
    "gptq": ({"bits": 4, "group_size": 16, "embedding_bits": 4}, {}),
    "compressed-tensors": ({"bits": 4, "group_size": 16, "embedding_bits": 4}, {}),
}


@pytest.mark.parametrize("case", ROUNDED_AGAIN)
def test_what_is_rounded_once_more_is_compared_as_tightly(workspace, ran, tmp_path, case):
    """qwen2 is stored in bfloat16: an embedding that lies on a grid, and is written dense, is rounded to that."""
    grid, settings = ROUNDED_AGAIN[case]
    record = ran({"quantize_rtn": grid}, family="qwen2")
    (done,) = workspace.exports.write(record.run_id, case.split()[0], tmp_path, settings=settings)
    assert done.relative_difference > 2 * done.bound == pytest.approx(2e-4)
    assert done.unexplained_difference <= done.bound


def test_a_file_that_rounds_again_and_answers_otherwise_is_not_kept(workspace, ran, tmp_path, monkeypatch):
    """Two rows of one matrix exchanged, far less than rounding again may explain."""
    from compresslab.engine.session import Session
    from compresslab.exports import write_gguf

    record, data = ran(GROUPED, family="qwen2"), write_gguf._data

    def exchanged(weight, *how):
        rows = data(weight, *how)
        return rows[[1, 0, *range(2, len(rows))]] if weight.name.endswith("0.mlp.up_proj.weight") else rows

    rounded = Gguf().rounded(Session().saved_run(record.run_id, {"device": "cpu", "dtype": "float32"}))
    monkeypatch.setattr(Gguf, "rounded", lambda self, model: rounded)
    monkeypatch.setattr(write_gguf, "_data", exchanged)
    with pytest.raises(RunFailed, match="does not answer like the model in memory"):
        workspace.exports.write(record.run_id, "gguf", tmp_path / "out")
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize("how", ["raises", "answers otherwise"])
def test_a_program_that_is_installed_and_fails_is_told_and_the_export_is_kept(
    workspace, ran, tmp_path, monkeypatch, how
):
    def opened(self, folder):
        if how == "raises":
            raise LookupError("no such layer\nat all")
        reopened = Gptq.reopen(self, folder)
        return Reopened(lambda ids: reopened.logits(ids).roll(1, -1), by=plain("GPTQModel 7"), arithmetic=0.005)

    record = ran(GROUPED)
    monkeypatch.setattr(Gptq, "reopen_elsewhere", opened)
    (done,) = workspace.exports.write(record.run_id, "gptq", tmp_path)
    said = "no such layer" if how == "raises" else "its logits differ by"
    assert f"GPTQModel is installed here and does not read this export right: {said}" in " ".join(map(str, done.notes))
    assert done.opened_by is None and "fails" in str(done.not_opened_by)
    assert done.unexplained_difference <= done.bound == 1e-4
    assert "at all" not in (Path(done.folder) / CARD).read_text()


def test_files_that_cut_text_otherwise_are_not_kept(workspace, ran, tmp_path, monkeypatch):
    record, write = ran(GROUPED), Transformers.write

    def lowering(self, model, folder):
        write(self, model, folder)
        file = folder / "tokenizer.json"
        plain = json.loads(file.read_text()) | {"normalizer": {"type": "Lowercase"}}
        file.write_text(json.dumps(plain))

    monkeypatch.setattr(Transformers, "write", lowering)
    assert "cuts text into other tokens" in failing(workspace, record, tmp_path / "out", RunFailed)


def test_files_of_another_size_are_not_kept(workspace, ran, tmp_path, monkeypatch):
    record, write = ran(GROUPED), Transformers.write

    def large(self, model, folder):
        write(self, model, folder)
        (folder / "more.safetensors").write_bytes(bytes(2**20))

    monkeypatch.setattr(Transformers, "write", large)
    assert "were expected" in failing(workspace, record, tmp_path / "out", RunFailed)


def test_files_that_do_not_open_are_not_kept(workspace, ran, tmp_path, monkeypatch):
    record, write = ran(GROUPED), Transformers.write

    def broken(self, model, folder):
        write(self, model, folder)
        (folder / "config.json").write_text("{}")

    monkeypatch.setattr(Transformers, "write", broken)
    assert "can't be opened again" in failing(workspace, record, tmp_path / "out", RunFailed)


def test_numbers_that_are_none_are_not_kept(workspace, ran, tmp_path, monkeypatch):
    record = ran(GROUPED)

    def reopen(self, folder):
        vocabulary = json.loads((folder / "config.json").read_text())["vocab_size"]
        return Reopened(lambda ids: torch.full((*ids.shape, vocabulary), float("nan")), by="nobody")

    monkeypatch.setattr(Transformers, "reopen", reopen)
    failing(workspace, record, tmp_path / "out", RunFailed)


def test_a_cancelled_export_leaves_nothing(workspace, ran, tmp_path):
    record, out = ran(GROUPED), tmp_path / "out"
    with pytest.raises(Cancelled):
        workspace.exports.write(record.run_id, "transformers", out, cancelled=lambda: True)
    assert not out.exists() or not list(out.iterdir())


# -- other tasks ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "rows", "opened_with"),
    [
        ("bert", [{"text": line[: 30 + n], "label": "merry" if n % 2 else "sad"} for n, line in LINES], CLASSIFIER),
        ("bart", [{"input": line[:30], "target": line[30 : 44 + n]} for n, line in LINES], "AutoModelForSeq2SeqLM"),
        ("t5", [{"input": line[:30], "target": line[30 : 44 + n]} for n, line in LINES], "AutoModelForSeq2SeqLM"),
    ],
)
def test_models_of_other_tasks_are_opened_by_plain_transformers(workspace, tmp_path, family, rows, opened_with):
    questions = tmp_path / "questions.jsonl"
    questions.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    recipe = {"model": str(write_checkpoint(tmp_path / family, family)), "steps": [GROUPED], "device": "cpu"}
    evaluation = {"evaluation": {"questions": str(questions)}, "metrics": ["accuracy"], "dtype": "float32"}
    record = workspace.run(Recipe.from_dict(recipe | evaluation))
    (done,) = workspace.exports.write(record.run_id, "transformers", tmp_path / "out")
    assert done.relative_difference <= done.bound == 1e-4
    _, body = card_of(done)
    assert f"{opened_with}.from_pretrained" in body and "vllm serve" not in body


def test_formats_for_writers_refuse_a_classifier(tiny_facts):
    from dataclasses import replace

    from compresslab.exports.format import why_not

    anatomy = replace(tiny_facts.anatomy, task="classification")
    contents = Contents(replace(tiny_facts, anatomy=anatomy), tiny_facts.weights, {})
    refusals = {name: why_not(form(), contents) for name, form in FORMATS.items()}
    assert refusals.pop("transformers") is None
    assert all(said and "use transformers" in str(said) for said in refusals.values())


# -- the card -------------------------------------------------------------------------------------


def card_of(done):
    text = (Path(done.folder) / CARD).read_text(encoding="utf-8")
    _, matter, body = text.split("---\n", 2)
    return yaml.safe_load(matter), body


def test_the_card_says_what_was_done_and_how_to_load_it(workspace, ran, tmp_path):
    record = ran(GROUPED)
    (done,) = workspace.exports.write(record.run_id, "transformers", tmp_path)
    matter, body = card_of(done)
    assert matter["tags"] == ["compresslab", "compressed", "quantize_rtn"]
    recipe = body.split("```yaml\n")[1].split("```")[0]
    assert Recipe.from_yaml(recipe) == Recipe.from_dict(record.recipe)
    assert "AutoModelForCausalLM.from_pretrained" in body and "vllm serve" in body
    assert f"opened with {done.opened_by}" in body
    assert "perplexity" in body and "±" in body and record.hardware.device_name in body
    assert "Unknown" in body and "license" not in matter, "tiny models say nothing of a licence"


def test_the_licence_of_the_base_model_is_carried_over(workspace, tiny_recipe, tiny_folders, tmp_path):
    base = shutil.copytree(tiny_folders["llama"], tmp_path / "base")
    (base / "README.md").write_text("---\nlicense: mit\nlanguage: en\n---\n# Base\n")
    (base / "LICENSE").write_text("Permission is hereby granted.")
    recipe = tiny_recipe("llama", GROUPED).to_dict() | {"model": str(base), "metrics": ["perplexity"]}
    record = workspace.run(Recipe.from_dict(recipe))
    (done,) = workspace.exports.write(record.run_id, "transformers", tmp_path / "out")
    matter, body = card_of(done)
    assert matter["license"] == "mit" and "derived: mit. See LICENSE" in body
    assert (Path(done.folder) / "LICENSE").read_text() == "Permission is hereby granted."


# -- the Hub --------------------------------------------------------------------------------------


@pytest.fixture
def hub(monkeypatch):
    """Somebody is signed in, and what the Hub is asked for is written down."""
    calls = []
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "secret")
    monkeypatch.setattr("huggingface_hub.HfApi.create_repo", lambda self, name, **how: calls.append((name, how)))
    monkeypatch.setattr("huggingface_hub.HfApi.upload_folder", lambda self, **how: calls.append(how))
    return calls


def test_a_push_without_a_token_is_refused_before_any_work(workspace, ran, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    run_id = ran(GROUPED).run_id
    refused(
        lambda: workspace.exports.write(run_id, "transformers", tmp_path / "o", push="me/s"), "HF_TOKEN", tmp_path / "o"
    )


def test_a_push_uploads_the_folder_as_it_is(workspace, ran, tmp_path, hub):
    (done,) = workspace.exports.write(ran(GROUPED).run_id, "transformers", tmp_path, push="me/small")
    (name, how), upload = hub
    assert name == "me/small" and how["private"] and upload["repo_id"] == "me/small"
    assert upload["folder_path"] == Path(done.folder) and done.pushed_to == "me/small"
    assert 'from_pretrained("me/small")' in (Path(done.folder) / CARD).read_text()


@pytest.mark.parametrize(("form", "line"), [("gguf", "small/model.gguf"), ("onnx", "python small/run.py")])
def test_a_card_on_the_hub_says_how_to_fetch_what_its_program_does_not(workspace, ran, tmp_path, hub, form, line):
    (done,) = workspace.exports.write(ran(GROUPED).run_id, form, tmp_path, push="me/small")
    card = (Path(done.folder) / CARD).read_text()
    assert "hf download me/small --local-dir small" in card and line in card and "me/small/" not in card


def test_a_hub_gets_every_file_and_the_licence_in_a_private_repository(
    workspace, tiny_recipe, tiny_folders, tmp_path, monkeypatch
):
    base = shutil.copytree(tiny_folders["llama"], tmp_path / "base")
    (base / "README.md").write_text("---\nlicense: mit\n---\n# Base\n")
    (base / "LICENSE").write_text("Permission is hereby granted.")
    recipe = tiny_recipe("llama", GROUPED).to_dict() | {"model": str(base), "metrics": ["perplexity"]}
    record = workspace.run(Recipe.from_dict(recipe))
    monkeypatch.setenv("HF_TOKEN", "hf_for_nobody")
    with local_hub({}) as server:
        monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", server.url)
        (done,) = workspace.exports.write(record.run_id, "transformers", tmp_path / "out", push=PUSHED)
    (made,) = server.made
    assert made["name"] == "small" and made["organization"] == "me"
    assert made.get("private") is True or made.get("visibility") == "private"
    files = {file.name: file.read_bytes() for file in Path(done.folder).iterdir()}
    assert server.pushed[PUSHED] == files and files["LICENSE"] == b"Permission is hereby granted."
    assert b"license: mit" in files[CARD]


def test_one_repository_takes_one_format(workspace, ran, tmp_path, hub):
    run_id, both = ran(GROUPED).run_id, ["transformers", "onnx"]
    refused(lambda: workspace.exports.write(run_id, both, tmp_path / "o", push="me/s"), "one format", tmp_path / "o")
    assert hub == []


def test_a_hub_that_can_not_be_reached_is_found_out_before_any_work(workspace, ran, tmp_path, hub, monkeypatch):
    def unreachable(self, name, **how):
        raise ConnectionError("no route to host")

    monkeypatch.setattr("huggingface_hub.HfApi.create_repo", unreachable)
    run_id = ran(GROUPED).run_id
    with pytest.raises(RunFailed, match=r"Nothing was written: the Hub can't be reached \(no route to host\)"):
        workspace.exports.write(run_id, "transformers", tmp_path / "out", push="me/small")
    assert not (tmp_path / "out").exists()


def test_an_upload_that_breaks_off_leaves_the_export_where_it_is(workspace, ran, tmp_path, hub, monkeypatch):
    def broken(self, **how):
        raise ConnectionError("reset by peer")

    monkeypatch.setattr("huggingface_hub.HfApi.upload_folder", broken)
    with pytest.raises(RunFailed, match="The export is in "):
        workspace.exports.write(ran(GROUPED).run_id, "transformers", tmp_path, push="me/small")
    assert len(list(tmp_path.glob("*-transformers/model.safetensors"))) == 1
