"""Runs every benchmark in a data folder of its own: `make bench`, or `python -m benchmarks.run jobs` for one."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

BENCHMARKS = (
    "dashboard",
    "jobs",
    "ladder",
    "exports",
    "structured",
    "structured_speed",
    "runtimes",
    "estimates",
    "error_bars",
    "slider_step",
    "distillation",
    "resolve",
    "memory",
)


def main() -> None:
    chosen = sys.argv[1:] or list(BENCHMARKS)
    unknown = [name for name in chosen if name not in BENCHMARKS]
    if unknown:
        sys.exit(f"There is no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}.")
    for name in chosen:
        print(f"== {name}", flush=True)
        with tempfile.TemporaryDirectory() as home:
            environment = os.environ | {"COMPRESSLAB_HOME": home}
            subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True, env=environment)


if __name__ == "__main__":
    main()
