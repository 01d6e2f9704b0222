"""Predicted against measured quality over a ladder of settings that the prediction has never seen.

`python -m benchmarks.estimates [--model FOLDER --calibration FILE --evaluation FILE]`: the bundled model, and another
one where it is named. None of the settings is one of the points that the prediction was fitted to.
"""

from __future__ import annotations

import argparse
from math import log
from pathlib import Path
from typing import Any

from compresslab import Recipe, Workspace
from scipy.stats import spearmanr

from benchmarks.report import write

GPTQ, RTN = "quantize_gptq", "quantize_rtn"
WANDA, SPARSEGPT, MAGNITUDE = "prune_wanda", "prune_sparsegpt", "prune_magnitude"
Steps = list[dict[str, dict[str, Any]]]
LADDER: list[Steps] = [
    *[
        [{m: {"bits": b, "group_size": g}}]
        for m in (RTN, GPTQ)
        for b, g in ((2, 32), (3, 32), (3, 128), (4, 0), (5, 64))
    ],
    *[[{m: {"bits": 4, "group_size": 32, "symmetric": False}}] for m in (RTN, GPTQ)],
    [{GPTQ: {"bits": 3, "order": "stored"}}],
    [{GPTQ: {"bits": 2, "group_size": 128, "search": False}}],
    [{RTN: {"bits": 4, "embedding_bits": 4}}],
    [{RTN: {"bits": 6, "embedding_bits": 3}}],
    [{GPTQ: {"bits": 8}}],
    *[[{m: {"sparsity": s}}] for m in (MAGNITUDE, WANDA, SPARSEGPT) for s in (0.1, 0.22, 0.35, 0.5, 0.65)],
    *[[{m: {"n_of_m": p}}] for m in (MAGNITUDE, WANDA, SPARSEGPT) for p in ("4:8", "1:4")],
    [{MAGNITUDE: {"sparsity": 0.35, "ratios": "global"}}],
    [{WANDA: {"sparsity": 0.45, "ratios": "outliers"}}],
    *[[{WANDA: {"sparsity": s}}, {GPTQ: {"bits": b}}] for s, b in ((0.25, 4), (0.3, 3), (0.5, 4))],
    [{SPARSEGPT: {"sparsity": 0.35}}, {GPTQ: {"bits": 3}}],
    [{MAGNITUDE: {"sparsity": 0.2}}, {RTN: {"bits": 5}}],
    [{GPTQ: {"bits": 3, "ignore": ["layers.0.*"]}}],
    [{GPTQ: {"bits": 4, "overrides": {"*.mlp.*": {"bits": 2}}}}],
    [{RTN: {"bits": 4, "overrides": {"*.self_attn.*": {"bits": 2}}}}],
    [{RTN: {"bits": 3, "overrides": {"*.down_proj": {"bits": 6}}}}],
    [{WANDA: {"sparsity": 0.6, "overrides": {"*.self_attn.*": {"sparsity": 0.1}}}}],
    [{SPARSEGPT: {"sparsity": 0.3, "overrides": {"layers.1.*": {"sparsity": 0.8}}}}],
]
EVALUATION = {"max_tokens": 65536}  # of which a draft scores a quarter


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--model")
    options.add_argument("--calibration", default="bundled")
    options.add_argument("--evaluation", default="bundled")
    chosen = options.parse_args()
    models = {"storyteller": ladder_of("storyteller", "bundled", "bundled")}
    if chosen.model:
        models[Path(chosen.model).name] = ladder_of(chosen.model, chosen.calibration, chosen.evaluation)
    print(write("estimates", {"models": models}))


def ladder_of(model: str, calibration: str, evaluation: str) -> dict[str, Any]:
    workspace = Workspace()
    plain = {
        "model": model,
        "calibration": {"text": calibration},
        "evaluation": {"text": evaluation} | EVALUATION,
        "metrics": ["perplexity"],
    }
    base = Recipe.from_dict(plain)
    table = workspace.sensitivity.measure(base)
    rungs = [rung(workspace, Recipe.from_dict(plain | {"steps": steps})) for steps in LADDER]
    told = [r for r in rungs if r["predicted"] is not None]
    return {
        "table": {"seconds": table.seconds, "columns": len(table.columns), "points": len(table.points)},
        "summary": summary(told),
        "not_predicted": len(rungs) - len(told),
        "mixed_precision": [mixed(workspace, base, method, bits) for method in (RTN, GPTQ) for bits in (2, 3, 4)],
        "rungs": rungs,
    }


def rung(workspace: Workspace, recipe: Recipe) -> dict[str, Any]:
    told = workspace.estimate(recipe)
    measured, error = log_ratio(workspace, recipe)
    found = told.predicted
    predicted = None if found is None else [log(found.low), log(found.perplexity_ratio), log(found.high)]
    line = {"steps": recipe.to_dict()["steps"], "measured": measured, "error": error, "predicted": predicted}
    print(_short(recipe), f"measured {measured:.4f}", f"predicted {predicted or told.why_not}", flush=True)
    return line


def log_ratio(workspace: Workspace, recipe: Recipe) -> tuple[float, float]:
    """Of perplexity, compressed over baseline, with its paired standard error."""
    found = workspace.run(recipe, stage="draft").find("perplexity")
    assert found is not None and found.change is not None and found.change_error is not None
    return log(1 + found.change / 100), found.change_error / (100 + found.change)


def summary(rungs: list[dict[str, Any]]) -> dict[str, Any]:
    pairs = [(rung["measured"], *rung["predicted"]) for rung in rungs]
    errors = sorted(abs(measured - middle) for measured, _, middle, _ in pairs)
    relative = sorted(abs(log(max(m, 1e-4) / max(p, 1e-4))) for m, _, p, _ in pairs)
    return {
        "rungs": len(pairs),
        "spearman": float(spearmanr([m for m, *_ in pairs], [p for _, _, p, _ in pairs]).statistic),
        "absolute_error_of_log_ratio": {"median": errors[len(errors) // 2], "p90": errors[int(0.9 * len(errors))]},
        "factor_between_log_ratios": {
            "median": relative[len(relative) // 2],
            "p90": relative[int(0.9 * len(relative))],
        },
        "coverage_of_95_percent_interval": sum(low <= m <= high for m, low, _, high in pairs) / len(pairs),
    }


def mixed(workspace: Workspace, base: Recipe, method: str, bits: int) -> dict[str, Any]:
    """The allocation that gets exactly the bytes of a uniform setting, both measured."""
    uniform = base.assign(f"{method}.bits={bits}")
    budget = workspace.estimate(uniform).compressed_bytes
    allotted = workspace.allocate(uniform, budget_bytes=budget)
    pair = {name: log_ratio(workspace, recipe)[0] for name, recipe in (("uniform", uniform), ("allotted", allotted))}
    print(method, bits, budget, pair, flush=True)
    used = workspace.estimate(allotted).compressed_bytes
    return {"method": method, "bits": bits, "budget_bytes": budget, "used_bytes": used, "log_ratio": pair}


def _short(recipe: Recipe) -> str:
    steps = recipe.to_dict()["steps"]
    defaults = {step.name: type(step)().model_dump(mode="json") for step in recipe.steps}
    return str([{n: {k: v for k, v in s.items() if v != defaults[n][k]} for n, s in step.items()} for step in steps])


if __name__ == "__main__":
    main()
