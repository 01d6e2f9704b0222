"""`compresslab export`: a run in the formats that other programs load, each opened again before it is believed."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from compresslab.commands.frame import interruptible, json_option, open_workspace
from compresslab.errors import BadInput

if TYPE_CHECKING:
    from compresslab.workspace import Workspace

ALL = "all"


@click.command()
@click.argument("run", required=False)
@click.option("--format", "names", metavar="F[,F...]", help="One or several, or all that take the run.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Each format gets a folder in it; the data folder if left."
)
@click.option(
    "--set", "changes", multiple=True, metavar="FORMAT.SETTING=VALUE", help="Such as transformers.dtype=float32."
)
@click.option(
    "--push", metavar="OWNER/NAME", help="Upload it to the Hub too, as a private repository. One format only."
)
@click.option(
    "--list", "listing", is_flag=True, help="The formats; with a run, how large each becomes and what it refuses."
)
@json_option
def export(
    run: str | None,
    names: str | None,
    out: Path | None,
    changes: tuple[str, ...],
    push: str | None,
    listing: bool,
    as_json: bool,
) -> None:
    """Write a run so that other programs load it; every format is opened again and compared."""
    from compresslab.commands import output

    workspace = open_workspace()
    if listing:
        _list(workspace, run, as_json)
        return
    if run is None or not names:
        raise BadInput("export.run_and_format")
    run_id = workspace.runs.find(run).run_id
    chosen = _chosen(workspace, run_id, names)
    settings = {name: _settings(name, changes) for name in chosen}
    with redirect_stdout(sys.stderr), interruptible() as cancelled, output.ProgressBar() as bar:
        done = workspace.exports.write(
            run_id, chosen, out, settings=settings, push=push, report=bar.show, cancelled=cancelled
        )
    if as_json:
        output.print_json({"run": run_id, "exports": [one.model_dump(mode="json") for one in done]})
    else:
        output.print_exports(done)


def _chosen(workspace: Workspace, run_id: str, names: str) -> list[str]:
    if names == ALL:
        return [offer.form.name for offer in workspace.exports.offers(run_id) if offer.refusal is None]
    return list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))


def _settings(name: str, changes: tuple[str, ...]) -> dict[str, Any]:
    """Those of one format. Raises BadInput for what names no format."""
    from compresslab.exports.registry import FORMATS
    from compresslab.recipes.typed import value_of

    found = {}
    for change in changes:
        target, equals, value = change.partition("=")
        owner, dot, setting = target.partition(".")
        if not equals or not dot:
            raise BadInput("export.not_a_setting", given=change)
        if owner not in FORMATS:
            raise BadInput("export.unknown_format", name=owner, formats=list(FORMATS))
        if owner == name:
            control = next((c for c in FORMATS[owner].controls() if c.name == setting), None)
            found[setting] = value_of(control, value)
    return found


def _list(workspace: Workspace, run: str | None, as_json: bool) -> None:
    from compresslab.commands import export_tables as tables
    from compresslab.commands.output import print_json
    from compresslab.exports.registry import FORMATS

    if run is None:
        forms = FORMATS.values()
        print_json({"formats": [tables.describe_format(f) for f in forms]}) if as_json else tables.print_formats(forms)
        return
    offers = workspace.exports.offers(workspace.runs.find(run).run_id)
    print_json({"formats": [offer.to_dict() for offer in offers]}) if as_json else tables.print_offers(offers)
