"""`compresslab sweep` and `compresslab sweeps`: many settings of one recipe, here or in the queue."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

import click
from compresslab.commands.frame import interruptible, json_option, open_workspace
from compresslab.commands.recipe import build_recipe, recipe_options
from compresslab.errors import BadInput
from compresslab.messages import Message

if TYPE_CHECKING:
    from compresslab.records.results import RunRecord
    from compresslab.store.sweeps import PointRow
    from compresslab.workspace import Workspace


@click.command()
@recipe_options
@click.option(
    "--over", "axes", multiple=True, metavar="NAME.SETTING=V,V", help="A setting and its values; up to three."
)
@click.option("--full", is_flag=True, help="Final runs that are timed and kept; drafts otherwise.")
@click.option("--queue", is_flag=True, help="Put the points into the queue for a worker; prints the sweep's number.")
@json_option
def sweep(axes: tuple[str, ...], full: bool, queue: bool, as_json: bool, **recipe: Any) -> None:
    """Run a recipe with every combination of some settings.

    Such as --over quantize_gptq.bits=2,3,4 --over quantize=quantize_rtn,quantize_gptq. What is finished is kept, and
    never done again.
    """
    from compresslab.commands import sweep_tables as tables
    from compresslab.recipes.sweep import Sweep

    workspace = open_workspace()
    made = Sweep.over(build_recipe(**recipe), axes, "final" if full else "draft")
    if queue:
        number = workspace.sweeps.submit(made)
        tables.print_json({"sweep": number}) if as_json else click.echo(number)
        if not workspace.jobs.workers():
            click.echo("No worker is running; `compresslab worker` starts one.", err=True)
        return
    number = workspace.sweeps.create(made)
    click.echo(f"Sweep {number}; after Ctrl-C, `compresslab sweeps {number} --resume` goes on with it.", err=True)
    _run_here(workspace, number)
    tables.show(workspace.sweeps, number, as_json)


@click.command()
@click.argument("sweep", type=int, required=False)
@click.option("--resume", is_flag=True, help="Run here what is left of it.")
@click.option("--queue", is_flag=True, help="With --resume: put what is left into the queue.")
@click.option("--stop", is_flag=True, help="End its jobs; what is finished stays.")
@click.option("--delete", is_flag=True, help="Stop it and take it out of sight; its final runs stay.")
@click.option("--undo", is_flag=True, help="Bring a deleted one back; possible for a day.")
@json_option
def sweeps(sweep: int | None, queue: bool, as_json: bool, **verbs: bool) -> None:
    """All sweeps, newest first; or one, point by point."""
    from compresslab.commands import sweep_tables as tables

    workspace = open_workspace()
    asked = [name for name, wanted in verbs.items() if wanted]
    if sweep is None:
        if asked or queue:
            raise BadInput("sweep.number_missing")
        tables.list_all(workspace.sweeps, as_json)
        return
    if len(asked) > 1 or (queue and asked != ["resume"]):
        raise BadInput("sweep.one_action")
    if asked:
        _do(workspace, sweep, asked[0], queue)
    if asked != ["delete"]:
        tables.show(workspace.sweeps, sweep, as_json)


def _do(workspace: Workspace, sweep: int, verb: str, queue: bool) -> None:
    if verb == "resume" and not queue:
        _run_here(workspace, sweep)
        return
    {
        "resume": workspace.sweeps.resume,
        "stop": workspace.sweeps.stop,
        "delete": workspace.sweeps.delete,
        "undo": workspace.sweeps.restore,
    }[verb](sweep)


def _run_here(workspace: Workspace, sweep: int) -> None:
    from compresslab.commands import output

    def told(row: PointRow, outcome: RunRecord | Message) -> None:
        said = outcome if isinstance(outcome, Message) else output.measured(outcome.find("perplexity"))
        click.echo(f"{', '.join(str(value) for value in row.coordinates)}: {said}", err=True)

    with redirect_stdout(sys.stderr), interruptible() as cancelled, output.ProgressBar() as bar:
        workspace.sweeps.go_on(sweep, bar.show, cancelled, told)
