"""The worker and its child, with a fake session: how jobs end, whatever happens to the processes."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from compresslab.files.locks import quiet_lock
from compresslab.files.paths import store_url
from compresslab.recipes.generation_request import GenerateRequest, Pane
from compresslab.store import Store
from compresslab.work import jobs, warm_child
from compresslab.work.jobs import GenerateJob, RunJob, WarmJob
from compresslab.work.seat import Limits
from compresslab.work.warm_child import WarmChild
from compresslab.work.worker import Worker

from tests.fake_session import STEP_SECONDS
from tests.patience import PATIENCE
from tests.patience import eventually as wait

ROOT = Path(__file__).resolve().parent.parent
COMMAND = (
    sys.executable,
    "-m",
    "compresslab.work.child",
    "--warm",
    "fake",
    "--session",
    "tests.fake_session:FakeSession",
)


@pytest.fixture
def store(own_home, monkeypatch):
    monkeypatch.chdir(ROOT)  # where the child finds tests.fake_session
    return Store(store_url())


@pytest.fixture
def start(store):
    """Starts workers in threads of this process and ends them after the test."""
    running = []

    def begin(command=COMMAND, before=lambda worker: None, **limits):
        worker = Worker(Store(store_url()), command, replace(Limits(after_cancel=1.0), **limits))
        before(worker)
        thread = threading.Thread(target=worker.run)
        thread.start()
        running.append((worker, thread))
        return worker

    yield begin
    for worker, _ in running:
        worker.stop()
    for _, thread in running:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def submit(store, behaviour, *, stage="final", run_id="r1", **options):
    return jobs.submit(store, RunJob(recipe={"model": f"fake/{behaviour}"}, stage=stage, run_id=run_id), **options)


def ended(store, job_id):
    return wait(lambda: store.job(job_id) if store.job(job_id).over else None)


def reported(store, job_id):
    return [event for _, event in store.events(job_id)]


def writing(prompt):
    return GenerateRequest(prompt=prompt, panes=(Pane(label="baseline", source="baseline"),))


def child_of(worker):
    return wait(lambda: worker.main.device and worker.main.child).pid


def test_a_run_is_done_and_kept(store, start):
    start()
    job = submit(store, "quick", run_id="abc")
    assert ended(store, job).state == "done"
    assert store.run("abc").find("perplexity").value == 3.7
    assert [str(event.text) for event in reported(store, job)] == ["quick"]


def test_a_draft_is_done_and_not_kept(store, start):
    start()
    assert ended(store, submit(store, "quick", stage="draft", live=True, owner="me")).state == "done"
    assert store.runs() == []


def test_generation_and_warming(store, start):
    start()
    request = GenerateRequest(prompt="once upon a time", panes=(Pane(label="baseline", source="baseline"),))
    job = jobs.submit(store, GenerateJob(request=request), owner="me", live=True)
    warm = jobs.submit(store, WarmJob(model="storyteller"))
    assert ended(store, job).state == ended(store, warm).state == "done"
    assert [e.text for e in reported(store, job) if e.kind == "token"] == ["once", "upon", "a", "time"]


def test_every_event_arrives_in_order(store, start):
    start()
    job = submit(store, "many")
    assert ended(store, job).state == "done"
    numbers, events = zip(*store.events(job), strict=True)
    assert numbers == tuple(range(1, 5002))
    assert [event.done for event in events[1:]] == list(range(5000))


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ("bad", "The text is empty; give another one."),
        ("failing", "The loss is not finite any more; use a smaller learning rate."),
        ("defect", "An unexpected KeyError ended the job: 'layers.7'; see child.log."),
        ("exits", "exit code 3"),
        ("segfault", "SIGSEGV"),
        ("oom", "memory ran out"),
        ("nan", "measurements.1.value is not a finite number"),
    ],
)
def test_a_failure_is_said_in_words_and_the_queue_goes_on(store, start, own_home, behaviour, said):
    start()
    failing, next_one = submit(store, behaviour), submit(store, "quick", run_id="r2")
    row = ended(store, failing)
    assert row.state == "failed"
    assert said in str(row.error)
    assert ended(store, next_one).state == "done"
    if behaviour == "defect":
        assert "Traceback" in (own_home / "logs" / "child.log").read_text()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a disk that is always full")
def test_a_log_on_a_full_disk_costs_no_job(own_home, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(warm_child, "log_file", lambda name: Path("/dev/full"))
    child = WarmChild(COMMAND)
    try:
        for number, (behaviour, state) in enumerate({"quick": "done", "defect": "failed"}.items()):
            child.send("job", number, payload=RunJob(recipe={"model": f"fake/{behaviour}"}).model_dump())
            (end,) = wait(lambda: [said for said in child.receive(0.1) if said["type"] == "end"])
            assert end["state"] == state
    finally:
        child.kill()
        child.bury()


def test_a_recipe_that_is_none_fails_its_job(store, start):
    start()
    job = jobs.submit(store, RunJob(recipe={"steps": ["nonsense"]}, run_id="r1"))
    assert "no method 'nonsense'" in str(ended(store, job).error)


def test_cancel_stops_a_running_job_within_two_seconds_of_its_work(store, start):
    worker = start(after_cancel=PATIENCE)  # so that it obeys, however busy the machine is, and is not killed
    job = submit(store, "long")
    wait(lambda: reported(store, job))
    pid, before = child_of(worker), len(reported(store, job))
    store.request_cancel(job)
    row = ended(store, job)
    assert (row.state, str(row.error)) == ("cancelled", "Stopped on request.")
    assert (len(reported(store, job)) - before) * STEP_SECONDS < 2.0
    assert child_of(worker) == pid  # the child stayed warm
    assert store.runs() == []


def test_a_child_that_does_not_obey_is_killed(store, start):
    worker = start()
    job, next_one = submit(store, "deaf"), submit(store, "quick", run_id="r2")
    wait(lambda: reported(store, job))
    pid = child_of(worker)
    store.request_cancel(job)
    assert ended(store, job).state == "cancelled"
    assert ended(store, next_one).state == "done"
    assert not psutil.pid_exists(pid)


def test_the_default_patience_with_a_cancelled_job_is_under_five_seconds():
    assert 2.0 <= Limits().after_cancel < 4.0


@pytest.mark.parametrize(
    ("behaviour", "limits", "said"),
    [("frozen", {"without_beat": 2.0}, "froze for 2 seconds"), ("deaf", {"without_event": 1.5}, "reported nothing")],
)
def test_a_hanging_child_is_killed(store, start, behaviour, limits, said):
    worker = start()
    child_of(worker)
    worker.main.limits = replace(Limits(), **limits)  # known to be awake: a child may take longer than that to start
    job = submit(store, behaviour)
    assert said in str(ended(store, job).error)
    worker.main.limits = Limits()  # the next child may take longer to start than that
    next_one = submit(store, "quick", run_id="r2")
    assert ended(store, next_one).state == "done"


def test_a_child_that_talks_without_end_is_heard_no_longer_than_was_asked():
    child = WarmChild((sys.executable, "-c", 'while True: print(\'{"type": "event"}\', flush=True)'))
    wait(lambda: child.receive(0.0))  # it has begun
    listener = threading.Thread(target=child.receive, args=(0.2,), daemon=True)
    try:
        listener.start()
        listener.join(PATIENCE)
        assert not listener.is_alive()
    finally:
        child.kill()


def test_a_child_that_does_not_read_does_not_stop_its_worker(store, start):
    """A pipe holds 64 KiB. The heart beats on, and the job can be stopped."""
    worker = start()
    pid = child_of(worker)
    os.kill(pid, signal.SIGSTOP)
    wait(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    job = jobs.submit(store, GenerateJob(request=writing("a" * 1_000_000)))
    wait(lambda: store.job(job).state == "running")
    before = [row.heartbeat for row in store.workers(stale=True)]
    wait(lambda: [row.heartbeat for row in store.workers(stale=True)] != before)
    store.request_cancel(job)
    assert str(ended(store, job).error) == "Stopped on request."
    assert not psutil.pid_exists(pid)
    assert ended(store, submit(store, "quick")).state == "done"


def test_a_worker_whose_child_does_not_read_ends_when_it_is_told_to(store):
    worker = process(store)
    (child,) = psutil.Process(worker.pid).children()
    child.suspend()
    job = jobs.submit(store, GenerateJob(request=writing("a" * 1_000_000)))
    wait(lambda: store.job(job).state == "running")
    worker.terminate()
    assert worker.wait(PATIENCE) == 0
    assert store.job(job).state == "queued"  # it had not begun: the next worker does it
    assert not psutil.pid_exists(child.pid)


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL], ids=["frozen", "dead"])
def test_a_job_that_no_child_had_begun_is_done_by_the_next_one(store, start, number):
    worker = start()
    first = child_of(worker)
    os.kill(first, number)
    worker.main.limits = replace(Limits(), without_beat=2.0)
    job = submit(store, "quick")
    wait(lambda: worker.main.child is not None and worker.main.child.pid != first)
    worker.main.limits = Limits()  # the next child may take longer to start than that
    assert ended(store, job).state == "done"


def test_a_child_that_froze_while_it_had_nothing_to_do_costs_no_job(store, start):
    worker = start()
    child = psutil.Process(child_of(worker))
    child.suspend()
    worker.main.limits = replace(Limits(), without_beat=0.5)
    wait(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    worker.main.limits = Limits()
    job = submit(store, "quick")
    assert ended(store, job).state == "done"


def test_a_job_that_kills_every_child_before_it_begins_fails_in_the_end(store, start):
    worker = start((sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"))
    job = submit(store, "quick")

    def over():
        worker.main.next_start = 0.0  # the next child comes at once
        return store.job(job).over

    wait(over)
    assert "was killed by the system" in str(ended(store, job).error)


def test_a_claim_whose_answer_was_lost_is_put_back(store, start):
    job = submit(store, "quick")
    start(before=lambda worker: store.claim(worker.worker_id))  # as if it had claimed it and not heard the answer
    assert ended(store, job).state == "done"


def test_no_job_begins_while_models_race_on_this_machine(store, start):
    worker = start()
    child_of(worker)
    with quiet_lock():
        job = submit(store, "quick")
        for _ in range(2):
            beaten = [row.heartbeat for row in store.workers()]
            wait(lambda beaten=beaten: [row.heartbeat for row in store.workers()] != beaten)
        assert store.job(job).state == "queued"
    assert ended(store, job).state == "done"


def test_the_latest_live_job_wins(store, start):
    start()
    first = submit(store, "long", stage="draft", owner="me", live=True)
    wait(lambda: reported(store, first))
    second = submit(store, "long", stage="draft", owner="me", live=True)
    third = submit(store, "quick", stage="draft", owner="me", live=True)
    assert ended(store, third).state == "done"
    assert [store.job(job).state for job in (first, second)] == ["cancelled", "cancelled"]
    assert store.job(first).error.code == "job.superseded"


def test_the_worker_shows_itself_and_what_it_does(store, start):
    worker = start()
    (row,) = wait(lambda: [row for row in store.workers() if row.state == "idle"])
    assert (row.worker_id, row.pid, row.device, row.alive) == (worker.worker_id, os.getpid(), "cpu", True)
    submit(store, "long")
    wait(lambda: store.workers()[0].state == "busy")


def test_stopping_the_worker_fails_its_job_and_ends_the_child(store, start):
    worker = start()
    job = submit(store, "long")
    wait(lambda: reported(store, job))
    pid = child_of(worker)
    worker.stop()
    assert ended(store, job).error.code == "worker.stopped"
    wait(lambda: not psutil.pid_exists(pid) and not store.workers())


def test_a_child_that_can_not_start_fails_the_job_that_waits_for_it(store, start):
    begun = time.monotonic()
    worker = start((*COMMAND[:-1], "tests.fake_session:BrokenSession"))
    job = submit(store, "quick")
    row = ended(store, job)
    assert row.state == "failed"
    assert "exit code 1" in str(row.error)
    assert worker.main.next_start > begun + 2.0  # and the next one is given time


def process(store, follow=False):
    """A worker in a process of its own, as `compresslab worker` starts it; with `follow`, as the launcher does."""
    script = (
        "from compresslab.work.worker import *; import signal;"
        f"worker = Worker(Store(store_url()), {COMMAND!r});"
        "signal.signal(signal.SIGTERM, lambda *_: worker.stop());"
        f"{follow} and processes.when_parent_ends(worker.stop); worker.run()"
    )
    stdin = subprocess.PIPE if follow else subprocess.DEVNULL
    started = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdin=stdin, stderr=subprocess.DEVNULL)
    wait(lambda: [row for row in store.workers() if row.pid == started.pid and row.device])
    return started


def test_a_killed_worker_leaves_no_trace_but_a_failed_job(store, start):
    killed = process(store)
    children = psutil.Process(killed.pid).children()
    job, next_one = submit(store, "long"), submit(store, "quick", run_id="r2")
    wait(lambda: reported(store, job))
    killed.kill()
    killed.wait()
    assert children
    wait(lambda: not any(psutil.pid_exists(child.pid) and child.is_running() for child in children))
    start()
    row = ended(store, job)
    assert row.state == "failed"
    assert "worker was killed or crashed" in str(row.error)
    assert ended(store, next_one).state == "done"
    assert len(store.workers(stale=True)) == 1


def test_a_child_killed_from_outside_costs_one_job(store, start):
    worker = start()
    job, next_one = submit(store, "long"), submit(store, "quick", run_id="r2")
    wait(lambda: reported(store, job))
    os.kill(child_of(worker), signal.SIGKILL)
    assert "was killed by the system" in str(ended(store, job).error)
    assert ended(store, next_one).state == "done"


def test_sigterm_ends_worker_and_child_cleanly(store):
    worker = process(store)
    children = psutil.Process(worker.pid).children()
    job = submit(store, "long")
    wait(lambda: reported(store, job))
    worker.terminate()
    assert worker.wait(PATIENCE) == 0
    assert store.job(job).state == "failed"
    assert not any(psutil.pid_exists(child.pid) for child in children)


def test_a_worker_ends_with_the_one_that_started_it(store):
    """Its standard input ends then."""
    worker = process(store, follow=True)
    children = psutil.Process(worker.pid).children()
    job = submit(store, "long")
    wait(lambda: reported(store, job))
    worker.stdin.close()
    assert worker.wait(PATIENCE) == 0
    assert store.job(job).error.code == "worker.stopped"
    assert not any(psutil.pid_exists(child.pid) for child in children)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux has death signals")
def test_a_frozen_child_goes_with_its_worker(store):
    worker = process(store)
    (child,) = psutil.Process(worker.pid).children()
    child.suspend()
    worker.kill()
    worker.wait()
    wait(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_two_workers_share_the_queue(store, start):
    start(), start()
    submitted = [submit(store, "quick", run_id=f"r{n}") for n in range(12)]
    assert {ended(store, job).state for job in submitted} == {"done"}
    assert len(store.runs()) == 12


def draft(store, behaviour, **options):
    return submit(store, behaviour, stage="draft", run_id="d1", live=True, owner="me", **options)


def long_run(store):
    job = submit(store, "long")
    wait(lambda: reported(store, job))
    return job


def test_a_draft_has_its_turn_beside_a_long_run(store, start):
    """In a child of its own: what happens to that one is nothing to the run."""
    worker = start()
    run = long_run(store)
    assert ended(store, draft(store, "quick")).state == "done"
    second = worker.beside.seat.child.pid
    assert second != worker.main.child.pid
    killed = draft(store, "long")
    wait(lambda: reported(store, killed))
    os.kill(second, signal.SIGKILL)
    assert "was killed by the system" in str(ended(store, killed).error)
    stopped = draft(store, "long")
    wait(lambda: reported(store, stopped))
    assert store.job(run).state == "running"
    children = [seat.child.pid for seat in (worker.main, worker.beside.seat)]
    worker.stop()
    assert [ended(store, job).error.code for job in (run, stopped)] == ["worker.stopped"] * 2
    wait(lambda: not any(psutil.pid_exists(pid) for pid in children) and not store.workers(stale=True))


def test_only_live_jobs_have_their_turn_beside_a_long_run(store, start):
    worker = start()
    long_run(store)
    final = submit(store, "quick", run_id="r2")
    assert ended(store, draft(store, "quick")).state == "done"
    assert store.job(final).state == "queued"
    assert worker.beside.seat.doing is None


def test_without_memory_for_a_second_child_a_draft_waits(store, start, monkeypatch):
    asked = []
    monkeypatch.setattr("compresslab.recipes.memory.free", lambda: asked.append(1) or 0)
    worker = start()
    run, waiting = long_run(store), draft(store, "quick")
    wait(lambda: len(asked) > 5)
    assert worker.beside.seat.child is None
    assert store.job(waiting).state == "queued"
    store.request_cancel(run)
    assert ended(store, waiting).state == "done"


def test_the_second_child_is_ready_before_the_next_slider_and_gives_way_to_a_large_job(store, start, monkeypatch):
    monkeypatch.setattr("compresslab.work.second_child.LONG_SECONDS", 0.0)
    worker = start()
    assert ended(store, draft(store, "quick")).state == "done"
    run = long_run(store)
    wait(lambda: worker.beside.seat.device)
    monkeypatch.setattr("compresslab.work.second_child.need", lambda row: 10**15)
    second = worker.beside.seat.child.pid
    store.request_cancel(run)
    assert ended(store, submit(store, "quick", run_id="r2")).state == "done"
    assert not psutil.pid_exists(second)


def test_the_worker_never_imports_torch():
    imports = "import sys, compresslab.work.worker, compresslab.work.launcher, compresslab.commands.main"
    code = f"{imports}; sys.exit(bool({{'torch', 'streamlit'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
