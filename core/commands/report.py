"""`compresslab report`: the dashboard writes the file, in a process of its own, for core knows no dashboard."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
from compresslab.errors import BadInput, RunFailed
from compresslab.messages import plain


@click.command()
@click.argument("run", nargs=-1, required=True)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The HTML file to write.")
@click.option("--language", default="en", show_default=True, help="en or zh.")
def report(run: tuple[str, ...], out: Path, language: str) -> None:
    """One run, or several side by side, as one HTML file that opens without a network."""
    runs = [run_id for part in run for run_id in part.split(",") if run_id]
    command = [
        sys.executable,
        "-P",
        "-m",
        "compresslab_dashboard.report",
        "--out",
        str(out),
        "--language",
        language,
        "--",
        *runs,
    ]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        said = done.stderr.strip().rpartition("\n")[2] or "It ended without a word."
        raise (BadInput if done.returncode == BadInput.exit_code else RunFailed)(plain(said))
    click.echo(out)
