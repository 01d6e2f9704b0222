"""The life of a job outside its worker."""

import os
import socket
import subprocess

import pytest
from compresslab.files.paths import run_folder, store_url
from compresslab.recipes.generation_request import GenerateRequest, Pane
from compresslab.recipes.recipe import Recipe
from compresslab.store import Store
from compresslab.store.tables import WORKERS
from compresslab.work import jobs
from compresslab.work.jobs import GenerateJob, RunJob, WarmJob
from pydantic import ValidationError
from sqlalchemy import update

GENERATION = GenerateJob(request=GenerateRequest(prompt="Once", panes=(Pane(label="baseline", source="baseline"),)))


@pytest.fixture
def store(own_home):
    return Store(store_url())


def run(run_id="r1", stage="final"):
    return RunJob(recipe=Recipe().assign("quantize_rtn.bits=3").to_dict(), stage=stage, run_id=run_id)


def beat(store, worker_id="w", *, host=None, pid=None, age=0.0):
    store.beat(worker_id, host=host or socket.gethostname(), pid=pid or os.getpid(), device="cpu", state="busy")
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


def test_jobs_of_a_living_worker_are_left_alone(store):
    beat(store)
    job = jobs.submit(store, run())
    store.claim("w")
    assert jobs.reap(store) == []
    assert store.job(job).state == "running"


@pytest.mark.parametrize(
    ("sign_of_life", "said"),
    [
        (
            lambda store: beat(store, host="elsewhere", age=60),
            "The worker on elsewhere has not been heard from for 60",
        ),
        (lambda store: beat(store, pid=dead_pid(), age=4), "The worker was killed or crashed while this job ran"),
        (lambda store: None, "The worker that ran the job is gone"),
    ],
    ids=["silent", "dead", "unknown"],
)
def test_jobs_of_a_worker_that_is_gone_are_failed_with_the_reason(store, sign_of_life, said):
    sign_of_life(store)
    job, waiting = jobs.submit(store, run("half")), jobs.submit(store, run("r2"))
    store.claim("w")
    run_folder("half").with_name("half.part").mkdir(parents=True)
    assert jobs.reap(store) == [job]
    assert store.job(job).state == "failed"
    assert str(store.job(job).error).startswith(said)
    assert str(store.job(job).error).endswith("; submit it again.")
    assert store.job(waiting).state == "queued"
    assert store.workers(stale=True) == []
    assert list(run_folder("half").parent.iterdir()) == []


@pytest.mark.parametrize("where", [{"host": "elsewhere", "pid": 2**22 + 1, "age": 4}, {"age": 4}])
def test_a_worker_elsewhere_or_a_slow_one_is_given_time(store, where):
    beat(store, **where)
    jobs.submit(store, run())
    store.claim("w")
    assert jobs.reap(store) == []


def test_a_cancelled_job_of_a_worker_that_is_gone_is_cancelled(store):
    job = jobs.submit(store, run())
    store.claim("w")
    store.request_cancel(job)
    jobs.reap(store)
    assert (store.job(job).state, str(store.job(job).error)) == ("cancelled", "Stopped on request.")
