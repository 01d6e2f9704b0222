"""The command line: JSON on stdout, one sentence on stderr, exit codes."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest
from compresslab.commands import output
from compresslab.commands.main import cli
from compresslab.commands.output import number, steps_of
from compresslab.files.paths import store_url
from compresslab.messages import plain
from compresslab.methods.distill_logits import DistillLogits
from compresslab.recipes.method import METHODS
from compresslab.recipes.recipe import Recipe
from compresslab.store import Store
from compresslab.work import jobs
from compresslab.work.jobs import RunJob
from compresslab.work.launcher import free_port
from compresslab.workspace import Workspace

from tests.fake_session import FakeSession, record
from tests.patience import PATIENCE, eventually

ROOT = Path(__file__).resolve().parent.parent
COMMAND = [sys.executable, "-m", "compresslab"]


@pytest.fixture(autouse=True)
def store(own_home, monkeypatch):
    """Commands that would load torch get the fake session instead."""
    monkeypatch.setattr(Workspace, "_session", FakeSession())
    return Store(store_url())


def without_english(data):
    """What --json printed, less the English sentence that it puts beside every code."""
    if isinstance(data, list):
        return [without_english(value) for value in data]
    if not isinstance(data, dict):
        return data
    added = {"text"} if data.keys() == {"code", "values", "text"} else set()
    return {name: without_english(value) for name, value in data.items() if name not in added}


def one_sentence(text):
    return text.count("\n") == 1 and text.endswith(".\n") and "Traceback" not in text


# -- recipes --------------------------------------------------------------------------------------


def test_run_prints_its_record_and_keeps_it(answer, store):
    said = answer("run", "--model", "fake/quick", "--set", "quantize_rtn.bits=3")
    assert said["recipe"]["steps"] == [{"quantize_rtn": said["recipe"]["steps"][0]["quantize_rtn"]}]
    assert said["recipe"]["steps"][0]["quantize_rtn"]["bits"] == 3
    for key in ("run_id", "baseline_hash", "compressed_hash", "stages"):
        assert said[key]
    (kept,) = store.runs()
    assert type(kept).model_validate(said) == kept


def test_a_draft_is_not_kept(answer, store):
    assert answer("run", "--model", "fake/quick", "--draft")["stage"] == "draft"
    assert store.runs() == []


def test_options_change_the_recipe_of_a_file(answer, tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text("model: fake/quick\nsteps:\n- prune_magnitude: {sparsity: 0.2}\n- quantize_rtn\n")
    changes = ("--set", "quantize_rtn.bits=5", "--seed", "7", "--device", "cpu", "--dtype", "float32")
    recipe = answer("run", file, *changes)["recipe"]
    assert [next(iter(step)) for step in recipe["steps"]] == ["prune_magnitude", "quantize_rtn"]
    assert recipe["steps"][1]["quantize_rtn"]["bits"] == 5
    assert (recipe["seed"], recipe["device"], recipe["dtype"], recipe["model"]) == (7, "cpu", "float32", "fake/quick")


def test_paths_in_a_recipe_become_whole(answer, tmp_path, monkeypatch, store):
    (tmp_path / "mine.txt").write_text("Once upon a time.")
    monkeypatch.chdir(tmp_path)
    recipe = answer("run", "--model", "fake/quick", "--set", "evaluation.text=mine.txt")["recipe"]
    assert recipe["evaluation"]["text"] == str(tmp_path / "mine.txt")
    assert recipe["calibration"]["text"] == "bundled"


def test_estimate_tells_bytes(answer, call):
    said = answer("estimate", "--set", "quantize_rtn.bits=4")
    assert 0 < said["compressed_bytes"] < said["baseline_bytes"]
    assert said["compression_ratio"] == pytest.approx(said["baseline_bytes"] / said["compressed_bytes"])
    assert "Estimate" in call("estimate")[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--set", "quantize_rtn.bits=99"], "takes a whole number from 2 to 8"),
        (["--set", "quantize_rtn.bitz=3"], "has no setting 'bitz'"),
        (["--set", "shrink.bits=3"], "no method or metric 'shrink'"),
        (["--set", "bits"], "is not NAME.SETTING=VALUE"),
        (["--device", "tpu"], "takes one of auto, cpu, cuda, mps"),
        (["--seed", "-1"], "takes a whole number from 0 to 2147483647"),
        (["--model", "/no/such/folder"], "There is no folder /no/such/folder"),
        (["nowhere.yaml"], "no recipe file nowhere.yaml"),
        (["."], "can't be read"),
        (["--nonsense"], "No such option"),
        (["one.yaml", "two.yaml"], "unexpected extra argument"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(call, store, words, said):
    code, out, err = call("run", *words)
    assert (code, out) == (2, "")
    assert said in err
    assert one_sentence(err)
    assert store.runs() == []


def test_yaml_that_is_none_is_refused_with_its_line(call, tmp_path):
    (tmp_path / "recipe.yaml").write_text("steps:\n- [quantize_rtn\n")
    code, _, err = call("run", tmp_path / "recipe.yaml")
    assert code == 2
    assert "not valid YAML at line" in err


@pytest.mark.parametrize(
    ("behaviour", "code", "said"),
    [
        ("failing", 1, "The loss is not finite any more; use a smaller learning rate."),
        ("bad", 2, "The text is empty; give another one."),
        ("defect", 1, "An unexpected KeyError: 'layers.7'; --debug shows where."),
        ("nan", 1, "measurements.1.value is not a finite number"),
    ],
)
def test_a_failed_run_has_its_exit_code(call, behaviour, code, said):
    got, out, err = call("run", "--model", f"fake/{behaviour}", "--json")
    assert (got, out) == (code, "")
    assert said in err
    assert "Traceback" not in err


def test_debug_shows_the_traceback(call):
    code, _, err = call("run", "--debug", "--model", "fake/defect")
    assert code == 1
    assert "Traceback" in err
    assert "_defect" in err


# -- runs -------------------------------------------------------------------------------------------


def test_runs_show_compare(store, call, answer):
    for place, value in enumerate((4.0, 5.0)):
        store.save_run(record(f"run{place}", value=value, created=f"2026-01-0{place + 1}T00:00:00Z"))
    assert [run["run_id"] for run in answer("runs")["runs"]] == ["run1", "run0"]
    assert [run["run_id"] for run in answer("runs", "--limit", 1)["runs"]] == ["run1"]
    assert without_english(answer("show", "run0")) == store.run("run0").model_dump(mode="json")
    (row,) = answer("compare", "run0", "run1")["metrics"]
    assert [row[name]["value"] for name in ("baseline", "run0", "run1")] == [3.6, 4.0, 5.0]
    for words in (["runs"], ["show", "run0"], ["compare", "run0", "run1"]):
        code, out, _ = call(*words)
        assert code == 0
        assert "perplexity" in out


def test_a_shown_recipe_can_be_run_again(call, answer, tmp_path):
    first = answer("run", "--model", "fake/quick", "--set", "quantize_rtn.bits=6")
    (tmp_path / "again.yaml").write_text(call("show", first["run_id"], "--recipe")[1])
    assert answer("run", tmp_path / "again.yaml")["recipe_hash"] == first["recipe_hash"]


@pytest.mark.parametrize(
    ("value", "unit", "error", "shown"),
    [
        (2_131_512.0, "bytes", None, "2.13 MB"),
        (0.35, "fraction", 0.075, "35.0% ± 7.5%"),
        (7440.2, "tokens/s", 820.4, "7440 ± 820 tokens/s"),
        (2.5114, "perplexity", 0.0853, "2.511 ± 0.085"),
        (0.0, "nats/token", 0.0, "0 ± 0 nats/token"),
    ],
)
def test_values_are_written_for_people(value, unit, error, shown):
    assert number(value, unit, error) == shown


def test_the_steps_of_a_run_in_short():
    recipe = Recipe().assign("prune_magnitude.ratios=global").assign("quantize_rtn.bits=4")
    short = steps_of(record("r1", recipe))
    assert short == "prune_magnitude(sparsity=0.3, ratios=global) → quantize_rtn(bits=4)"


def test_a_long_list_of_runs_says_what_a_short_one_does(store, call, monkeypatch):
    for name in "abc":
        store.save_run(record(f"run{name}"))
    short = [line.split() for line in call("runs")[1].splitlines()]
    monkeypatch.setattr(output, "MOST_DRAWN", 2)
    assert [line.split() for line in call("runs")[1].splitlines()] == short and len(short) == 4


def test_a_list_of_no_runs_is_json_too(answer):
    assert answer("runs") == {"runs": []}


def test_no_runs_yet_says_what_to_do(call):
    assert "compresslab run --set" in call("runs")[1]


def test_delete_and_undo(store, call):
    store.save_run(record("run1"))
    code, _, err = call("delete", "run")
    assert code == 0
    assert "--undo run1" in err
    assert store.runs() == []
    assert call("delete", "--undo", "run1")[0] == 0
    assert len(store.runs()) == 1


@pytest.mark.parametrize("words", [["show", "xyz"], ["compare", "xyz", "x"], ["delete", "xyz"], ["cancel", "77"]])
def test_what_is_not_there_is_said(call, words):
    code, out, err = call(*words)
    assert (code, out) == (2, "")
    assert one_sentence(err)


def test_a_comparison_takes_two(store, call):
    store.save_run(record("run1"))
    assert call("compare", "run1")[0] == 2


# -- methods, models, texts ---------------------------------------------------------------------------


def test_methods_tell_every_setting_with_its_range_default_and_help(answer, call):
    said = {method["name"]: method for method in answer("methods")["methods"]}
    assert list(said) == list(METHODS)
    text = call("methods")[1]
    for name, method in METHODS.items():
        for control, shown in zip(method.controls(), said[name]["settings"], strict=True):
            assert (shown["name"], shown["default"], shown["minimum"], shown["maximum"]) == (
                control.name,
                json.loads(json.dumps(control.default)),
                control.minimum,
                control.maximum,
            )
            assert shown["help"]
            assert f"{name}.{control.name}" in text


def test_models(answer):
    assert answer("models")["models"][0] == "storyteller"


def test_generate_writes_every_pane(store, call, answer):
    words = ("generate", "storyteller", "--prompt", "once [b]upon[/b] a time", "--set", "strategy=sample")
    said = answer(*words)
    assert said["decoding"]["strategy"] == "sample"
    (pane,) = said["panes"]
    assert (pane["text"], pane["tokens"], pane["weights_hash"]) == ("once [b]upon[/b] a time", 4, "a" * 12)
    assert "once[b]upon[/b]atime" in call(*words)[1]


def test_generate_takes_runs_by_the_start_of_their_id(store, answer, monkeypatch):
    asked = []
    monkeypatch.setattr(FakeSession, "generate", lambda self, request, **_: asked.extend(request.panes))
    store.save_run(record("abc123"))
    answer("generate", "storyteller", "abc", "--prompt", "Once")
    assert [(pane.source, pane.run_id, pane.model) for pane in asked] == [
        ("baseline", None, "storyteller"),
        ("run", "abc123", "storyteller"),
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["xyz", "--prompt", "a"], "no model 'xyz'"),
        (["storyteller"], "Missing option '--prompt'"),
        (["storyteller", "--prompt", "a", "--set", "strategy=best"], "takes one of greedy, sample, beam"),
        (["storyteller", "--prompt", "a", "--set", "strategy"], "is not SETTING=VALUE"),
    ],
)
def test_generate_refuses(call, words, said):
    code, _, err = call("generate", *words)
    assert code == 2
    assert said in err
    assert one_sentence(err) or said == "no model 'xyz'"


# -- queue ----------------------------------------------------------------------------------------------


def test_submit_prints_the_job_and_says_when_no_one_works(store, call, answer):
    code, out, err = call("submit", "--set", "quantize_rtn.bits=3")
    assert (code, out.strip()) == (0, "1")
    assert "compresslab worker" in err
    assert answer("submit")["job"] == 2
    assert store.job(1).payload["recipe"]["steps"][0]["quantize_rtn"]["bits"] == 3


def test_jobs_and_cancel(store, call, answer):
    call("submit")
    assert [job["state"] for job in answer("jobs")["jobs"]] == ["queued"]
    assert call("cancel", 1)[0] == 0
    assert answer("jobs")["jobs"] == []
    (job,) = answer("jobs", "--all")["jobs"]
    assert (job["state"], job["error"]["code"]) == ("cancelled", "job.stopped")
    assert "cancelled" in call("jobs", "--all")[1]


def test_follow_reports_how_the_job_ended(store, call, monkeypatch):
    def ends(state, error=None):
        """A worker, between two looks of the follower."""

        def work(_seconds):
            row = store.claim("w")
            store.append_events(row.id, ['{"kind":"progress","stage":"load","done":1,"total":2,"fraction":0.5}'])
            if state == "done":
                store.save_run(record(row.run_id), row.id)
            store.finish(row.id, state, None if error is None else plain(error))

        monkeypatch.setattr("compresslab.commands.main.time.sleep", work)

    ends("done")
    code, out, err = call("submit", "--follow", "--json")
    assert code == 0, err
    assert json.loads(out)["job"] == 1
    ends("failed", "It broke.")
    assert call("submit", "--follow")[0::2] == (1, call_error("It broke.", 2))
    ends("cancelled", "Stopped on request.")
    assert call("submit", "--follow")[0] == 1


def call_error(sentence, job):
    return (
        f"No worker is running; `compresslab worker` starts one.\nJob {job}; Ctrl-C stops watching, not the job.\n"
        f"{sentence}\n"
    )


# -- as a process -----------------------------------------------------------------------------------------


def process(*words, **options):
    return subprocess.run([*COMMAND, *words], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, **options)


def user_seconds(*command):
    """Of the processor, not of the clock."""
    before = os.times().children_user
    assert subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL).returncode == 0
    return os.times().children_user - before


def test_help_is_quick_and_loads_no_torch():
    code = "import sys; from compresslab.commands.main import main; main(['--help']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.DEVNULL).returncode == 0
    bare = user_seconds(sys.executable, "-c", "pass")
    assert user_seconds(*COMMAND, "--help") < 15 * bare  # measured: 4


def test_every_command_has_a_help_text():
    expected = (
        "allocate cancel clean compare dashboard delete estimate export generate jobs layers methods models presets "
        "report run runs sensitivity show statistics submit sweep sweeps worker"
    )
    assert sorted(cli.commands) == expected.split()
    assert all(command.help for command in cli.commands.values())


def test_an_error_of_the_process_is_one_line():
    done = process("run", "--set", "quantize_rtn.bits=99", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    refused = json.loads(done.stderr)
    assert refused["code"] == "setting.refused" and one_sentence(refused["error"] + "\n")


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"COMPRESSLAB_STORE": "mysql://host/name"}, "SQLite or PostgreSQL"),
        ({"COMPRESSLAB_HOME": "/dev/null/home"}, "set COMPRESSLAB_HOME to another"),
    ],
)
def test_a_store_that_can_not_be_used_is_one_line(environment, said):
    done = process("runs", env=os.environ | environment)
    assert done.returncode == 2
    assert said in done.stderr
    assert one_sentence(done.stderr)


@pytest.fixture
def tiny_yaml(tiny_recipe, tmp_path):
    file = tmp_path / "tiny.yaml"
    recipe = tiny_recipe("llama", {"quantize_rtn": {"bits": 4}})
    file.write_text(recipe.replace(metrics=tuple(m for m in recipe.metrics if m.name != "speed")).to_yaml())
    return file


def test_a_real_run_prints_json_and_its_weights_write_text(tiny_yaml, own_home):
    done = process("run", str(tiny_yaml), "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (own_home / "runs" / said["run_id"]).is_dir()
    assert said["baseline_hash"] != said["compressed_hash"]
    measured = {(m["metric"], m["variant"]) for m in said["measurements"]}
    assert {("perplexity", "baseline"), ("perplexity", "compressed"), ("kl_divergence", "compressed")} <= measured
    texts = process("generate", said["recipe"]["model"], said["run_id"], "--prompt", "Mia had", "--json")
    assert texts.returncode == 0, texts.stderr
    hashes = [pane["weights_hash"] for pane in json.loads(texts.stdout)["panes"]]
    assert hashes == [said["baseline_hash"], said["compressed_hash"]]


def has_torch(running):
    return any("libtorch_cpu" in mapped.path for mapped in psutil.Process(running.pid).memory_maps())


@pytest.mark.parametrize("place", ["loading", "training"])
def test_ctrl_c_stops_a_run_with_exit_code_130(tiny_yaml, tmp_path, own_home, place):
    recipe, said = Recipe.from_yaml(tiny_yaml.read_text()), tmp_path / "stderr"
    tiny_yaml.write_text(recipe.replace(steps=(DistillLogits(steps=5000),)).to_yaml())
    with said.open("w") as stderr:
        command = [*COMMAND, "run", str(tiny_yaml)]
        running = subprocess.Popen(command, cwd=ROOT, stderr=stderr, env=os.environ | {"FORCE_COLOR": "1"})
    try:
        eventually(lambda: has_torch(running) if place == "loading" else "distill" in said.read_text())
        running.send_signal(signal.SIGINT)
        assert running.wait(PATIENCE) == 130
    finally:
        running.kill()
    assert said.read_text().strip().splitlines()[-1].endswith("Stopped.")
    assert "Traceback" not in said.read_text()
    assert not list((own_home / "runs").glob("*"))


@pytest.fixture
def a_worker(own_home):
    """The real one, as a user starts it."""
    started = subprocess.Popen([*COMMAND, "worker"], cwd=ROOT, stderr=subprocess.DEVNULL)
    yield started
    started.terminate()
    assert started.wait(PATIENCE) == 0


def test_a_real_job_goes_through_worker_and_child(a_worker, tiny_yaml, own_home):
    done = process("submit", str(tiny_yaml), "--follow", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (own_home / "runs" / said["run_id"]).is_dir()
    store = Store(store_url())
    assert store.job(said["job"]).state == "done"
    assert {"progress", "draft", "measured"} <= {event.kind for _, event in store.events(said["job"])}
    failing = jobs.submit(store, RunJob(recipe={"model": "/no/such/folder"}, run_id="r2"))
    eventually(lambda: store.job(failing).over)
    assert "There is no folder" in str(store.job(failing).error)


# -- dashboard ----------------------------------------------------------------------------------------------


def test_the_dashboard_takes_a_free_port_and_refuses_a_taken_one():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = process("dashboard", "--no-browser", "--port", str(port))
        assert done.returncode == 2
        assert f"Port {port} is taken" in done.stderr
        assert one_sentence(done.stderr)
    assert free_port(port) == port


def _pids(store):
    return [worker.pid for worker in store.workers(stale=True)]


def test_the_dashboard_starts_and_ends_server_and_worker_together(own_home):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [*COMMAND, "dashboard", "--no-browser", "--port", str(port)]
    started = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        assert f"http://localhost:{port}" in started.stderr.readline()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        assert opener.open(f"http://localhost:{port}/").status == 200
        store = Store(store_url())
        first = eventually(store.workers)[0].pid
        os.kill(first, signal.SIGKILL)
        eventually(lambda: _pids(store) and first not in _pids(store))
    finally:
        started.send_signal(signal.SIGTERM)
        started.communicate(timeout=PATIENCE)
    assert started.returncode == 0
    assert store.workers(stale=True) == []
    assert free_port(port) == port
