"""Sweeps: which points, in which order, what is set aside, and that no finished point is ever done again."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import pytest
from compresslab.commands.main import main
from compresslab.errors import BadInput, Cancelled, RunFailed
from compresslab.messages import Message, plain
from compresslab.models.facts import read_facts
from compresslab.recipes.named_files import named_files
from compresslab.recipes.recipe import Recipe
from compresslab.recipes.sweep import MOST_POINTS, Axis, Sweep
from compresslab.store import Store
from compresslab.store.tables import JOBS
from compresslab.work import jobs
from compresslab.work.jobs import RunJob
from compresslab.work.reaper import SURE_SECONDS, Reaper
from compresslab.work.sweeps import Sweeps
from compresslab.work.worker import Worker
from compresslab.workspace import Workspace
from sqlalchemy import update

from tests.fake_session import record
from tests.patience import eventually
from tests.tiny_models import write_checkpoint

FOUR_BITS = Recipe.from_dict({"steps": ["quantize_rtn"]})
BOTH = Recipe.from_dict({"steps": [{"prune_wanda": {"sparsity": 0.4}}, {"quantize_gptq": {"bits": 3}}]})
FAKE = (sys.executable, "-m", "compresslab.work.child", "--session", "tests.fake_session:FakeSession")


class Runner:
    """Does every recipe at once, and remembers which."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.failing: set[str] = set()
        self.stop_after: int | None = None

    def run(self, recipe, *, run_id, stage, report, cancelled):
        if self.stop_after is not None and len(self.done) >= self.stop_after:
            raise Cancelled
        if recipe.content_hash in self.failing:
            raise RunFailed("The loss is not finite any more; use a smaller learning rate.")
        self.done.append(recipe.content_hash)
        return record(run_id, recipe, stage=stage)


@pytest.fixture
def store(own_home) -> Store:
    own_home.mkdir()
    return Store(f"sqlite:///{own_home / 'store.db'}")


@pytest.fixture
def runner() -> Runner:
    return Runner()


@pytest.fixture
def sweeps(store: Store, runner: Runner) -> Sweeps:
    return Sweeps(store, lambda: runner)


def states(sweeps: Sweeps, sweep_id: int) -> list[str]:
    return [row.state for row in sweeps.points(sweep_id)]


# -- axes and points ---------------------------------------------------------------------------


def test_every_combination_is_a_recipe() -> None:
    sweep = Sweep.over(BOTH, ["quantize_gptq.bits=2,4", "prune_wanda.sparsity=0.1,0.5,0.9"])
    points = sweep.points()
    assert len(points) == sweep.size == 6
    made = {(p.recipe.steps[1].bits, p.recipe.steps[0].sparsity): p for p in points}
    assert made.keys() == {(b, s) for b in (2, 4) for s in (0.1, 0.5, 0.9)}
    assert all(point.coordinates == key for key, point in made.items())
    assert all(p.recipe.evaluation == BOTH.evaluation and p.recipe.seed == BOTH.seed for p in points)


def test_what_an_early_step_or_the_texts_decide_changes_seldom() -> None:
    axes = ["quantize_gptq.bits=2,4", "calibration.samples=16,32", "prune_wanda.sparsity=0.1,0.5"]
    order = [(p.coordinates[1], p.coordinates[2], p.coordinates[0]) for p in Sweep.over(BOTH, axes).points()]
    assert order == [(c, s, b) for c in (16, 32) for s in (0.1, 0.5) for b in (2, 4)]


def test_a_kind_stands_for_its_step_whichever_method_does_it() -> None:
    sweep = Sweep.over(BOTH, ["quantize.bits=3,4", "quantize=quantize_rtn,quantize_gptq"])
    made = [(p.recipe.steps[1].name, p.recipe.steps[1].bits) for p in sweep.points()]
    assert made == [("quantize_rtn", 3), ("quantize_rtn", 4), ("quantize_gptq", 3), ("quantize_gptq", 4)]
    assert all(p.recipe.steps[0] == BOTH.steps[0] for p in sweep.points())


def test_another_method_takes_over_what_was_changed() -> None:
    (point,) = Sweep.over(BOTH, ["prune=prune_magnitude"]).points()
    assert point.recipe.steps[0].name == "prune_magnitude" and point.recipe.steps[0].sparsity == 0.4


def test_a_method_axis_needs_no_step() -> None:
    points = Sweep.over(Recipe(), ["quantize=quantize_rtn,quantize_hqq", "quantize.bits=2,8"]).points()
    assert [(p.recipe.steps[0].name, p.recipe.steps[0].bits) for p in points] == [
        ("quantize_rtn", 2), ("quantize_rtn", 8), ("quantize_hqq", 2), ("quantize_hqq", 8)
    ]  # fmt: skip


def test_what_makes_no_sense_is_set_aside_with_the_reason() -> None:
    facts = read_facts("storyteller")
    points = Sweep.over(FOUR_BITS, ["quantize_rtn.bits=4,9", "quantize_rtn.group_size=64,99999"]).points(facts)
    aside = {point.coordinates: point.aside for point in points if point.aside}
    assert aside.keys() == {(9, 64), (9, 99999), (4, 99999)}
    assert "from 2 to 8" in str(aside[9, 64]) and "8192" in str(aside[4, 99999])


def test_what_does_not_fit_the_model_is_set_aside() -> None:
    facts = read_facts("storyteller")
    base = Recipe.from_dict({"steps": ["prune_layers"]})
    points = Sweep.over(base, ["prune_layers.layers=1,2,63"]).points(facts)
    assert [point.aside is None for point in points] == [True, True, False]


def test_steps_that_conflict_are_set_aside() -> None:
    base = Recipe.from_dict({"steps": ["quantize_rtn", "prune_magnitude"]})
    points = Sweep.over(base, ["prune_magnitude.mend=0,5"]).points(read_facts("storyteller"))
    assert [point.aside is None for point in points] == [True, False]
    assert "move it before" in str(points[1].aside)


def test_a_setting_that_one_of_the_methods_lacks_sets_aside_those_points_alone() -> None:
    sweep = Sweep.over(BOTH, ["prune=prune_wanda,prune_layers", "prune.sparsity=0.1,0.2"])
    assert [p.aside is None for p in sweep.points()] == [True, True, False, False]


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ([], "one to 3"),
        (["seed=1", "quantize_rtn.bits=4", "quantize_rtn.group_size=64", "evaluation.max_tokens=512"], "one to 3"),
        (["quantize_rtn.bits=3", "quantize_rtn.bits=4"], "2 times"),
        (["quantize_rtn.bits=3,3"], "the same one twice"),
        (["quantize_rtn.bits"], "NAME.SETTING"),
        (["quantize_rtn.bits=[1"], "NAME.SETTING"),
        (["quantize_rtn.bitz=3,4"], "bitz"),
        (["quantize=magic"], "magic"),
        (["prune.sparsity=0.5"], "no prune step"),
        (["model=a,b"], "A sweep can't change"),
        (["seed=" + ",".join(map(str, range(MOST_POINTS + 1)))], f"at most {MOST_POINTS}"),
    ],
)
def test_a_sweep_that_makes_no_sense_is_refused(axes: list[str], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        Sweep.over(FOUR_BITS, axes).points()


def test_two_steps_of_a_kind_have_to_be_named() -> None:
    base = Recipe.from_dict({"steps": ["prune_layers", "prune_wanda"]})
    with pytest.raises(BadInput, match="name the method"):
        Sweep.over(base, ["prune.sparsity=0.5"]).points()
    assert Sweep.over(base, ["prune_wanda.sparsity=0.5"]).points()[0].recipe.steps[1].sparsity == 0.5


def test_an_axis_is_read_as_it_is_written() -> None:
    assert Axis.parse("prune_wanda.n_of_m=2:4,4:8").values == ("2:4", "4:8")
    assert Axis.parse("quantize_rtn.symmetric=true,false").values == (True, False)
    assert Sweep.model_validate_json(Sweep.over(FOUR_BITS, ["seed=0,1"]).model_dump_json()).axes[0].values == (0, 1)


# -- in the queue ------------------------------------------------------------------------------


def test_points_wait_behind_everyone_else(store: Store, sweeps: Sweeps) -> None:
    sweep_id = sweeps.submit(Sweep.over(FOUR_BITS, ["quantize_rtn.bits=2,3,4"]))
    final = jobs.submit(store, RunJob(recipe=FOUR_BITS.to_dict()))
    live = jobs.submit(store, RunJob(recipe=FOUR_BITS.to_dict(), stage="draft"), owner="me", live=True)
    claimed = [store.claim("worker").id for _ in range(3)]
    assert claimed[:2] == [live, final]
    assert sweeps.points(sweep_id)[0].job_id == claimed[2]
    assert states(sweeps, sweep_id) == ["running", "queued", "queued"]


def test_a_finished_run_of_the_same_recipe_is_a_finished_point(store: Store, sweeps: Sweeps) -> None:
    three_bits = FOUR_BITS.assign("quantize_rtn.bits=3")
    store.save_run(record("elsewhere0", three_bits))
    sweep_id = sweeps.submit(Sweep.over(FOUR_BITS, ["quantize_rtn.bits=2,3"], "final"))
    assert states(sweeps, sweep_id) == ["queued", "done"]
    assert sweeps.points(sweep_id)[1].run_id == "elsewhere0"
    assert len(store.jobs()) == 1
    again = sweeps.submit(Sweep.over(FOUR_BITS, ["quantize_rtn.bits=3"], "draft"))
    assert states(sweeps, again) == ["done"]  # a final run says more than a draft would


def test_a_model_that_was_edited_is_measured_again(store: Store, sweeps: Sweeps, tmp_path: Path) -> None:
    base = FOUR_BITS.replace(model=str(write_checkpoint(tmp_path / "m", "llama")))
    store.save_run(record("before0000", base).model_copy(update={"named_files": named_files(base)}))
    sweep_id = sweeps.submit(Sweep.over(base, ["seed=0"]))
    assert states(sweeps, sweep_id) == ["done"]
    (tmp_path / "m" / "generation_config.json").write_text('{"eos_token_id": 3}')
    assert (states(sweeps, sweep_id), sweeps.points(sweep_id)[0].run_id) == (["waiting"], None)
    assert sweeps.resume(sweep_id) == 1
    store.save_run(record("after00000", base).model_copy(update={"named_files": named_files(base)}))
    assert sweeps.points(sweep_id)[0].run_id == "after00000"


def test_a_sweep_over_texts_takes_the_runs_of_each(store: Store, sweeps: Sweeps, tmp_path: Path) -> None:
    texts = [tmp_path / "a.txt", tmp_path / "b.txt"]
    for text in texts:
        text.write_text("Once upon a time there was a fox. " * 40)
    sweep_id = sweeps.submit(Sweep.over(FOUR_BITS, [f"evaluation.text={texts[0]},{texts[1]}"]))
    for number, text in enumerate(texts):
        recipe = FOUR_BITS.assign(f"evaluation.text={text}")
        store.save_run(record(f"run{number}", recipe).model_copy(update={"named_files": named_files(recipe)}))
    assert [row.run_id for row in sweeps.points(sweep_id)] == ["run0", "run1"]


def test_a_draft_is_not_enough_for_a_final_sweep(store: Store, sweeps: Sweeps) -> None:
    store.save_run(record("draft00000", FOUR_BITS, stage="draft"))
    assert states(sweeps, sweeps.submit(Sweep.over(FOUR_BITS, ["seed=0"], "draft"))) == ["done"]
    sweep_id = sweeps.submit(Sweep.over(FOUR_BITS, ["seed=0"], "final"))
    assert states(sweeps, sweep_id) == ["queued"]
    assert sweeps.points(sweep_id)[0].run_id == "draft00000"  # shown until there is more
    assert store.runs() == []  # and no run of the history


def test_stopped_and_resumed(store: Store, sweeps: Sweeps) -> None:
    sweep_id = sweeps.submit(Sweep.over(FOUR_BITS, ["quantize_rtn.bits=2,3,4"]), owner="me")
    first = store.claim("worker")
    assert first.owner == "me"
    sweeps.stop(sweep_id)
    assert store.job(first.id).cancel_reason  # the worker hears of it
    assert states(sweeps, sweep_id) == ["running", "stopped", "stopped"]
    store.finish(first.id, "done")
    store.save_run(record("run0000000", FOUR_BITS.assign("quantize_rtn.bits=2"), stage="draft"))
    assert sweeps.resume(sweep_id) == 2
    assert states(sweeps, sweep_id) == ["done", "queued", "queued"]
    assert sweeps.resume(sweep_id) == 0


def test_a_failed_point_says_why_and_can_be_tried_again(store: Store, sweeps: Sweeps) -> None:
    sweep_id = sweeps.submit(Sweep.over(FOUR_BITS, ["quantize_rtn.bits=2"]))
    store.finish(store.claim("worker").id, "failed", plain("Out of memory."))
    (row,) = sweeps.points(sweep_id)
    assert (row.state, str(row.error)) == ("failed", "Out of memory.")
    assert sweeps.resume(sweep_id) == 1 and states(sweeps, sweep_id) == ["queued"]


def reap(store: Store) -> None:
    """Watched for as long as it takes to be sure."""
    seconds = iter(range(100))
    reaper = Reaper(store, clock=lambda: float(next(seconds)))
    for _ in range(int(SURE_SECONDS) + 1):
        reaper.look()


def test_a_point_whose_worker_went_away_is_put_back_but_not_for_ever(store: Store, sweeps: Sweeps) -> None:
    sweep_id = sweeps.submit(Sweep.over(FOUR_BITS, ["quantize_rtn.bits=2"]), owner="me")
    for _ in range(jobs.MOST_PUT_BACK):
        lost = store.claim("gone")  # a worker that never said a word
        reap(store)
        assert store.job(lost.id).state == "failed"
        assert states(sweeps, sweep_id) == ["queued"]
        assert store.job(sweeps.points(sweep_id)[0].job_id).payload["run_id"] != lost.run_id
    store.claim("gone")
    reap(store)
    assert states(sweeps, sweep_id) == ["failed"]
    assert sweeps.resume(sweep_id) == 1  # who asks for it gets it


def test_a_point_that_was_stopped_is_not_put_back(store: Store, sweeps: Sweeps) -> None:
    sweep_id = sweeps.submit(Sweep.over(FOUR_BITS, ["quantize_rtn.bits=2"]))
    store.claim("gone")
    sweeps.stop(sweep_id)
    reap(store)
    assert states(sweeps, sweep_id) == ["stopped"]


def test_single_points_are_measured_in_full(store: Store, sweeps: Sweeps) -> None:
    store.save_run(record("draft00000", FOUR_BITS, stage="draft"))
    sweep_id = sweeps.submit(Sweep.over(FOUR_BITS, ["quantize_rtn.bits=4,8"]))
    four, eight = sweeps.points(sweep_id)
    assert sweeps.in_full(sweep_id, [four.place]) == 1
    assert store.job(sweeps.points(sweep_id)[0].job_id).stage == "final"
    assert [store.job(row.job_id).stage for row in sweeps.points(sweep_id)] == ["final", "draft"]
    assert sweeps.points(sweep_id)[0].run_id == "draft00000" and eight.run_id is None
    store.request_cancel(sweeps.points(sweep_id)[1].job_id)
    store.finish(store.claim("worker").id, "failed", plain("Out of memory."))
    four = sweeps.points(sweep_id)[0]
    assert (four.state, str(four.trouble)) == (
        "done",
        "Out of memory.",
    )  # its draft stays, and it says why there is no more


def test_a_deleted_sweep_comes_back_or_goes_for_good(store: Store, sweeps: Sweeps) -> None:
    store.save_run(record("draft00000", FOUR_BITS, stage="draft"))
    store.save_run(record("final00000", FOUR_BITS.assign("quantize_rtn.bits=8")))
    sweep_id = sweeps.submit(Sweep.over(FOUR_BITS, ["quantize_rtn.bits=3,4,8"]))
    sweeps.delete(sweep_id)
    assert sweeps.all() == [] and store.jobs() == []
    with pytest.raises(BadInput, match="compresslab sweeps"):
        sweeps.points(sweep_id)
    sweeps.restore(sweep_id)
    assert states(sweeps, sweep_id) == ["stopped", "done", "done"]
    sweeps.delete(sweep_id)
    store.sweeps.purge(older_than=-1)
    with pytest.raises(BadInput):
        sweeps.restore(sweep_id)
    assert [run.run_id for run in store.runs_by_id(["draft00000", "final00000"])] == ["final00000"]


def test_how_long_a_point_takes_is_what_like_ones_took(store: Store, sweeps: Sweeps) -> None:
    sweep = Sweep.over(FOUR_BITS, ["quantize_rtn.bits=2,3"])
    assert sweeps.seconds_each(sweep) is None
    jobs.submit(store, RunJob(recipe=FOUR_BITS.to_dict(), stage="draft"))
    taken = store.claim("worker")
    store.finish(taken.id, "done")
    with store.database.write() as connection:
        connection.execute(update(JOBS).values(started=JOBS.c.finished - 7.5))
    assert sweeps.seconds_each(sweep) == pytest.approx(7.5)
    assert sweeps.seconds_each(Sweep.over(FOUR_BITS, ["seed=0"], "final")) is None


def test_a_real_worker_does_a_sweep_and_keeps_its_drafts(store: Store, sweeps: Sweeps) -> None:
    base = FOUR_BITS.replace(model="fake/quick")
    sweep_id = sweeps.submit(Sweep.over(base, ["quantize_rtn.bits=2,3"]))
    worker = Worker(store, FAKE)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        eventually(lambda: states(sweeps, sweep_id) == ["done", "done"])
    finally:
        worker.stop()
        thread.join()
    rows = sweeps.points(sweep_id)
    assert [row.state for row in rows] == ["done", "done"]
    found = {run.run_id: run for run in sweeps.records(row.run_id for row in rows)}
    assert [found[row.run_id].recipe["steps"][0]["quantize_rtn"]["bits"] for row in rows] == [2, 3]
    assert all(run.stage == "draft" for run in found.values())


# -- in this process ---------------------------------------------------------------------------


def test_a_sweep_that_was_interrupted_goes_on_where_it_was(sweeps: Sweeps, runner: Runner) -> None:
    sweep_id = sweeps.create(Sweep.over(FOUR_BITS, ["quantize_rtn.bits=2,3,4,5"]))
    runner.stop_after = 2
    with pytest.raises(Cancelled):
        sweeps.go_on(sweep_id)
    assert states(sweeps, sweep_id) == ["done", "done", "waiting", "waiting"]
    runner.stop_after = None
    sweeps.go_on(sweep_id)
    assert states(sweeps, sweep_id) == ["done"] * 4
    assert len(runner.done) == len(set(runner.done)) == 4


def test_one_failing_point_does_not_end_the_others(sweeps: Sweeps, runner: Runner) -> None:
    runner.failing = {FOUR_BITS.assign("quantize_rtn.bits=3").content_hash}
    told: list[str] = []
    sweep_id = sweeps.create(Sweep.over(FOUR_BITS, ["quantize_rtn.bits=2,3,4"]))
    sweeps.go_on(
        sweep_id, told=lambda row, outcome: told.append(str(outcome) if isinstance(outcome, Message) else "fine")
    )
    assert states(sweeps, sweep_id) == ["done", "failed", "done"]
    assert told[::2] == ["fine", "fine"] and "not finite" in told[1]
    runner.failing = set()
    sweeps.go_on(sweep_id)
    assert states(sweeps, sweep_id) == ["done"] * 3


SMALL = ["evaluation.max_tokens=1024", "evaluation.max_questions=10", "calibration.samples=8"]


def small(recipe: Recipe) -> Recipe:
    for assignment in SMALL:
        recipe = recipe.assign(assignment)
    return recipe


def test_a_sweep_on_the_real_engine_gives_each_point_its_own_numbers() -> None:
    workspace = Workspace()
    records = workspace.sweeps.run(small(FOUR_BITS), ["quantize_rtn.bits=3,8"])
    three, eight = (run.find("perplexity") for run in records)
    assert [run.recipe["steps"][0]["quantize_rtn"]["bits"] for run in records] == [3, 8]
    assert three.change > eight.change and abs(eight.change) < 1
    alone = workspace.run(small(FOUR_BITS).assign("quantize_rtn.bits=3"), stage="draft")
    assert alone.compressed_hash == records[0].compressed_hash  # as by itself


def test_the_command_line_sweeps_lists_and_deletes(capsys: pytest.CaptureFixture[str]) -> None:
    options = [f"--set={assignment}" for assignment in SMALL]
    assert main(["sweep", *options, "--over", "quantize_rtn.bits=4,9", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    four, nine = told["points"]
    assert (four["state"], nine["state"]) == ("done", "aside")
    assert four["record"]["stage"] == "draft" and "from 2 to 8" in nine["aside"]["text"]
    number = str(told["id"])
    assert main(["sweeps", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sweeps"][0]["points"] == {"done": 1, "aside": 1}
    assert main(["sweeps", number]) == 0
    assert "quantize_rtn.bits" in capsys.readouterr().out
    assert main(["sweeps", number, "--delete"]) == 0 and main(["sweeps", number, "--undo"]) == 0
    assert main(["sweeps", "99"]) == 2
    assert "There is no sweep 99" in capsys.readouterr().err


def test_the_command_line_puts_a_sweep_into_the_queue(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "--over", "quantize=quantize_rtn,quantize_hqq", "--queue", "--full"]) == 0
    captured = capsys.readouterr()
    assert captured.out.strip() == "1" and "compresslab worker" in captured.err
    assert [job.stage for job in Workspace().jobs.open()] == ["final", "final"]
    assert main(["sweeps", "1", "--stop"]) == 0 and Workspace().jobs.open() == []
    assert main(["sweeps", "1", "--resume", "--queue"]) == 0 and len(Workspace().jobs.open()) == 2
    assert main(["sweeps", "--stop"]) == 2
