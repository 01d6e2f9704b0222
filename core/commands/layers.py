"""`compresslab layers`: what a run made of every weight matrix, and what every attention head is worth."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

import click
from compresslab.commands.frame import interruptible, json_option, open_workspace

if TYPE_CHECKING:
    from compresslab.profiles.layer_profile import LayerProfile, MatrixProfile
    from compresslab.records.results import RunRecord
    from compresslab.workspace import Workspace


@click.command()
@click.argument("run")
@json_option
def layers(run: str, as_json: bool) -> None:
    """Every matrix of a run: bits, zeros, error, histograms (with --json); and the worth of every attention head.

    It is looked at once and kept.
    """
    from compresslab.commands import output

    workspace = open_workspace()
    profile = _profile(workspace, workspace.runs.find(run))
    output.print_json(profile.model_dump(mode="json")) if as_json else _print(profile)


def _profile(workspace: Workspace, record: RunRecord) -> LayerProfile:
    from compresslab.commands import output
    from compresslab.recipes.recipe import Recipe

    recipe = Recipe.from_dict(record.recipe)
    known = workspace.profiles.find(recipe)
    if known is not None and known.weights_hash == record.compressed_hash:
        return known
    with redirect_stdout(sys.stderr), interruptible() as cancelled, output.ProgressBar() as bar:
        return workspace.profiles.measure(recipe, record.run_id, bar.show, cancelled)


def _print(profile: LayerProfile) -> None:
    from compresslab.commands import output
    from rich.markup import escape

    output.OUT.print(
        f"[bold]Layers[/bold] of {escape(profile.model)}, weights {profile.weights_hash}, "
        f"looked at in {profile.seconds:.0f} s"
    )
    output.print_table(("matrix", "bits", "zeros", "error"), [_row(matrix) for matrix in profile.matrices])
    if profile.heads:
        shares = [[value / (sum(row) or 1) for value in row] for row in profile.heads]
        columns = ("share of a layer's attention energy", *(f"head {head}" for head in range(len(shares[0]))))
        output.print_table(columns, [(f"layer {n}", *(f"{s:.0%}" for s in row)) for n, row in enumerate(shares)])


def _row(matrix: MatrixProfile) -> tuple[str, ...]:
    """`error` is |after - before| / |before|, both squared."""
    bits = "" if matrix.bits is None else str(matrix.bits)
    error = "other shape" if matrix.error is None else f"{matrix.error:.2%}"
    return matrix.name, bits, f"{matrix.sparsity:.1%}", error
