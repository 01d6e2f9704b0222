"""Scales that are moved from a matrix to what comes before it leave the model's function as it is."""

import pytest
import torch

from core.engine.context import Job
from core.engine.folding import folds
from core.engine.progress import Tracker
from core.engine.scores import log_probabilities
from core.engine.session import Session
from tests.tiny_models import DTYPES, FAMILIES, write_checkpoint

BATCH = torch.arange(2 * 24).view(2, 24) % 300


def quiet(event):
    """Nobody watches."""


def job():
    return Job(quiet, lambda: False, Tracker({}, quiet))


@pytest.fixture(scope="module")
def session():
    return Session()


@pytest.fixture
def baseline(session, tiny_recipe, tmp_path, monkeypatch):
    """`baseline(family)`: a tiny model whose weights are float32 whatever the family's usual type is."""

    def load(family):
        monkeypatch.setitem(DTYPES, family, torch.float32)
        folder = write_checkpoint(tmp_path / family, family)
        return session.baseline(tiny_recipe("llama").model_copy(update={"model": str(folder)}))

    return load


def some_scales(fold, model):
    d = model.weights[fold.readers[0]].shape[1]
    generator = torch.Generator().manual_seed(d)
    return fold.allowed(torch.rand(d, generator=generator) * 3 + 0.2)


def fold_all(model):
    for fold in folds(model):
        taken = fold.divide(model, some_scales(fold, model))
        model.settle({name: model.weight(name) * taken for name in fold.readers})


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folded_model_answers_as_before(baseline, family):
    before = baseline(family)
    model = before.copy()
    fold_all(model)
    changed = [name for name in model.stored if not torch.equal(model.weight(name), before.weight(name))]
    assert any(".1." in name for name in changed)
    assert torch.allclose(log_probabilities(model, BATCH), log_probabilities(before, BATCH), atol=1e-5)
