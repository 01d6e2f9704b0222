"""The life of a job outside its worker; the clock that decides whether a worker is gone is the test's."""

import os
import socket
import subprocess

import pytest
from compresslab.errors import BadInput
from compresslab.files import atomic
from compresslab.files.paths import run_folder, store_url
from compresslab.recipes.generation_request import GenerateRequest, Pane
from compresslab.recipes.recipe import Recipe
from compresslab.store import AWAY_SECONDS, LEFT, PRESENT_SECONDS, STALE_SECONDS, Store
from compresslab.store.database import BUSY_SECONDS
from compresslab.store.tables import JOBS, WORKERS
from compresslab.work import jobs, limits, processes
from compresslab.work.jobs import GenerateJob, RunJob, WarmJob
from compresslab.work.reaper import SURE_SECONDS, Reaper, Watch, process_died
from pydantic import ValidationError
from sqlalchemy import update

GENERATION = GenerateJob(request=GenerateRequest(prompt="Once", panes=(Pane(label="baseline", source="baseline"),)))


@pytest.fixture
def store(own_home):
    return Store(store_url())


def run(run_id="r1", stage="final"):
    return RunJob(recipe=Recipe().assign("quantize_rtn.bits=3").to_dict(), stage=stage, run_id=run_id)


class Clock:
    """The monotonic clock of whoever watches."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Watcher:
    """A reaper that looks every two seconds."""

    def __init__(self, store, own=""):
        self.clock = Clock()
        self.reaper = Reaper(store, own, self.clock)

    def look_for(self, seconds, meanwhile=lambda: None):
        """Everybody that it reaped within that time."""
        reaped = self.reaper.look()
        for _ in range(int(seconds / 2.0)):
            self.clock.now += 2.0
            meanwhile()
            reaped += self.reaper.look()
        return reaped


def beat(store, worker_id="w", *, host=None, pid=None, age=0.0, process=None):
    pid = pid or os.getpid()
    process = processes.identity(pid) if process is None else process
    store.beat(worker_id, host=host or socket.gethostname(), pid=pid, process=process, device="cpu", state="busy")
    with store.database.write() as connection:
        mine = update(WORKERS).where(WORKERS.c.worker_id == worker_id)
        connection.execute(mine.values(heartbeat=WORKERS.c.heartbeat - age))


def dead_pid():
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


@pytest.mark.parametrize("job", [run(), GENERATION, WarmJob(model="storyteller")], ids=lambda job: job.kind)
def test_what_is_submitted_is_what_the_worker_gets(store, job):
    jobs.submit(store, job)
    assert jobs.parse(store.claim("w").payload) == job


def test_a_payload_that_is_no_job_is_refused():
    with pytest.raises(ValidationError):
        jobs.parse({"kind": "sweep"})


def test_whoever_waits_in_front_of_the_screen_goes_first(store):
    final = jobs.submit(store, run())
    draft = jobs.submit(store, run(stage="draft"))
    live = jobs.submit(store, run(stage="draft"), owner="me", live=True)
    texts = jobs.submit(store, GENERATION, owner="me", live=True)
    assert [store.claim("w").id for _ in range(4)] == [texts, live, draft, final]


def claimed(store):
    job = jobs.submit(store, run())
    assert store.claim("w").id == job
    return job


def test_jobs_of_a_living_worker_are_left_alone(store):
    job = claimed(store)
    assert Watcher(store).look_for(10 * STALE_SECONDS, meanwhile=lambda: beat(store)) == []
    assert store.job(job).state == "running"


@pytest.mark.parametrize(
    ("sign_of_life", "seconds", "said"),
    [
        (
            lambda store: beat(store, host="elsewhere", age=60),
            SURE_SECONDS + 2,
            "The worker on elsewhere has not been heard from for 60",
        ),
        (
            lambda store: beat(store, host="elsewhere", age=-600),
            SURE_SECONDS + 2,
            "The worker on elsewhere has not been heard from for",
        ),
        (
            lambda store: beat(store),
            STALE_SECONDS + 2,
            f"The worker on {socket.gethostname()} has not been heard from for {STALE_SECONDS:.0f}",
        ),
        (lambda store: beat(store, pid=dead_pid()), 0, "The worker was killed or crashed while this job ran"),
        (lambda store: beat(store, pid=dead_pid(), age=-600), 0, "The worker was killed or crashed"),
        (
            lambda store: beat(store, process=processes.identity(os.getpid()) + "0"),
            0,
            "The worker was killed or crashed while this job ran",
        ),
        (lambda store: None, SURE_SECONDS + 2, "The worker that ran the job is gone"),
    ],
    ids=["silent", "from the future", "frozen", "dead", "dead in the future", "another of its number", "unknown"],
)
def test_jobs_of_a_worker_that_is_gone_are_failed_with_the_reason(store, sign_of_life, seconds, said):
    sign_of_life(store)
    job, waiting = jobs.submit(store, run("half")), jobs.submit(store, run("r2"))
    store.claim("w")
    atomic._part(run_folder("half")).mkdir(parents=True)
    assert Watcher(store).look_for(seconds) == [job]
    assert store.job(job).state == "failed"
    assert str(store.job(job).error).startswith(said)
    assert str(store.job(job).error).endswith("; submit it again.")
    assert store.job(waiting).state == "queued"
    assert store.workers(stale=True) == []
    assert list(run_folder("half").parent.iterdir()) == []


@pytest.mark.parametrize("where", [{"host": "elsewhere", "pid": 2**22 + 1}, {}])
def test_a_worker_that_waits_for_the_store_is_given_time(store, where):
    assert STALE_SECONDS >= 3 * BUSY_SECONDS
    beat(store, **where)
    claimed(store)
    assert Watcher(store).look_for(STALE_SECONDS - 4) == []


@pytest.mark.parametrize("step", [60.0, -3600.0], ids=["forward", "back"])
@pytest.mark.parametrize("host", [None, "elsewhere"])
def test_a_step_of_the_wall_clock_costs_nobody_a_job(store, step, host):
    """To whoever looks after it every heartbeat is old, or in the future, until the worker beats again."""
    job, watcher = claimed(store), Watcher(store)
    for _ in range(10):
        beat(store, host=host, age=step)
        assert watcher.look_for(2) == []
        beat(store, host=host)
        assert watcher.look_for(2) == []
    assert store.job(job).state == "running"


def test_nobody_reaps_himself(store):
    beat(store, age=3600)
    claimed(store)
    assert Watcher(store, own="w").look_for(10 * STALE_SECONDS) == []


def test_who_was_frozen_has_seen_nothing_meanwhile():
    clock = Clock()
    watch = Watch(clock)
    assert watch.look([("w", 1.0)]) == {"w": 0.0}
    clock.now += 3600
    assert watch.look([("w", 1.0)])["w"] < SURE_SECONDS
    assert watch.look([("w", 2.0)]) == {"w": 0.0}


def test_a_process_is_not_taken_for_a_later_one_of_its_number():
    own = processes.identity(os.getpid())
    assert own and own == processes.identity(os.getpid())
    assert processes.lives(os.getpid(), own, socket.gethostname()) is True
    assert processes.lives(os.getpid(), own + "0", socket.gethostname()) is False
    assert processes.lives(os.getpid(), own, "elsewhere") is None
    assert processes.lives(os.getpid(), "another boot/1", socket.gethostname()) is None


def test_a_dead_process_that_nobody_has_buried_does_not_live():
    process = subprocess.Popen(["true"])
    known_as = processes.identity(os.getpid()).rpartition("/")[0] + "/1"
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert processes.lives(process.pid, known_as, socket.gethostname()) is False
    process.wait()


def test_who_saw_a_worker_die_need_not_wait(store):
    gone = dead_pid()
    beat(store, pid=gone)
    job = claimed(store)
    process_died(store, os.getpid())
    assert store.job(job).state == "running"
    process_died(store, gone)
    assert store.job(job).state == "failed"


def test_a_cancelled_job_of_a_worker_that_is_gone_is_cancelled(store):
    job = claimed(store)
    store.request_cancel(job)
    Watcher(store).look_for(SURE_SECONDS + 2)
    assert (store.job(job).state, str(store.job(job).error)) == ("cancelled", "Stopped on request.")


# -- visitors ----------------------------------------------------------------------------------


def away(store, job, seconds):
    """As if whoever waits for it had last looked so long ago."""
    with store.database.write() as connection:
        connection.execute(update(JOBS).where(JOBS.c.id == job).values(renewed=JOBS.c.renewed - seconds))


def test_a_draft_of_somebody_who_has_left_stands_in_nobodys_way(store):
    left = jobs.submit(store, run(stage="draft"), owner="gone", live=True)
    final = jobs.submit(store, run())
    away(store, left, PRESENT_SECONDS + 1)
    assert store.queue_place(final) == 0
    assert store.claim("w").id == final
    assert store.claim("w") is None
    store.renew(left)  # they are back
    assert store.claim("w").id == left


def test_a_draft_that_nobody_comes_back_to_is_given_up(store):
    left, other = (jobs.submit(store, run(stage="draft"), owner=owner, live=True) for owner in ("gone", "here"))
    final = jobs.submit(store, run())
    away(store, left, AWAY_SECONDS + 1)
    store.end_of_absent()
    assert [store.job(job).state for job in (left, other, final)] == ["cancelled", "queued", "queued"]
    assert store.job(left).error == LEFT


def test_a_live_job_of_a_script_waits_for_nobody(store):
    job = jobs.submit(store, run(stage="draft"), live=True)
    away(store, job, 1e6)
    store.end_of_absent()
    assert store.claim("w").id == job


def test_a_visitor_may_have_so_many_jobs_and_no_more(store):
    for _ in range(limits.JOBS.default):
        jobs.submit(store, run(), owner="me")
    with pytest.raises(BadInput, match="20 of your jobs wait or run already"):
        jobs.submit(store, run(), owner="me")
    jobs.submit(store, run(stage="draft"), owner="me", live=True)
    jobs.submit(store, run(), owner="you")
    jobs.submit(store, run())
    store.finish(store.claim("w").id, "done")
    store.finish(store.claim("w").id, "done")
    jobs.submit(store, run(), owner="me")
