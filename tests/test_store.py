"""The store: one suite for every backend. PostgreSQL is tested where COMPRESSLAB_TEST_POSTGRES gives its URL."""

import os
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import alembic.command
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from compresslab.errors import BadInput, CompresslabError, RunFailed
from compresslab.files.paths import run_folder
from compresslab.messages import plain
from compresslab.records.events import Notice, Token, to_json
from compresslab.records.run_row import RunRow
from compresslab.store import SUPERSEDED, Store, migrations
from compresslab.store.database import Database
from compresslab.store.runs import Labels, RunFilter
from compresslab.store.tables import METADATA, RECORDS, RUNS, WORKERS
from sqlalchemy import create_engine, make_url, text, update

from tests.fake_session import record
from tests.patience import PATIENCE

ROOT = Path(__file__).resolve().parent.parent
POSTGRES = os.environ.get("COMPRESSLAB_TEST_POSTGRES")


@pytest.fixture(params=["sqlite", *(["postgresql"] if POSTGRES else [])])
def url(request, tmp_path):
    """Of a store that is not there yet."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.db'}"
        return
    server = create_engine(POSTGRES, isolation_level="AUTOCOMMIT")
    name = f"test_{uuid.uuid4().hex[:12]}"
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield make_url(POSTGRES).set(database=name).render_as_string(hide_password=False)
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def store(url):
    opened = Store(url)
    yield opened
    opened.database.close()


def create(store, kind="run", *, priority=1, **options):
    return store.create_job(kind, '{"run_id": "r1", "stage": "final"}', priority=priority, **options)


def states(store, *job_ids):
    return [store.job(job_id).state for job_id in job_ids]


def bodies(*texts):
    return [to_json(Notice(text=said)) for said in texts]


# -- jobs ------------------------------------------------------------------------------------


def test_a_job_goes_from_queued_to_done(store):
    job = create(store, owner="me")
    row = store.job(job)
    assert (row.state, row.kind, row.owner, row.run_id, row.stage) == ("queued", "run", "me", "r1", "final")
    assert abs(row.created - time.time()) < 5
    claimed = store.claim("w1")
    assert (claimed.id, claimed.state, claimed.worker_id, claimed.payload) == (job, "running", "w1", row.payload)
    assert store.finish(job, "done")
    row = store.job(job)
    assert row.over
    assert row.created <= row.started <= row.finished


def test_an_ended_job_stays_as_it_ended(store):
    job = create(store)
    store.claim("w1")
    assert store.finish(job, "failed", plain("Why."))
    assert not store.finish(job, "done")
    store.request_cancel(job)
    assert (store.job(job).state, str(store.job(job).error)) == ("failed", "Why.")


def test_priority_then_order_decides_who_is_next(store):
    late, early, first = create(store, priority=3), create(store, priority=1), create(store, priority=0)
    last = create(store, priority=3)
    assert [store.queue_place(job) for job in (first, early, late, last)] == [0, 1, 2, 3]
    assert [store.claim("w").id for _ in range(4)] == [first, early, late, last]
    assert store.claim("w") is None


def test_a_running_job_stands_before_a_queued_one(store):
    create(store)
    store.claim("w")
    assert store.queue_place(create(store)) == 1


def test_a_live_job_takes_the_place_of_the_owners_earlier_one(store):
    running = create(store, owner="me", live=True)
    store.claim("w")
    queued, other_kind = create(store, owner="me", live=True), create(store, "generate", owner="me", live=True)
    someone, final = create(store, owner="you", live=True), create(store, owner="me")
    newest = create(store, owner="me", live=True)
    assert states(store, running, queued, other_kind, someone, final, newest) == [
        "running",
        "cancelled",
        "queued",
        "queued",
        "queued",
        "queued",
    ]
    assert store.job(running).cancel_reason == store.job(queued).error == SUPERSEDED


def test_live_jobs_without_an_owner_do_not_supersede_each_other(store):
    jobs = [create(store, live=True) for _ in range(2)]
    assert states(store, *jobs) == ["queued", "queued"]


def test_cancelling(store):
    running, queued = create(store), create(store)
    store.claim("w")
    for job in (running, queued):
        store.request_cancel(job, plain("Enough."))
    assert states(store, running, queued) == ["running", "cancelled"]
    assert (store.job(running).cancel_reason, store.job(queued).error) == (plain("Enough."), plain("Enough."))
    assert store.claim("w") is None


def test_a_job_that_was_not_begun_waits_again_where_it_stood(store):
    job, later = create(store), create(store)
    store.claim("w")
    store.put_back(job, "another")
    assert states(store, job) == ["running"]
    store.put_back(job, "w")
    assert (store.job(job).state, store.job(job).worker_id, store.job(job).started) == ("queued", None, None)
    assert [store.claim("w").id for _ in range(2)] == [job, later]


def test_a_job_that_was_asked_to_stop_is_not_put_back(store):
    job = create(store)
    store.claim("w")
    store.request_cancel(job, plain("Enough."))
    store.put_back(job, "w")
    row = store.job(job)
    assert (row.state, row.error, row.over) == ("cancelled", plain("Enough."), True)
    assert store.claim("w") is None


def test_unknown_jobs_are_refused(store):
    for ask in (store.job, store.request_cancel, store.queue_place):
        with pytest.raises(BadInput, match="no job 77"):
            ask(77)


def test_jobs_by_state_newest_first(store):
    done, failed, queued = create(store), create(store), create(store)
    for job, state in ((done, "done"), (failed, "failed")):
        store.claim("w")
        store.finish(job, state)
    assert [row.id for row in store.jobs()] == [queued]
    assert [row.id for row in store.jobs(("done", "failed"))] == [failed, done]


def test_threads_claim_every_job_exactly_once(url):
    main = Store(url)
    jobs = {create(main) for _ in range(40)}

    def claim_all(name):
        store, mine = Store(url), []
        while (row := store.claim(name)) is not None:
            mine.append(row.id)
        return mine

    with ThreadPoolExecutor(4) as pool:
        claimed = [job for mine in pool.map(claim_all, "abcd") for job in mine]
    # A claim that lost its race may say None too early; whatever is left was claimed by no one.
    while (row := main.claim("rest")) is not None:
        claimed.append(row.id)
    assert sorted(claimed) == sorted(jobs)


CLAIM_ALL = """
import sys
from compresslab.store import Store
store, misses = Store(sys.argv[1]), 0
while misses < 3:
    row = store.claim(sys.argv[2])
    misses = misses + 1 if row is None else 0
    if row is not None:
        print(row.id)
"""


def test_processes_claim_every_job_exactly_once(url):
    store = Store(url)
    jobs = [create(store) for _ in range(60)]
    command = [sys.executable, "-c", CLAIM_ALL, url]
    racers = [
        subprocess.Popen([*command, name], cwd=ROOT, stdout=subprocess.PIPE, text=True) for name in ("a", "b", "c")
    ]
    claimed = [int(line) for racer in racers for line in racer.communicate(timeout=PATIENCE)[0].split()]
    assert [racer.returncode for racer in racers] == [0, 0, 0]
    assert sorted(claimed) == jobs


# -- events -----------------------------------------------------------------------------------


def test_events_are_numbered_and_the_cursor_loses_nothing(store):
    job, other = create(store), create(store)
    store.append_events(job, bodies("a", "b"))
    store.append_events(other, bodies("x"))
    store.append_events(job, [])
    store.append_events(job, bodies("c"))
    assert [(seq, str(event.text)) for seq, event in store.events(job)] == [(1, "a"), (2, "b"), (3, "c")]
    assert [seq for seq, _ in store.events(job, after=2)] == [3]
    assert store.events(job, after=3) == []


def test_events_of_old_live_jobs_are_pruned_and_no_others(store):
    kinds = [True, False, True, True]  # live or not, in the order of their submission
    jobs = [create(store, live=live) for live in kinds]
    for job in jobs:
        store.append_events(job, bodies("a"))
        store.claim("w")
        store.finish(job, "done")
    still_open = create(store, live=True)
    store.append_events(still_open, bodies("a"))
    store.prune_events(keep=1)
    assert [len(store.events(job)) for job in (*jobs, still_open)] == [0, 1, 0, 1, 1]


def test_numbers_that_are_not_finite_are_refused_before_they_are_kept(store):
    from compresslab.records.events import Loss

    with pytest.raises(RunFailed, match="infinite"):
        to_json(Loss(step=1, total=2, loss=float("nan")))
    with pytest.raises(RunFailed, match=r"measurements\.1\.value is not a finite number"):
        store.save_run(record("r1", value=float("inf")))
    assert store.runs() == []


# -- runs -------------------------------------------------------------------------------------


def test_runs_are_listed_newest_first_and_found_by_the_start_of_their_id(store):
    for run_id, day in (("aa11", 1), ("aa22", 3), ("bb33", 2)):
        store.save_run(record(run_id, created=f"2026-01-0{day}T00:00:00Z"), job_id=day)
    assert [run.run_id for run in store.runs()] == ["aa22", "bb33", "aa11"]
    assert [run.run_id for run in store.runs(limit=1)] == ["aa22"]
    assert store.run("bb") == record("bb33", created="2026-01-02T00:00:00Z")
    with pytest.raises(BadInput, match="Several runs begin with 'aa'"):
        store.run("aa")
    for unknown in ("cc", "", "a%"):
        with pytest.raises(BadInput, match=r"no run|Several"):
            store.run(unknown)


def test_a_run_belongs_to_who_asked_for_it(store):
    job = store.create_job("run", "{}", priority=2, owner="ada")
    store.save_run(record("0123456789"), job)
    store.save_run(record("9999999999"))
    assert store.owners(["0123456789", "9999999999", "none"]) == {"0123456789": "ada"}
    store.delete_run("0123456789")
    assert store.owners(["0123456789"]) == {"0123456789": "ada"}  # who may bring it back


def test_people_have_the_name_that_they_gave_last(store):
    assert store.people.name("ada") is None
    for name in ("Ada", "Ada", "Ada Lovelace"):
        store.people.note("ada", name)
    assert store.people.name("ada") == "Ada Lovelace"


def test_a_run_saved_again_replaces_itself(store):
    for value in (4.0, 5.0):
        store.save_run(record("r1", value=value))
    (run,) = store.runs()
    assert run.find("perplexity").value == 5.0


def test_deleting_hides_and_restoring_brings_back(store):
    store.save_run(record("r1"))
    store.delete_run("r1")
    assert store.runs() == []
    assert store.models_used() == []
    with pytest.raises(BadInput, match="no run 'r1'"):
        store.run("r1")
    store.restore_run("r1")
    assert store.run("r1").run_id == "r1"
    with pytest.raises(BadInput, match="no run 'r2'"):
        store.delete_run("r2")


def test_purging_removes_old_deleted_runs_with_their_folders(store):
    for run_id in ("kept", "fresh", "old"):
        store.save_run(record(run_id))
        run_folder(run_id).mkdir(parents=True)
    for run_id in ("fresh", "old"):
        store.delete_run(run_id)
    with store.database.write() as connection:
        two_days = update(RUNS).where(RUNS.c.run_id == "old").values(deleted=RUNS.c.deleted - 2 * 86400)
        connection.execute(two_days)
    assert store.purge_runs() == ["old"]
    assert [run_folder(run_id).exists() for run_id in ("kept", "fresh", "old")] == [True, True, False]
    with pytest.raises(BadInput):
        store.restore_run("old")


def test_models_used_last_first(store):
    for day, model in enumerate(("a/x", "b/y", "a/x"), start=1):
        store.save_run(record(f"r{day}", model=model, created=f"2026-01-0{day}T00:00:00Z"))
    assert store.models_used() == ["a/x", "b/y"]


# -- lists of runs -----------------------------------------------------------------------------


def listed(store, order="newest", **which):
    return [row.run_id for row in store.rows(RunFilter(**which), order)]


def test_a_list_says_what_the_records_say(store):
    first = record("r1", value=4.0)
    store.save_run(first)
    store.annotate("r1", ["good"], "to show")
    (row,) = store.rows()
    assert row == RunRow.of(first)._replace(tags=("good",), note="to show")
    assert (row.perplexity, row.recipe) == (4.0, {"model": first.model, "steps": []})
    assert store.rows_by_id(["r1", "gone"]) == [row]
    store.save_run(record("r1", value=5.0))
    assert [row.perplexity for row in store.rows()] == [5.0]


def test_the_database_filters_sorts_counts_and_cuts(store):
    for place, (model, change) in enumerate((("a/x", 3.0), ("b/y", None), ("a/x", 1.0), ("c/z", 2.0))):
        kept = record(f"r{place}", model=model, created=f"2026-01-0{place + 1}T00:00:00Z")
        changed = [m.model_copy(update={"change": change}) for m in kept.measurements]
        store.save_run(kept.model_copy(update={"measurements": changed}))
    store.annotate("r0", ["Good"], "50 % off")
    store.annotate("r1", ["good", 'the "b"'], "")
    assert listed(store) == ["r3", "r2", "r1", "r0"]
    assert listed(store, "best") == ["r2", "r3", "r0", "r1"]  # what was not measured stands last
    assert [row.run_id for row in store.rows(offset=1, limit=2)] == ["r2", "r1"]
    assert listed(store, models=("a/x", "c/z")) == ["r3", "r2", "r0"]
    assert listed(store, tags=("good",)) == ["r1"] and listed(store, tags=('the "b"', "good")) == ["r1"]
    assert listed(store, text="A/X") == ["r2", "r0"] and listed(store, text="0 %") == ["r0"]
    assert (
        listed(store, text="%") == ["r0"] and listed(store, text='"B"') == ["r1"] and listed(store, text='", "') == []
    )
    assert listed(store, text="nowhere", steps=tuple(store.steps_used())) == ["r3", "r2", "r1", "r0"]
    assert [store.count(), store.count(RunFilter(models=("a/x",)))] == [4, 2]
    assert store.labels() == Labels(["c/z", "a/x", "b/y"], ["Good", "good", 'the "b"'])
    store.delete_run("r0")
    assert store.count() == 3 and store.labels().tags == ["good", 'the "b"']


def test_a_list_of_many_reads_no_record(store):
    for place in range(30):
        store.save_run(record(f"r{place:02d}"))
    with store.database.write() as connection:
        connection.execute(update(RECORDS).values(record="not even JSON"))
    assert len(store.rows()) == store.count() == 30 and store.models_used()


def test_columns_of_an_older_store_are_filled_from_its_records(url, monkeypatch):
    whole = record("r1", value=4.0)
    with monkeypatch.context() as older:
        older.setattr("compresslab.store.database.head", lambda: "0006")
        older.setattr("alembic.command.upgrade", partial(_to_version, alembic.command.upgrade, "0006"))
        database = Database(url)
    for run_id, text_of in (("r1", whole.to_json()), ("r2", "damaged")):
        values = {"id": run_id, "record": text_of, "created": whole.created, "model": whole.model}
        with database.write() as connection:
            columns = "run_id, record, created, model, tags"
            connection.execute(
                text(f"INSERT INTO runs ({columns}) VALUES (:id, :record, :created, :model, '[\"kept\"]')"), values
            )
    database.close()
    store = Store(url)
    assert {row.run_id: row.perplexity for row in store.rows()} == {"r1": 4.0, "r2": None}
    assert store.run("r1") == whole and store.rows_by_id(["r1"])[0].tags == ("kept",)


def _to_version(upgrade, version, config, _head):
    upgrade(config, version)


# -- workers ----------------------------------------------------------------------------------


def test_a_worker_is_alive_while_it_beats(store):
    for state in ("starting", "idle"):
        store.beat("w1", host="here", pid=1, device="cpu", state=state)
    (worker,) = store.workers()
    assert (worker.worker_id, worker.host, worker.device, worker.state) == ("w1", "here", "cpu", "idle")
    assert worker.age < 5
    for wrong in (-60, 120):  # seconds; what lies in the future is no sign of life either
        with store.database.write() as connection:
            connection.execute(update(WORKERS).values(heartbeat=WORKERS.c.heartbeat + wrong))
        assert store.workers() == []
        assert [worker.alive for worker in store.workers(stale=True)] == [False]
    store.forget_worker("w1")
    assert store.workers(stale=True) == []


# -- versions and failures ----------------------------------------------------------------------


def test_the_steps_make_the_tables_that_the_queries_use(store):
    options = {"version_table": migrations.VERSION_TABLE}
    with store.database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts=options), METADATA) == []


def test_a_store_of_a_newer_version_is_refused(url):
    store = Store(url)
    with store.database.write() as connection:
        connection.execute(text(f"UPDATE {migrations.VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(BadInput, match=r"newer compresslab .* update compresslab"):
        Store(url)


def test_an_up_to_date_store_opens_without_alembic_and_in_a_few_statements(url):
    Store(url)
    code = (
        "import sys; from sqlalchemy import Engine, event; from compresslab.store import Store; asked = [];"
        "event.listen(Engine, 'before_cursor_execute', lambda *call: asked.append(call[2]));"
        "Store(sys.argv[1]); assert 0 < len(asked) < 8, asked;"
        "assert 'alembic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, url], cwd=ROOT, check=True)


def test_processes_that_start_together_make_one_store(url):
    with ThreadPoolExecutor(6) as pool:
        stores = list(pool.map(Store, [url] * 6))
    create(stores[0])
    assert [len(store.jobs()) for store in stores] == [1] * 6


def test_a_new_store_waits_while_another_process_makes_it(tmp_path):
    file = tmp_path / "store.db"
    blocker = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    blocker.execute("BEGIN EXCLUSIVE")  # the file exists and is no WAL yet: SQLite's own timeout does not cover this
    threading.Timer(0.3, blocker.close).start()
    assert create(Store(f"sqlite:///{file}")) == 1


def test_a_locked_store_is_said_to_be_locked(tmp_path):
    url = f"sqlite:///{tmp_path / 'store.db'}?timeout=0.1"
    store = Store(url)
    blocker = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    with pytest.raises(RunFailed, match="locked by another program"):
        create(store)
    blocker.execute("ROLLBACK")
    assert create(store) == 1


def test_a_writer_waits_for_another(tmp_path):
    store = Store(f"sqlite:///{tmp_path / 'store.db'}")
    blocker = sqlite3.connect(tmp_path / "store.db", isolation_level=None, check_same_thread=False)
    blocker.execute("BEGIN IMMEDIATE")
    threading.Timer(0.3, lambda: blocker.execute("ROLLBACK")).start()
    assert create(store) == 1


def test_a_full_disk_is_said_to_be_full(tmp_path):
    store = Store(f"sqlite:///{tmp_path / 'store.db'}")
    job = create(store)
    with store.database.engine.connect() as connection:  # the pool hands this very connection out again
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
    with pytest.raises(RunFailed, match=r"disk that holds the store .* is full"):
        store.append_events(job, [to_json(Token(pane=0, index=0, token_id=0, text="x" * 100_000, seconds=0.0))])


def damaged(path):
    Store(f"sqlite:///{path}").database.close()
    content = bytearray(path.read_bytes())
    content[100:4096] = b"\xff" * 3996
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (
            lambda path: path.write_text("Dear diary, this is no database, and long enough to tell." * 20),
            "not a compresslab store",
        ),
        (damaged, "damaged"),
        (lambda path: path.mkdir(), "can't be opened"),
    ],
)
def test_what_is_no_store_is_refused(tmp_path, prepare, said):
    path = tmp_path / "store.db"
    prepare(path)
    with pytest.raises(CompresslabError, match=said) as refused:
        Store(f"sqlite:///{path}")
    assert "\n" not in str(refused.value)
    assert refused.value.exit_code == 2


def test_a_store_that_may_only_be_read_is_refused(tmp_path):
    path = tmp_path / "store.db"
    Store(f"sqlite:///{path}")
    store = Store(f"sqlite:///file:{path}?mode=ro&uri=true")
    with pytest.raises(BadInput, match="can't be written"):
        create(store)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "is not the URL of a store"),
        ("sqlite://", "can't be shared"),
        ("mysql://host/name", "SQLite or PostgreSQL"),
        ("sqlite:////no/such/folder/store.db", "can't be opened"),
    ],
)
def test_urls_that_lead_nowhere(url, said):
    with pytest.raises(BadInput, match=said):
        Store(url)


def test_a_postgres_that_is_not_there():
    """Without its driver the sentence names the package, with it the server."""
    with pytest.raises(CompresslabError, match=r"psycopg\[binary\] is not installed|can't be reached"):
        Store("postgresql://localhost:1/none")


def test_a_home_that_can_not_be_made(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COMPRESSLAB_HOME", str(tmp_path / "file" / "home"))
    from compresslab.files.paths import store_url

    with pytest.raises(BadInput, match="set COMPRESSLAB_HOME to another"):
        store_url()
