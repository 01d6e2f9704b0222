"""Statistics of inputs: what they are in both modes, that they are taken once, and how they lie on disk."""

import json
import threading
from contextlib import ExitStack

import pytest
import torch
from compresslab.commands.main import main
from compresslab.engine.inputs import block_walk, cache, calibration
from compresslab.engine.inputs.block_walk import baseline_statistics, sequential_statistics
from compresslab.engine.inputs.calibration import InputStatistics, Sums, Unfactorable
from compresslab.engine.inputs.disk import packed, unpacked
from compresslab.engine.job import Job
from compresslab.engine.models.tokens import calibration_sequences
from compresslab.engine.progress import Tracker
from compresslab.engine.session import Session
from compresslab.engine.solvers.optimal_brain import Target, solve
from compresslab.engine.solvers.rounding import round_to_nearest
from compresslab.engine.steps.context import StepContext
from compresslab.errors import BadInput, Cancelled, RunFailed
from compresslab.grids.affine import Affine
from compresslab.messages import Message
from compresslab.profiles import statistics_files as files
from compresslab.workspace import Workspace

from tests.tiny_models import FAMILIES

GPTQ = {"quantize_gptq": {"bits": 3, "group_size": 16}}
every_family = pytest.mark.parametrize("family", FAMILIES)


def unheard(*_):
    """Nobody watches."""


@pytest.fixture
def make_job():
    """`make_job(cancelled)`: a job that nobody watches."""
    return lambda cancelled=lambda: False: Job(unheard, cancelled, Tracker({}, unheard))


@pytest.fixture
def opened(tiny_recipe, make_job):
    """`opened(session, *steps, ...)`: the context of a recipe and its baseline."""

    def make(session, *steps, family="llama", job=None, **calibration):
        plain = tiny_recipe(family, *steps)
        recipe = plain.replace(calibration=plain.calibration.model_copy(update=calibration))
        return StepContext(job or make_job(), session, recipe, session.baseline(recipe))

    return make


def rows_read(model, names, sequences):
    """What each matrix reads, by hooks on whole forward passes: float64 [tokens, d]."""
    rows = {name: [] for name in names}
    with ExitStack() as stack, torch.no_grad():
        for name in names:
            module = model.module.get_submodule(name.removesuffix(".weight"))
            handle = module.register_forward_pre_hook(lambda _m, inputs, name=name: rows[name].append(inputs[0]))
            stack.callback(handle.remove)
        for batch in sequences.split(4):
            model.module(input_ids=batch, use_cache=False)
    return {
        name: torch.cat([part.reshape(-1, part.shape[-1]) for part in parts]).double() for name, parts in rows.items()
    }


def assert_describes(statistics, rows):
    close = {"rtol": 1e-4, "atol": 1e-5 * float(rows.abs().max()) ** 2}
    assert statistics.tokens == len(rows)
    assert torch.allclose(statistics.hessian.double(), rows.T @ rows / len(rows), **close)
    assert torch.equal(statistics.hessian, statistics.hessian.T)
    assert torch.allclose(statistics.mean.double(), rows.mean(0), atol=1e-5)
    assert torch.allclose(statistics.norms.double(), rows.square().mean(0).sqrt(), rtol=1e-4, atol=1e-6)
    assert torch.equal(statistics.peaks.double(), rows.abs().amax(0))


@pytest.fixture
def uneven(monkeypatch):
    """Sequences that are longer than a sliding window and make batches of two sizes."""
    monkeypatch.setattr(block_walk, "BATCH_TOKENS", 4 * 48)
    return torch.randint(0, 300, (10, 48), generator=torch.Generator().manual_seed(1))


# -- what they are ----------------------------------------------------------------------------


@pytest.mark.parametrize("take", [baseline_statistics, sequential_statistics])
@every_family
def test_they_are_those_of_whole_forward_passes(opened, uneven, family, take):
    model = opened(Session(), family=family).baseline
    names = model.linear_names()
    found = list(take(model, names, uneven, unheard))
    rows = rows_read(model, names, uneven)
    assert sorted(name for group, _ in found for name in group) == sorted(names)
    assert [group for group, _ in found] == calibration.shared_inputs(model, names, uneven)
    for group, statistics in found:
        for name in group:
            assert_describes(statistics, rows[name])


@every_family
def test_sequential_ones_see_what_was_compressed_before(opened, uneven, family):
    model = opened(Session(), family=family).baseline.copy()
    names = model.linear_names()
    first = rows_read(model, names, uneven)
    changed = []
    for group, statistics in sequential_statistics(model, names, uneven, unheard):
        now = rows_read(model, group, uneven)[group[0]]
        assert_describes(statistics, now)
        changed.append(not torch.equal(now, first[group[0]]))
        for name in group:
            model.quantize(name, round_to_nearest(model.weight(name), Affine(2, 0, True)))
    assert (changed[0], changed[-1]) == (False, True)


def test_a_walk_needs_no_block_that_is_not_asked_for(opened, uneven):
    model = opened(Session()).baseline
    asked = [name for name in model.linear_names() if ".1.mlp." in name]
    groups = [group for group, _ in sequential_statistics(model, asked, uneven, unheard)]
    assert sorted(name for group in groups for name in group) == sorted(asked)
    assert list(baseline_statistics(model, [], uneven, unheard)) == []


def test_norms_alone_are_the_same_norms(opened, uneven):
    model = opened(Session()).baseline
    names = model.linear_names()
    whole = dict(baseline_statistics(model, names, uneven, unheard))
    for group, statistics in baseline_statistics(model, names, uneven, unheard, hessian=False):
        assert torch.allclose(statistics.norms, whole[group].norms, rtol=1e-5)
        with pytest.raises(AssertionError, match="without their Hessian"):
            _ = statistics.hessian


def test_panels_sum_up_to_the_whole(monkeypatch):
    monkeypatch.setattr(calibration, "PANEL", 5)
    rows = torch.randn(3, 7, 13)
    sums = Sums(hessian=True)
    sums.add(rows)
    sums.add(rows[:1])
    assert_describes(sums.statistics(("w",), 28), torch.cat([rows, rows[:1]]).flatten(0, 1).double())


def test_a_token_that_was_missed_is_noticed():
    sums = Sums(hessian=True)
    sums.add(torch.randn(4, 3))
    with pytest.raises(AssertionError, match="4 tokens and not 5"):
        sums.statistics(("w",), 5)


def test_an_input_that_is_not_finite_is_named(opened, uneven):
    model = opened(Session()).baseline.copy()
    name = next(name for name in model.linear_names() if ".1.mlp.up_proj" in name)
    model.settle({name: torch.full_like(model.weight(name), torch.inf)})
    for take in (baseline_statistics, sequential_statistics):
        with pytest.raises(RunFailed, match=r"input of model\.layers\.1\.mlp\.down_proj\.weight .* contains NaN"):
            list(take(model, model.linear_names(), uneven, unheard))


# -- factors -------------------------------------------------------------------------------------


def statistics_of(rows):
    sums = Sums(hessian=True)
    sums.add(rows)
    return sums.statistics(("w",), len(rows))


@pytest.mark.parametrize("ordered", [False, True])
def test_the_factor_is_that_of_the_dampened_inverse(ordered):
    statistics = statistics_of(torch.randn(200, 12) @ torch.randn(12, 12))
    order = torch.randperm(12) if ordered else torch.arange(12)
    H = statistics.hessian.double()[order][:, order]
    expected = torch.linalg.inv(H + 0.05 * H.diagonal().mean() * torch.eye(12, dtype=torch.double))
    factor = statistics.factor(0.05, order if ordered else None)
    assert torch.equal(factor, factor.triu())
    assert torch.allclose(factor.double().T @ factor.double(), expected, rtol=1e-3, atol=1e-4 * expected.abs().max())
    assert statistics.factor(0.05, order if ordered else None) is factor


def test_more_dampening_is_tried_and_told():
    said = []
    H = torch.ones(4, 4)
    H[0, 1] = H[1, 0] = 1.05  # no matrix of second moments: its lowest eigenvalue is -0.05
    broken = InputStatistics(4, torch.zeros(4), torch.ones(4), H).heard_by(said.append, ("layers.7.q",))
    factor = broken.factor(0.01)
    assert torch.isfinite(factor).all()
    assert [str(text) for text in said] == ["layers.7.q: its Hessian needed 10 times the dampening."]
    hopeless = InputStatistics(4, torch.zeros(4), torch.ones(4), -torch.eye(4), norms=torch.ones(4))
    with pytest.raises(Unfactorable):
        hopeless.factor(0.01)


@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_channels_that_are_never_active_change_nothing_for_the_others(scale):
    rows = torch.randn(200, 12) @ torch.randn(12, 12) * scale
    alive = torch.tensor([0, 1, 3, 4, 6, 7, 9, 10])
    rows[:, [2, 5, 8, 11]] = 0
    found, expected = statistics_of(rows).factor(0.01), statistics_of(rows[:, alive]).factor(0.01)
    assert torch.allclose(found[alive][:, alive], expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_their_weights_are_the_first_to_go():
    rows = torch.randn(400, 16) * 0.01
    rows[:, ::2] = 0
    target = Target(sparsity=0.5)
    solved = solve([torch.randn(8, 16).sign()], statistics_of(rows).factor(0.01), target, lambda: None)
    assert solved.mask[:, ::2].all() and not solved.mask[:, 1::2].any()


# -- taken once ------------------------------------------------------------------------------------


@pytest.fixture
def walks(monkeypatch):
    """How often a model was gone through."""
    seen = []

    def count(*args, **kwargs):
        seen.append(args)
        return baseline_statistics(*args, **kwargs)

    monkeypatch.setattr(cache, "baseline_statistics", count)
    return seen


def same(left, right):
    assert list(left) == list(right)
    for group, statistics in left.items():
        other = right[group]
        assert statistics.tokens == other.tokens
        for name in ("mean", "peaks", "norms", "hessian"):
            assert torch.equal(getattr(statistics, name), getattr(other, name))
        assert torch.equal(statistics.factor(0.01), other.factor(0.01))


def test_another_process_takes_them_from_the_disk(opened, walks, monkeypatch):
    first = Session()
    taken = opened(first).input_statistics(hessian=True)
    factors = {group: statistics.factor(0.01) for group, statistics in taken.items()}
    again = Session()
    monkeypatch.setattr(InputStatistics, "_factor", lambda *_: pytest.fail("the factor is on disk"))
    found = opened(again).input_statistics(hessian=True)
    same(taken, found)
    assert all(torch.equal(found[group].factor(0.01), factor) for group, factor in factors.items())
    assert len(walks) == 1


def test_a_slider_measures_nothing_again(opened, walks, make_job):
    session = Session()
    for bits in (2, 3, 4):
        session.compress(opened(session, {"quantize_gptq": {"bits": bits}}).recipe, make_job())
    session.compress(opened(session, {"prune_wanda": {"sparsity": 0.5}}).recipe, make_job())
    assert len(walks) == 1


def test_of_a_large_model_norms_alone_are_taken_where_they_are_enough(opened, walks, monkeypatch):
    monkeypatch.setattr(cache, "SMALL_BYTES", 0)
    session = Session()
    alone = opened(session).input_statistics(hessian=False)
    whole = opened(session).input_statistics(hessian=True)
    assert len(walks) == 2
    assert opened(session).input_statistics(hessian=False) is whole
    assert all(torch.allclose(alone[group].norms, statistics.norms) for group, statistics in whole.items())
    again = Session()
    opened(again).input_statistics(hessian=False)
    assert len(walks) == 2
    few, many = sorted(entry.bytes for entry in files.entries())
    assert few < many / 2


def test_the_progress_of_a_step_never_goes_back(opened, monkeypatch):
    monkeypatch.setattr("compresslab.engine.progress.EVERY_SECONDS", 0)
    told = []

    def hear(event):
        told.append(event.fraction)

    job = Job(hear, lambda: False, Tracker({"quantize_gptq": 1.0}, hear))
    session = Session()
    session.compress(opened(session, GPTQ).recipe, job)
    assert told == sorted(told)
    assert len(set(told)) > 5


@pytest.mark.parametrize("change", [{"samples": 32}, {"sequence_length": 16}])
def test_another_text_is_another_measurement(opened, walks, change):
    session = Session()
    opened(session).input_statistics(hessian=True)
    opened(session, **change).input_statistics(hessian=True)
    assert len(walks) == len(files.entries()) == 2


def test_what_a_number_depends_on_is_in_its_name(opened):
    session = Session()
    context = opened(session)
    model, sequences = context.baseline, context.calibration()
    names = {cache.identity(model, sequences, hessian=True)}
    names.add(cache.identity(model, sequences, hessian=False))
    names.add(cache.identity(model, sequences.flip(0), hessian=True))
    changed = model.copy()
    changed.prune(model.linear_names()[0], torch.ones_like(model.weight(model.linear_names()[0]), dtype=torch.bool))
    names.add(cache.identity(changed, sequences, hessian=True))
    other = model.copy()
    other.module.config.rms_norm_eps = 0.1
    names.add(cache.identity(other, sequences, hessian=True))
    assert len(names) == 5


@pytest.mark.parametrize("damage", ["a file is cut off", "a file is missing", "it was never finished"])
def test_what_is_not_whole_is_measured_again(opened, walks, damage):
    session = Session()
    taken = opened(session).input_statistics(hessian=True)
    (entry,) = files.entries()
    place = files.folder() / entry.id
    if damage == "a file is cut off":
        file = place / "00003.safetensors"
        file.write_bytes(file.read_bytes()[:-10])
    elif damage == "a file is missing":
        (place / "00003.safetensors").unlink()
    else:
        place.rename(place.with_name(place.name + files.PART))
    again = Session()
    same(taken, opened(again).input_statistics(hessian=True))
    assert len(walks) == 2
    assert [e.id for e in files.entries()] == [entry.id]
    left = [place.with_name(place.name + files.PART)] if damage == "it was never finished" else []  # for the tidying
    assert list(files.folder().glob(f"*{files.PART}")) == left


def test_a_cancelled_measurement_leaves_nothing(opened, make_job):
    session, checks = Session(), []
    job = make_job(lambda: checks.append(1) or len(checks) > 4)
    with pytest.raises(Cancelled):
        opened(session, job=job).input_statistics(hessian=True)
    assert files.entries() == []
    assert [place.suffix for place in files.folder().iterdir()] == [files.LOCK]


def test_too_little_room_is_a_notice_and_no_failure(opened, walks, monkeypatch):
    session = Session()
    taken = opened(session).input_statistics(hessian=True)
    files.clear()
    monkeypatch.setenv(files.ROOM, "1000")
    again = Session()
    context = opened(again)
    same(taken, context.input_statistics(hessian=True))
    opened(again).input_statistics(hessian=True)
    assert len(walks) == 2
    assert files.entries() == []
    assert context.job.notices[0].code == "statistics.not_kept"


def test_a_full_disk_is_a_notice_and_no_failure(opened, walks, monkeypatch):
    from compresslab.engine.inputs import disk

    session = Session()
    taken = opened(session).input_statistics(hessian=True)
    files.clear()
    save, written = disk.save_file, []

    def save_a_few(tensors, file, *rest):
        written.append(file)
        if len(written) > 3:
            raise OSError(28, "No space left on device")
        save(tensors, file, *rest)

    monkeypatch.setattr(disk, "save_file", save_a_few)
    again = Session()
    context = opened(again)
    same(taken, context.input_statistics(hessian=True))
    assert len(walks) == 2
    assert files.entries() == []
    assert context.job.notices == [Message("statistics.not_kept", reason=Message("os.no_space"))]


def test_a_model_that_cannot_be_read_is_not_measured_again(opened, monkeypatch):
    begun = []

    def broken(*args, **kwargs):
        begun.append(args)
        raise OSError(5, "Input/output error", "model.safetensors")
        yield

    monkeypatch.setattr(cache, "baseline_statistics", broken)
    context = opened(Session())
    with pytest.raises(OSError, match="Input/output error"):
        context.input_statistics(hessian=True)
    assert len(begun) == 1 and not context.job.notices
    assert files.entries() == [] and not list(files.folder().glob(f"*{files.PART}"))


def test_least_recently_used_goes_first(opened, monkeypatch):
    session = Session()
    for samples in (16, 24, 32):
        opened(session, samples=samples).input_statistics(hessian=True)
    opened(session, samples=16).input_statistics(hessian=True)  # used again
    one = files.entries()[0].bytes
    monkeypatch.setenv(files.ROOM, str(3 * one + one // 2))
    opened(session, samples=40).input_statistics(hessian=True)
    assert [entry.samples for entry in files.entries()] == [40, 16, 32]


def test_cleared_while_in_use_they_still_serve(opened, walks):
    session = Session()
    opened(session).input_statistics(hessian=True)
    again = Session()
    found = opened(again).input_statistics(hessian=True)
    files.clear()
    statistics = next(iter(found.values()))
    assert statistics.factor(0.01).shape == statistics.hessian.shape
    assert len(walks) == 1


def test_two_processes_do_not_take_the_same_at_once():
    inside, order = threading.Event(), []

    def first():
        with files.locked("same", iter([None] * 50)):
            inside.set()
            threading.Event().wait(0.5)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    inside.wait()
    with files.locked("same", iter([None] * 50)):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]


def test_packing_is_exact():
    for d in (1, 2, 7):
        array = torch.randn(d, d).triu()
        assert torch.equal(unpacked(packed(array)), array)
        assert len(packed(array)) == d * (d + 1) // 2


# -- only what a setting touches is solved ----------------------------------------------------------


@pytest.fixture
def solves(monkeypatch):
    """How many matrices the solver has worked on."""
    from compresslab.engine.steps import gptq

    seen, solved = [], gptq.gptq

    def count(group, rounding):
        seen.extend(group.names)
        return solved(group, rounding)

    monkeypatch.setattr(gptq, "gptq", count)
    return seen


def test_an_exception_solves_only_what_it_touches(opened, solves, make_job):
    session = Session()

    def solved(name, settings, warm=session):
        solves.clear()
        job = make_job()
        model, _ = warm.compress(opened(warm, {name: settings}).recipe, job)
        return model.weights_hash(), len(solves)

    base = GPTQ["quantize_gptq"]
    _, everything = solved("quantize_gptq", base)
    changed = base | {"overrides": {"layers.1.mlp.*": {"bits": 4}}}
    weights, touched = solved("quantize_gptq", changed)
    assert (everything, touched) == (21, 3)
    assert solved("quantize_gptq", changed | {"ignore": ["layers.0.*"]})[1] == 0
    assert solved("quantize_gptq", changed, Session()) == (weights, 21)
    assert solved("quantize_gptq", base | {"dampening": 0.05})[1] == 21


def test_other_weights_are_solved_anew(opened, solves, make_job):
    session, counts = Session(), []
    for sparsity in (0.0, 0.3, 0.5, 0.3):
        solves.clear()
        steps = {"prune_magnitude": {"sparsity": sparsity, "ignore": ["layers.0.*"]}}, GPTQ
        session = _without_models(session)
        session.compress(opened(session, *steps).recipe, make_job())
        counts.append(len(solves))
    assert counts == [21, 14, 14, 0]


def test_mending_is_done_again_only_where_a_setting_changed(opened, monkeypatch, make_job):
    from compresslab.engine.steps import gptq

    seen, refine = [], gptq.refine
    monkeypatch.setattr(gptq, "refine", lambda *args, **kwargs: seen.append(1) or refine(*args, **kwargs))
    session, counts, wanda = Session(), [], {"sparsity": 0.5, "mend": 2}
    for settings in (wanda, wanda | {"overrides": {"layers.1.mlp.*": {"sparsity": 0.6}}}):
        seen.clear()
        last, _ = session.compress(opened(session, {"prune_wanda": settings}).recipe, make_job())
        counts.append(len(seen))
    again = Session()
    fresh, _ = again.compress(opened(again, {"prune_wanda": settings}).recipe, make_job())
    assert counts == [21, 3]
    assert fresh.weights_hash() == last.weights_hash()


def _without_models(session):
    """The same session, with no compressed model at hand."""
    fresh = Session()
    fresh.solutions, fresh.statistics = session.solutions, session.statistics
    return fresh


def test_notices_of_a_solve_are_said_again(opened, monkeypatch, make_job):
    monkeypatch.setattr(InputStatistics, "_factor", _unfactorable)
    session = Session()
    said = []
    for ignored in ("layers.0.*", "layers.1.*"):
        job = make_job()
        step = {"quantize_gptq": GPTQ["quantize_gptq"] | {"ignore": [ignored]}}
        session.compress(opened(session, step).recipe, job)
        said.append([text for text in job.notices if "layers.2." in str(text)])
    assert said[0] == said[1]
    assert said[0]


def _unfactorable(*_):
    raise Unfactorable


# -- seen and cleared -------------------------------------------------------------------------------


def test_they_are_listed_and_cleared(opened, capsys):
    session = Session()
    opened(session).input_statistics(hessian=True)
    assert main(["statistics", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    (entry,) = told["statistics"]
    assert entry["samples"] == 64
    assert entry["text"]["text"] == "stories.txt"
    assert told["bytes"] == entry["bytes"] == sum(f.stat().st_size for f in (files.folder() / entry["id"]).iterdir())
    assert main(["statistics"]) == 0
    assert entry["id"] in capsys.readouterr().out
    assert main(["statistics", "nothing", "--clear"]) == 2
    assert "There are no statistics 'nothing'" in capsys.readouterr().err
    assert main(["statistics", entry["id"], "--clear", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["freed"] == entry["bytes"]
    assert Workspace().statistics.entries() == []
    assert {path.suffix for path in files.folder().iterdir()} <= {".lock"}  # which somebody may hold


def test_room_must_be_a_number(monkeypatch):
    monkeypatch.setenv(files.ROOM, "much")
    with pytest.raises(BadInput, match="takes a number of bytes"):
        files.room()


def test_sequences_are_drawn_by_seed():
    ids = torch.arange(400)
    assert not torch.equal(calibration_sequences(ids, 8, 9, 1, "t"), calibration_sequences(ids, 8, 9, 2, "t"))
