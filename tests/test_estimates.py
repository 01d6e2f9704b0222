"""Sensitivity tables, predictions with their errors, and allocations to a budget."""

import json
import shutil
from math import exp, log

import numpy as np
import pytest
import torch
from compresslab.commands.main import main
from compresslab.commands.recipe import parse_bytes
from compresslab.engine.job import Job
from compresslab.engine.measuring.measurements import log_ratio
from compresslab.engine.measuring.scores import TokenScores
from compresslab.engine.models.packing import WEIGHTS
from compresslab.engine.progress import Tracker
from compresslab.engine.session import Session
from compresslab.engine.solvers.optimal_brain import relative_loss
from compresslab.errors import BadInput, Cancelled
from compresslab.files.paths import run_folder
from compresslab.methods.quantize_rtn import QuantizeRtn
from compresslab.models.facts import read_facts
from compresslab.models.packed_layout import file_bytes
from compresslab.models.weights import WeightPlan
from compresslab.planning.allocation import allocate
from compresslab.planning.estimate import NO_TABLE, estimate
from compresslab.planning.prediction import NotPredicted, Predictor
from compresslab.profiles import sensitivity_store
from compresslab.profiles.probes import Probes, probes
from compresslab.profiles.sensitivity_table import Point, SensitivityTable, column
from compresslab.recipes.method import METHODS
from compresslab.recipes.plan import make_plan
from compresslab.recipes.recipe import Recipe
from compresslab.work.child import outcome
from compresslab.workspace import Workspace

from tests.tiny_models import write_checkpoint

MATRICES = [f"model.layers.{n}.mlp.up_proj.weight" for n in range(2)]


def quiet(event):
    """Nobody watches."""


def made_up_table(points=(), matters=(1.0, 4.0)):
    """Losses exactly as theory has them: a fourth for every bit more, half for every halving of the group."""
    columns = []
    for bits in (2, 4, 6):
        for group in (8, 32):
            step = QuantizeRtn(bits=bits, group_size=group)
            columns.append(column(step, dict.fromkeys(MATRICES, 4.0 ** (1 - bits) * group / 64)))
    importance = {"quantize": dict(zip(MATRICES, matters, strict=True))}
    return SensitivityTable(
        model="paper",
        about={},
        dataset="stories, context 32",
        tokens=1000,
        created="2026-01-01T00:00:00+00:00",
        seconds=1.0,
        importance=importance,
        columns=columns,
        points=list(points),
    )


def weight(name=MATRICES[0]):
    return WeightPlan(name, (96, 32), "F16", "linear", 0)


def recipe_of(*steps):
    return Recipe.from_dict({"model": "paper", "steps": list(steps)})


def points_on(ratio_of, settings=((2, 32), (3, 32), (4, 32), (3, 8), (2, 8))):
    """Whole models whose log ratio is a function of the damage."""
    table = made_up_table()
    found = []
    for bits, group in settings:
        step = QuantizeRtn(bits=bits, group_size=group)
        damage = sum(table.damage(step, weight(name)) for name in MATRICES)
        steps = [{"quantize_rtn": {"bits": bits, "group_size": group}}]
        ratio = ratio_of(damage)
        found.append(Point(steps=steps, log_ratio=ratio, error=1e-6, divergence=ratio))
    return found


# -- the table ------------------------------------------------------------------------------


@pytest.mark.parametrize(("bits", "group"), [(2, 8), (3, 32), (3, 16), (5, 8), (8, 32), (7, 0)])
def test_between_and_beyond_the_columns_the_loss_follows_theory(bits, group):
    found = made_up_table().loss(QuantizeRtn(bits=bits, group_size=group), weight())
    assert found == pytest.approx(4.0 ** (1 - bits) * (group or 32) / 64, rel=1e-6)


def test_a_setting_unlike_any_that_was_measured_has_no_loss():
    assert made_up_table().loss(QuantizeRtn(symmetric=False), weight()) is None
    assert made_up_table().loss(QuantizeRtn(), weight("model.layers.9.mlp.up_proj.weight")) is None


def test_probes_take_in_every_method_that_treats_matrices_one_by_one():
    made = probes(METHODS.values())
    names = {step.name for step in made.columns}
    assert {"quantize_rtn", "prune_magnitude"} <= names
    assert names == {step.name for step in made.whole}
    assert {step.kind for step in made.alone} == {"quantize", "prune"}


# -- predictions ----------------------------------------------------------------------------


def test_a_prediction_follows_the_measured_points(tiny_facts):
    table = made_up_table(points_on(lambda damage: 1.5 * damage))
    predicted = Predictor(table, tiny_facts.weights).predict(recipe_of({"quantize_rtn": {"bits": 3}}).steps)
    damage = Predictor(table, tiny_facts.weights).damage(recipe_of({"quantize_rtn": {"bits": 3}}).steps)
    assert log(predicted.perplexity_ratio) == pytest.approx(1.5 * damage, rel=1e-6)
    assert predicted.low < predicted.perplexity_ratio < predicted.high
    assert not predicted.extrapolated


def test_the_error_grows_with_how_badly_points_are_predicted_and_beyond_them(tiny_facts):
    steps = recipe_of({"quantize_rtn": {"bits": 3}}).steps
    signs = iter((1, -1, 1, -1, 1))
    sure = Predictor(made_up_table(points_on(lambda d: 1.5 * d)), tiny_facts.weights).predict(steps)
    scattered = made_up_table(points_on(lambda d: 1.5 * d * exp(0.4 * next(signs))))
    unsure = Predictor(scattered, tiny_facts.weights).predict(steps)
    assert log(unsure.high / unsure.low) > 2 * log(sure.high / sure.low)
    mild = made_up_table(points_on(lambda d: 1.5 * d, settings=((5, 8), (6, 8), (6, 32), (4, 8))))
    beyond = Predictor(mild, tiny_facts.weights).predict(steps)
    assert beyond.extrapolated
    assert log(beyond.high / beyond.low) > 2 * log(sure.high / sure.low)


def test_an_exception_for_one_matrix_is_part_of_the_prediction(tiny_facts):
    predictor = Predictor(made_up_table(points_on(lambda d: 1.5 * d)), tiny_facts.weights)
    all_alike = predictor.damage(recipe_of({"quantize_rtn": {"bits": 3}}).steps)
    spared = predictor.damage(recipe_of({"quantize_rtn": {"bits": 3, "ignore": ["layers.1.*"]}}).steps)
    finer = predictor.damage(recipe_of({"quantize_rtn": {"bits": 3, "overrides": {"layers.1.*": {"bits": 4}}}}).steps)
    assert spared == pytest.approx(all_alike / 5)  # the other one matters four times as much
    assert finer == pytest.approx(all_alike * (1 + 4 / 4) / 5)


@pytest.mark.parametrize("step", ["distill_logits", "prune_layers", "prune_channels"])
def test_what_is_not_predicted_says_why(tiny_facts, step):
    predictor = Predictor(made_up_table(points_on(lambda d: 1.5 * d)), tiny_facts.weights)
    with pytest.raises(NotPredicted, match="Not predicted"):
        predictor.predict(recipe_of(step).steps)


def test_nothing_done_is_predicted_exactly(tiny_facts):
    plan = make_plan(recipe_of(), tiny_facts)
    found = estimate(plan, made_up_table()).predicted
    assert (found.perplexity_ratio, found.low, found.high) == (1.0, 1.0, 1.0)
    assert estimate(plan).predicted is None
    assert estimate(plan).why_not == NO_TABLE


# -- allocation -----------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [7000, 7001, 7400, 8000, 9500, 11000])
def test_an_allocation_keeps_to_the_byte_and_spares_what_matters(tiny_facts, budget):
    plan = make_plan(recipe_of("quantize_rtn"), tiny_facts)
    made = allocate(plan, made_up_table(), budget)
    assert file_bytes(make_plan(made, tiny_facts).weights) <= budget
    first, second = (made.steps[0].for_weight(name).bits for name in MATRICES)
    assert second >= first  # it matters four times as much


def test_no_choice_of_bits_within_the_budget_does_less_damage(tiny_facts):
    table, budget = made_up_table(), 8000
    plan = make_plan(recipe_of("quantize_rtn"), tiny_facts)
    predictor = Predictor(table, tiny_facts.weights)
    made = predictor.damage(allocate(plan, table, budget).steps)
    for first in range(2, 9):
        for second in range(2, 9):
            overrides = {"layers.0.*": {"bits": first}, "layers.1.*": {"bits": second}}
            other = recipe_of({"quantize_rtn": {"overrides": overrides}})
            if file_bytes(make_plan(other, tiny_facts).weights) <= budget - 64:  # what its patterns may cost
                assert made <= predictor.damage(other.steps) * (1 + 1e-9)


def test_a_budget_that_cant_be_met_is_refused_with_what_would_do(tiny_facts):
    plan = make_plan(recipe_of("quantize_rtn"), tiny_facts)
    with pytest.raises(BadInput, match="can't be met"):
        allocate(plan, made_up_table(), 1000)
    with pytest.raises(BadInput, match="one by one"):
        allocate(make_plan(recipe_of("distill_logits"), tiny_facts), made_up_table(), 10_000)
    with pytest.raises(BadInput, match="nothing to allocate"):
        allocate(make_plan(recipe_of(), tiny_facts), made_up_table(), 10_000)


# -- really measured, on a tiny model -----------------------------------------------------------

FEW = Probes(
    columns=tuple(
        METHODS[name].parse(settings, name)
        for name, settings in (
            ("quantize_rtn", {"bits": 2, "group_size": 16, "embedding_bits": 2}),
            ("quantize_rtn", {"bits": 4, "group_size": 16, "embedding_bits": 4}),
            ("prune_magnitude", {"sparsity": 0.2}),
            ("prune_magnitude", {"sparsity": 0.6}),
        )
    ),
    alone=(QuantizeRtn(bits=2, group_size=16, embedding_bits=2), METHODS["prune_magnitude"](sparsity=0.6)),
    whole=tuple(
        METHODS[name].parse(settings, name)
        for name, settings in (
            ("quantize_rtn", {"bits": 2, "group_size": 16}),
            ("quantize_rtn", {"bits": 3, "group_size": 16}),
            ("prune_magnitude", {"sparsity": 0.4}),
            ("prune_magnitude", {"sparsity": 0.6}),
        )
    ),
)


@pytest.fixture(scope="module")
def measured(tiny_recipe):
    recipe = tiny_recipe("llama")
    return recipe, Session().sensitivity(recipe, FEW, report=quiet, cancelled=lambda: False)


def test_losses_are_those_of_the_weights_on_the_calibration_text(measured):
    recipe, table = measured
    session = Session()
    baseline = session.baseline(recipe)
    step = FEW.columns[1]
    model = session.apply(step, baseline)
    name = "model.layers.1.mlp.down_proj.weight"
    inputs = []
    module = baseline.module.get_submodule(name.removesuffix(".weight"))
    handle = module.register_forward_pre_hook(lambda _m, args: inputs.append(args[0].reshape(-1, args[0].shape[-1])))
    sequences = session.calibration(recipe, baseline, Job(quiet, lambda: False, Tracker({}, quiet)))
    with torch.no_grad():
        baseline.module(input_ids=sequences)
    handle.remove()
    before, after = (torch.cat(inputs) @ m.weight(name).T for m in (baseline, model))
    expected = float((after - before).square().sum() / before.square().sum())
    found = next(c for c in table.columns if c.settings["bits"] == 4)
    assert found.losses[name] == pytest.approx(expected, rel=1e-3)
    assert set(found.losses) == {w for w in baseline.weights if baseline.weights[w].role in ("linear", "embedding")}


def test_every_matrix_of_every_kind_has_an_importance(measured):
    _, table = measured
    assert set(table.importance["quantize"]) == set(table.columns[0].losses)
    assert all(value >= 0 for by_name in table.importance.values() for value in by_name.values())
    assert len(table.points) == len(FEW.whole)


def test_measuring_can_be_cancelled(tiny_recipe):
    with pytest.raises(Cancelled):
        Session().sensitivity(tiny_recipe("llama"), FEW, report=quiet, cancelled=lambda: True)


def test_a_kept_table_is_found_for_the_same_weights_alone(measured, tiny_recipe, own_home):
    recipe, table = measured
    sensitivity_store.save(table, read_facts(recipe.model))
    assert Workspace().sensitivity.find(recipe) == table
    other_seed = tiny_recipe("llama", seed=7)
    assert Workspace().sensitivity.find(other_seed) == table  # other texts or seeds: better than nothing
    assert Workspace().sensitivity.find(tiny_recipe("gpt2")) is None
    for file in own_home.glob("sensitivity/*/*.json"):
        file.write_text(json.dumps({"half": "written"}))
    assert Workspace().sensitivity.find(recipe) is None


def test_a_prediction_and_an_allocation_from_what_was_measured(measured, tiny_recipe):
    recipe, table = measured
    # A random model has nothing to lose, its perplexity goes up or down; how far it moves from itself is told.
    points = [point.model_copy(update={"log_ratio": point.divergence, "error": 0.0}) for point in table.points]
    table = table.model_copy(update={"points": points})
    step = {"quantize_rtn": {"bits": 3, "group_size": 16, "embedding_bits": 4}}
    recipe = tiny_recipe("llama", {"prune_magnitude": {"sparsity": 0.3}}, step)
    sensitivity_store.save(table, read_facts(recipe.model))
    workspace = Workspace()
    told = workspace.estimate(recipe)
    assert told.predicted is not None
    assert told.predicted.low <= told.predicted.perplexity_ratio <= told.predicted.high
    budget = told.compressed_bytes
    made = workspace.allocate(recipe, budget_bytes=budget)
    session = Session()
    context_free = made.replace(metrics=())
    record = session.run(context_free, run_id="allotted", stage="final", report=quiet, cancelled=lambda: False)
    assert record.saved_to == str(run_folder("allotted"))
    assert (run_folder("allotted") / WEIGHTS).stat().st_size <= budget
    predictor = Predictor(table, workspace.models.facts(recipe.model).weights)
    assert predictor.damage(made.steps) <= predictor.damage(recipe.steps)


def test_relative_loss_is_nothing_for_nothing():
    weight_matrix, hessian = torch.randn(4, 6), torch.eye(6)
    assert relative_loss(weight_matrix, weight_matrix, hessian) == 0
    assert relative_loss(weight_matrix, torch.zeros(4, 6), hessian) == pytest.approx(1.0)


# -- error bars ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [32, 64])
def test_the_paired_interval_holds_the_ratio_of_the_whole_text(size):
    """Windows whose changes are skewed and of unequal spread, as those of a compressed model are."""
    generator = np.random.default_rng(3)
    count = 256
    tokens = np.full(count, 100)
    before = generator.normal(200, 20, count)
    after = before + generator.gamma(2.0, 3.0, count)
    whole = TokenScores("made up", tokens, before, after, before, tokens)
    expected, _ = log_ratio(whole)
    held = []
    for _ in range(200):
        rows = generator.choice(count, size)
        part = TokenScores("made up", tokens[rows], before[rows], after[rows], before[rows], tokens[rows])
        ratio, error = log_ratio(part)
        held.append(abs(ratio - expected) <= 1.96 * error)
    assert 0.9 <= np.mean(held) < 1  # and no wider than need be


# -- through the queue and the command line ------------------------------------------------------


class FakeMeter:
    """Gives a table without measuring."""

    device = "cpu"

    def __init__(self, table):
        self._table = table

    def sensitivity(self, recipe, probes, *, report, cancelled):
        assert probes.columns
        return self._table


def test_a_job_of_the_queue_measures_and_keeps_the_table(measured, tiny_recipe):
    recipe, table = measured
    workspace = Workspace()
    number = workspace.sensitivity.submit(recipe)
    payload = workspace.jobs.find(number).payload
    assert outcome(FakeMeter(table), payload, quiet, lambda: False) == {"state": "done"}
    assert workspace.sensitivity.find(recipe) == table


@pytest.fixture
def known(measured, own_home):
    """A model whose table is on disk."""
    recipe, table = measured
    points = [point.model_copy(update={"log_ratio": point.divergence, "error": 0.0}) for point in table.points]
    sensitivity_store.save(table.model_copy(update={"points": points}), read_facts(recipe.model))
    return recipe.model


def test_the_command_line_predicts_or_says_how_to(known, tiny_folders, capsys):
    step = ("--set", "quantize_rtn.bits=3", "--set", "quantize_rtn.group_size=16")
    assert main(["estimate", "--model", known, *step]) == 0
    assert "on stories.txt, context 32" in capsys.readouterr().out
    assert main(["estimate", "--model", str(tiny_folders["gpt2"]), *step]) == 0
    assert "compresslab sensitivity" in capsys.readouterr().out


def test_the_command_line_allots_and_gives_a_recipe(known, capsys):
    words = ["allocate", "--model", known, "--set", "quantize_rtn.group_size=16", "--budget", "50kB"]
    assert main([*words, "--yaml"]) == 0
    made = Recipe.from_yaml(capsys.readouterr().out)
    assert Workspace().estimate(made).compressed_bytes <= 50_000
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["recipe"] == made.to_dict()
    assert told["estimate"]["predicted"]["perplexity_ratio"] > 1
    assert main(["allocate", "--model", known, "--budget", "fifty"]) == 2
    assert "not a number of bytes" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "found"), [("1500", 1500), ("2MB", 2_000_000), ("1.5 kb", 1500)])
def test_bytes_are_read_as_people_write_them(text, found):
    assert parse_bytes(text) == found


# -- the bound on the speed of writing -----------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "bound"),
    [
        ({"steps": []}, 1.0),
        ({"steps": [{"quantize_rtn": {"bits": 8, "group_size": 0, "embedding_bits": 8}}]}, 3.8),
        ({"steps": [{"quantize_rtn": {"bits": 8, "group_size": 0, "embedding_bits": 8}}], "runtime": "torch"}, 1.0),
        ({"steps": ["quantize_smooth"]}, 1.0),
    ],
)
def test_writing_is_bounded_by_the_bytes_that_a_token_reads(fields, bound):
    recipe = Recipe.from_dict({"model": "storyteller"} | fields)
    assert estimate(make_plan(recipe, read_facts("storyteller"))).decode_bound == pytest.approx(bound, abs=0.1)


def test_a_table_is_of_the_whole_model_wherever_it_lies(tmp_path):
    """Weights alone are no model: another config or tokenizer is another sensitivity."""
    folder = write_checkpoint(tmp_path / "m", "llama")
    known = sensitivity_store.fingerprint(read_facts(str(folder)))
    shutil.copytree(folder, tmp_path / "copy")
    assert sensitivity_store.fingerprint(read_facts(str(tmp_path / "copy"))) == known
    for name, more in (("config.json", {"rms_norm_eps": 1e-3}), ("tokenizer.json", {"truncation": None, "padding": 1})):
        file = tmp_path / "copy" / name
        file.write_text(json.dumps(json.loads(file.read_text()) | more))
        changed = sensitivity_store.fingerprint(read_facts(str(tmp_path / "copy")))
        assert changed != known
        known = changed
