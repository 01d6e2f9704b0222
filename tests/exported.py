"""Fixtures for tests of export formats: a compressed tiny model, what it answers, and what its files answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from compresslab.engine.job import Job
from compresslab.engine.models.model import CompressedModel
from compresslab.engine.progress import Tracker
from compresslab.engine.session import Session
from compresslab.exports.format import Format
from compresslab.exports.verified import contents_of, expected_of
from torch import Tensor

IDS = torch.arange(48).reshape(2, 24) * 7 % 320


def answers(model: CompressedModel) -> Tensor:
    """float32 [B, S, V] of the model in memory."""
    with torch.inference_mode():
        return model.module(input_ids=IDS, use_cache=False).logits.float()


@dataclass(frozen=True)
class Exported:
    model: CompressedModel
    form: Format
    folder: Path

    def difference(self) -> float:
        """Of the reopened files' logits from the model's: root mean square over root mean square."""
        expected, found = answers(self.model), self.form.reopen(self.folder).logits(IDS)
        return float((found - expected).square().mean().sqrt() / expected.square().mean().sqrt())

    def unexplained(self) -> float:
        """The same from a model whose weights are rounded as in the files."""
        expected = answers(expected_of(self.form, self.model, drops_inputs=False).stored)
        found = self.form.reopen(self.folder).logits(IDS)
        return float((found - expected).square().mean().sqrt() / expected.square().mean().sqrt())

    @property
    def weight_bytes(self) -> int:
        files = {file for pattern in self.form.weight_files for file in self.folder.rglob(pattern)}
        return sum(file.stat().st_size for file in files)

    @property
    def estimate(self) -> int:
        return self.form.estimated_bytes(contents_of(self.model))


@pytest.fixture(scope="session")
def compressed(tiny_recipe) -> Callable[..., CompressedModel]:
    """`compressed(family, *steps)`: a tiny model, compressed in memory."""
    session = Session()

    def make(family: str, *steps: Any) -> CompressedModel:
        job = Job(lambda _event: None, lambda: False, Tracker({}, lambda _event: None))
        return session.compress(tiny_recipe(family, *steps), job)[0]

    return make


@pytest.fixture
def exported(compressed, tmp_path) -> Callable[..., Exported]:
    """`exported(form, family, *steps)`: written into a folder of its own."""

    def write(form: Format, family: str, *steps: Any) -> Exported:
        model = compressed(family, *steps)
        assert form.refuses(contents_of(model)) is None
        form.write(model, tmp_path / form.name)
        return Exported(model, form, tmp_path / form.name)

    return write
