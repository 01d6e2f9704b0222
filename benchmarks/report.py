"""Writes a benchmark's JSON with what a reader must know to believe it: machine, versions, load, date."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import psutil

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("torch", "transformers", "streamlit", "plotly", "pandas")


def write(name: str, figures: dict[str, Any]) -> Path:
    about = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "load_average_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "versions": {package: version(package) for package in PACKAGES},
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"about": about, **figures}, indent=1) + "\n", encoding="utf-8")
    return path


def spread(seconds: list[float]) -> dict[str, float | int]:
    """Median and the quantiles that the goals are set in."""
    ordered = sorted(seconds)
    return {
        "count": len(ordered),
        "median": median(ordered),
        "p75": ordered[min(len(ordered) - 1, round(0.75 * (len(ordered) - 1)))],
        "p95": ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))],
        "max": ordered[-1],
    }
