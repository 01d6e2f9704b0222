"""Our own side of the comparison: the same settings through recipes and one warm session per model and seed."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import torch
from compresslab.engine.session import Session
from compresslab.errors import CompresslabError
from compresslab.recipes.recipe import Recipe

from benchmarks.peers.perplexity import perplexity
from benchmarks.peers.task import Setting, Task
from benchmarks.peers.workload import Workload, silent_job

Step = dict[str, dict[str, Any]]


def rows(workload: Workload, task: Task, statistics: str) -> list[dict[str, Any]]:
    """A row for every setting and seed; the first of a seed pays for the statistics, the others find them warm."""
    torch.set_num_threads(task.threads)
    found = []
    for seed in task.calibration:
        session = Session()
        session.baseline(workload.recipe(seed))
        settings = [setting for setting, asked in task.runs if asked == seed]
        found += [_row(workload, session, task, setting, seed, statistics) for setting in settings]
    return found


def baseline_perplexity(workload: Workload, task: Task) -> float:
    return perplexity(Session().baseline(workload.recipe(0)).module, task.evaluation)


def recipe_for(workload: Workload, setting: Setting, seed: int, statistics: str) -> Recipe:
    """Raises BadInput where we do not offer the setting."""
    plain = workload.recipe(seed).to_dict()
    plain["calibration"]["statistics"] = statistics
    return Recipe.from_dict(plain | {"steps": [step_for(setting)]})


def _row(
    workload: Workload, session: Session, task: Task, setting: Setting, seed: int, statistics: str
) -> dict[str, Any]:
    row: dict[str, Any] = {"setting": asdict(setting), "aim": setting.aim, "seed": seed}
    job = silent_job()
    try:
        begun = time.perf_counter()
        model, _ = session.compress(recipe_for(workload, setting, seed, statistics), job)
        solved = time.perf_counter()
        value = perplexity(model.module, task.evaluation)
        seconds = {"compress": solved - begun, "evaluate": time.perf_counter() - solved}
        row |= {"perplexity": value, "seconds": seconds, "notices": job.notices}
        task.keep(model.module, setting, seed)
    except CompresslabError as error:
        row["refused"] = str(error)
    print(
        "ours", statistics, row["aim"], setting.order, setting.scales, seed, row.get("perplexity", row.get("refused"))
    )
    return row


def step_for(setting: Setting) -> Step:
    """The setting in the words of our methods."""
    grid = {"bits": setting.bits, "group_size": setting.group_size, "symmetric": setting.symmetric}
    way = {"order": {"none": "stored", "static": "active"}[setting.order], "search": setting.scales == "search"}
    pruned = {"n_of_m": setting.pattern} if setting.pattern else {"sparsity": setting.sparsity}
    known: dict[str, Step] = {
        "rtn": {"quantize_rtn": grid},
        "gptq": {"quantize_gptq": grid | way},
        "awq": {"quantize_awq": grid},
        "hqq": {"quantize_hqq": grid},
        "sparsegpt": {"prune_sparsegpt": pruned},
        "wanda": {"prune_wanda": pruned},
    }
    return known[setting.method]
