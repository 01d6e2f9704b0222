"""What is kept for nobody: found, shown, and taken away; and who may read the rest."""

import json
import os
import stat
import subprocess

import pytest
from compresslab.commands.main import main
from compresslab.errors import RunFailed
from compresslab.files import atomic, logs
from compresslab.files.atomic import new_file, new_folder, write_text
from compresslab.files.logs import cut_logs, log_file
from compresslab.files.paths import home, run_folder, store_url
from compresslab.profiles import statistics_files
from compresslab.records.events import Notice, to_json
from compresslab.store import Store
from compresslab.store.retention import EVENTS_DAYS, JOBS_DAYS, LIVE_DAYS, Old
from compresslab.store.runs import remove_folder
from compresslab.store.tables import JOBS
from compresslab.work import leftovers
from filelock import FileLock
from sqlalchemy import update

DAY = 24 * 3600.0


@pytest.fixture
def store(own_home):
    return Store(store_url())


def part_of(path, pid):
    """As a process of that number would have left it."""
    named = atomic._part(path).name.replace(f"-{os.getpid()}-", f"-{pid}-")
    part = path.with_name(named)
    part.mkdir(parents=True)
    (part / "model.safetensors").write_bytes(b"0" * 1000)
    return part


def dead_pid():
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_what_a_killed_process_left_is_found_and_taken_away(store, capsys):
    dead = dead_pid()
    lost = [part_of(home() / place / "one", dead) for place in ("statistics", "exports", "runs")]
    lost.append(part_of(home() / "sensitivity" / "model" / "two", dead))
    kept = part_of(home() / "exports" / "being written", os.getpid())
    old = home() / "exports" / "three.part"
    old.mkdir()
    assert set(leftovers.find(store).parts) == set(lost)
    os.utime(old, (0, 0))
    assert set(leftovers.find(store).parts) == {*lost, old}
    assert main(["clean", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (len(told["parts"]), told["bytes"], told["deleted"]) == (5, 4000, False)
    assert all(part.exists() for part in lost)
    assert main(["clean", "--yes"]) == 0
    assert not any(part.exists() for part in (*lost, old)) and kept.exists()
    assert leftovers.find(store).parts == ()


def test_a_worker_takes_away_what_its_child_left(own_home):
    mine, other = part_of(home() / "statistics" / "a", 2**22 + 1), part_of(home() / "statistics" / "b", 2**22 + 2)
    leftovers.remove_of(2**22 + 1)
    assert (mine.exists(), other.exists()) == (False, True)


def test_two_writers_of_one_folder_never_meet(own_home):
    folder = home() / "exports" / "gguf"
    with new_folder(folder) as first, new_folder(folder) as second:
        (first / "a").write_text("first")
        (second / "a").write_text("second")
    assert (folder / "a").read_text() == "first"  # which was ready last
    assert list(folder.parent.iterdir()) == [folder]


def test_the_folder_before_stands_until_the_next_one_is_whole(own_home, monkeypatch):
    folder = home() / "exports" / "gguf"
    with new_folder(folder) as part:
        (part / "a").write_text("before")
    with pytest.raises(OSError), new_folder(folder) as part:
        monkeypatch.setattr(type(part), "rename", fails_for(part, type(part).rename))
    assert (folder / "a").read_text() == "before"
    assert list(folder.parent.iterdir()) == [folder]


def fails_for(part, rename):
    def renamed(self, target):
        if self == part:
            raise OSError("no")
        return rename(self, target)

    return renamed


def test_what_took_work_and_can_not_be_written_is_one_sentence(own_home):
    (home() / "sensitivity").write_text("a file where a folder should be")
    with pytest.raises(RunFailed, match=r"could not be written to .*table\.json"):
        atomic.keep(home() / "sensitivity" / "table.json", "{}")


def test_what_was_begun_for_a_run_goes_with_it(own_home):
    part, other = part_of(run_folder("r1"), 1), part_of(run_folder("r11"), 1)
    remove_folder("r1")
    assert (part.exists(), other.exists()) == (False, True)


def test_a_lock_that_is_held_stays_the_lock(own_home):
    place = statistics_files.folder() / "abc"
    place.mkdir()
    statistics_files.write_about(place, {"model": "m"})
    held = FileLock(statistics_files.folder() / "abc.lock")
    with held:
        statistics_files.clear(["abc"])
        other = FileLock(statistics_files.folder() / "abc.lock")
        with pytest.raises(TimeoutError):
            other.acquire(timeout=0)


def test_a_log_is_cut_while_somebody_appends_to_it(own_home, monkeypatch):
    monkeypatch.setattr(logs, "LONGEST", 1000)
    monkeypatch.setattr(logs, "KEPT", 100)
    with log_file("child.log").open("ab") as log:
        log.write(b"".join(b"line %03d\n" % number for number in range(200)))
        log.flush()
        assert cut_logs() > 1500
        log.write(b"the next line\n")
    lines = log_file("child.log").read_text().splitlines()
    assert lines[-2:] == ["line 199", "the next line"] and lines[0].startswith("line ") and len(lines) < 15
    assert cut_logs() == 0


# -- the store ---------------------------------------------------------------------------------


def ended(store, days, *, kind="run", live=False, state="done"):
    job = store.create_job(kind, "{}", priority=1, live=live)
    store.claim("w")
    store.append_events(job, [to_json(Notice(text="said"))])
    store.finish(job, state)
    with store.database.write() as connection:
        mine = update(JOBS).where(JOBS.c.id == job)
        connection.execute(mine.values(finished=JOBS.c.finished - days * DAY))
    return job


def test_old_jobs_and_their_progress_are_forgotten_and_nothing_else(store):
    young, told = ended(store, 1), ended(store, EVENTS_DAYS + 1)
    draft, gone = ended(store, LIVE_DAYS + 1, live=True), ended(store, JOBS_DAYS + 1)
    answer = ended(store, JOBS_DAYS + 1, kind="generate", live=True)
    waiting = store.create_job("run", "{}", priority=1)
    assert store.retention.count() == Old(events=2, jobs=2)
    store.retention.forget()
    assert {job.id for job in store.jobs(("done", "queued"))} == {young, told, answer, waiting}
    assert [len(store.events(job)) for job in (young, told, answer)] == [1, 0, 1]
    assert (draft in (young, told), gone in (young, told)) == (False, False)
    assert store.retention.count() == Old(0, 0)


def test_cleaning_gives_room_back(store):
    for _ in range(3):
        job = ended(store, EVENTS_DAYS + 1)
        store.append_events(job, [to_json(Notice(text="x" * 300_000))])
    before = (home() / "store.db").stat().st_size + (home() / "store.db-wal").stat().st_size
    found = leftovers.clean(store)
    store.database.close()
    assert found.old == Old(events=6, jobs=0)
    assert (home() / "store.db").stat().st_size < before / 2


def test_words_of_a_live_generation_outlive_many_drafts(store):
    words, superseded = ended(store, 0, kind="generate", live=True), ended(store, 0, live=True, state="cancelled")
    drafts = [ended(store, 0, live=True) for _ in range(3)]
    later = [ended(store, 0, live=True, state="cancelled") for _ in range(3)]
    store.prune_events(keep=2)
    assert [len(store.events(job)) for job in (words, superseded, *drafts, *later)] == [1, 0, 0, 1, 1, 0, 0, 0]


# -- who may read ------------------------------------------------------------------------------


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_what_lies_in_the_data_folder_is_for_its_user_alone(store, tmp_path):
    assert mode(home()) == 0o700
    store.create_job("run", "{}", priority=1)
    write_text(home() / "sensitivity" / "m" / "table.json", "{}")
    with new_folder(run_folder("r1")) as part:
        (part / "model").write_text("w")
    log = log_file("worker.log")
    files = [*home().glob("store.db*"), log, home() / "sensitivity" / "m" / "table.json"]
    assert {mode(file) for file in files} == {0o600} and len(files) >= 3
    assert {mode(folder) for folder in (run_folder("r1"), home() / "logs")} == {0o700}


def test_what_is_written_elsewhere_is_as_its_user_likes_it(own_home, tmp_path):
    before = os.umask(0o022)
    try:
        with new_folder(tmp_path / "model") as part, new_file(tmp_path / "report.html") as file:
            file.write_text("a")
            (part / "model").write_text("w")
    finally:
        os.umask(before)
    assert (mode(tmp_path / "model"), mode(tmp_path / "report.html")) == (0o755, 0o644)


def test_who_may_read_a_folder_that_was_there_is_not_ours_to_say(tmp_path, monkeypatch):
    (tmp_path / "shared").mkdir(0o755)
    monkeypatch.setenv("COMPRESSLAB_HOME", str(tmp_path / "shared"))
    assert mode(home()) == 0o755
