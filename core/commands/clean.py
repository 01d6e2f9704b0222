"""`compresslab clean`: what killed processes left behind, and what grew old; seen first, then taken away."""

from __future__ import annotations

from dataclasses import asdict

import click
from compresslab.commands.frame import json_option, open_workspace


@click.command()
@click.option("--yes", is_flag=True, help="Delete it; without, it is only shown.")
@json_option
def clean(yes: bool, as_json: bool) -> None:
    """What is kept for nobody: files that were never whole, and old progress of jobs. Runs, texts and answers stay."""
    from compresslab.commands import output

    found = open_workspace().clean(only_look=not yes)
    if as_json:
        plain = asdict(found) | {"parts": [str(part) for part in found.parts], "deleted": yes}
        output.print_json(plain)
    else:
        output.print_leftovers(found, deleted=yes)
