"""`compresslab models`: what is on this machine, and what the Hub has."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click
from compresslab.commands.frame import interruptible, json_option, open_workspace
from compresslab.errors import BadInput

if TYPE_CHECKING:
    from compresslab.models.hub import Cached, Found
    from compresslab.workspace import Workspace


@click.command()
@click.option("--search", metavar="TEXT", help="Ask the Hub for models with that in their name.")
@click.option("--download", metavar="NAME", help="Fetch one of the Hub; after Ctrl-C the finished files are kept.")
@click.option("--delete", metavar="NAME", help="Take one out of the Hub's cache.")
@json_option
def models(search: str | None, download: str | None, delete: str | None, as_json: bool) -> None:
    """The models on this machine; or search the Hub, download from it, delete."""
    from compresslab.commands import output

    if sum(asked is not None for asked in (search, download, delete)) > 1:
        raise BadInput("model.one_at_a_time")
    workspace = open_workspace()
    if search is not None:
        found = workspace.models.search(search)
        output.print_json([asdict(model) for model in found]) if as_json else _print_found(found)
        return
    if download is not None:
        _download(workspace, download)
    if delete is not None:
        freed = workspace.models.delete(delete)
        click.echo(f"{delete} is deleted: {output.number(freed, 'bytes')} are free again.", err=True)
    here = workspace.models.cached()
    known = workspace.models.names()
    if as_json:
        output.print_json({"models": known, "downloaded": [asdict(model) for model in here]})
    else:
        _print_here(known, here)


def _download(workspace: Workspace, name: str) -> None:
    from compresslab.commands import output

    with output.ProgressBar() as bar, interruptible() as cancelled:
        workspace.models.download(name, report=bar.show, cancelled=cancelled)


def _print_found(found: list[Found]) -> None:
    from compresslab.commands import output

    rows = [
        (
            model.name,
            model.family or "?",
            f"{model.parameters / 1e6:,.0f} M" if model.parameters else "",
            f"{model.downloads:,}",
            "" if model.supported else "not supported",
        )
        for model in found
    ]
    output.print_table(("model", "family", "parameters", "downloads", ""), rows)


def _print_here(known: list[str], here: list[Cached]) -> None:
    from compresslab.commands import output

    cached = {model.name: model for model in here}
    rows = [
        (
            name,
            output.number(cached[name].bytes, "bytes") if name in cached else "",
            "" if name not in cached or cached[name].whole else "only a part; --download goes on with it",
        )
        for name in dict.fromkeys([*known, *cached])
    ]
    output.print_table(("model", "in the Hub's cache", ""), rows)
