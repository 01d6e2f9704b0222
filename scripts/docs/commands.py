"""Every command with its arguments and options, from the commands themselves."""

from __future__ import annotations

import inspect

import click
from compresslab.commands.main import cli

from scripts.docs.markdown import code, page, table

ABOUT = """
`compresslab COMMAND --help` prints the same. Where a command takes a recipe, it takes a YAML file, options that
change it, or both. With `--json`, one JSON object goes to stdout and everything else to stderr. Exit codes: 0 done, 1
the run failed, 2 bad input, 130 stopped with Ctrl-C. `--debug`, anywhere on the line, shows the traceback of an
error."""


def commands() -> str:
    context = click.Context(cli, info_name="compresslab")
    overview = table(("command", "what it does"), [_overview(name, command) for name, command in cli.commands.items()])
    return page(
        "Commands", ABOUT, overview, *(_entry(command, name, context) for name, command in cli.commands.items())
    )


def _overview(name: str, command: click.Command) -> tuple[str, str]:
    return f"[`{name}`](#{name})", command.get_short_help_str(200)


def _entry(command: click.Command, name: str, parent: click.Context) -> str:
    context = click.Context(command, info_name=name, parent=parent)
    usage = " ".join(command.collect_usage_pieces(context))
    rows = [_row(parameter, context) for parameter in command.params if isinstance(parameter, click.Option)]
    options = table(("option", "meaning"), rows)
    about = inspect.cleandoc(command.help or "")
    return f"## `{name}` {{ #{name} }}\n\n```text\ncompresslab {name} {usage}\n```\n\n{about}\n\n{options}"


def _row(option: click.Option, context: click.Context) -> tuple[str, str]:
    record = option.get_help_record(context)
    assert record is not None  # none of ours is hidden
    return code(record[0]), record[1]
