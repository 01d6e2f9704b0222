"""How the command line takes a recipe: a file, options that change it, or both."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click
from compresslab.commands.frame import open_workspace
from compresslab.errors import BadInput, reason
from compresslab.messages import Message

if TYPE_CHECKING:
    from compresslab.recipes.recipe import Recipe

Command = TypeVar("Command", bound=Callable[..., Any])
UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9}
BYTES = re.compile(r"^(\d+(?:\.\d+)?) ?(|b|kb|mb|gb)$", re.IGNORECASE)


def recipe_options(command: Command) -> Command:
    options = [
        click.argument("recipe", required=False, metavar="[RECIPE.YAML]"),
        click.option("--model", help="The bundled 'storyteller', a folder, or a Hub id."),
        click.option(
            "--preset", metavar="NAME", help="Choose the steps: half, fastest or smallest; see `compresslab presets`."
        ),
        click.option("--set", "changes", multiple=True, metavar="NAME.SETTING=VALUE", help="Change or add a step."),
        click.option("--device", help="auto, cpu, cuda or mps."),
        click.option("--dtype", help="auto, float32, bfloat16 or float16."),
        click.option("--runtime", help="Of speed and of texts: auto, torch or onnxruntime."),
        click.option("--seed", help="A whole number; the same seed gives the same result."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def build_recipe(
    recipe: str | None, changes: tuple[str, ...], preset: str | None = None, **fields: str | None
) -> Recipe:
    """The file, or an empty recipe, with what the options change; a preset's steps take the place of the file's."""
    from compresslab.recipes.recipe import Recipe

    made = Recipe.from_yaml(_text(recipe)) if recipe else Recipe()
    seed = fields.pop("seed", None)
    made = Recipe.from_dict(made.to_dict() | {name: value for name, value in fields.items() if value is not None})
    if preset is not None:
        made = _preset(preset, _absolute(made))
    for change in (*changes, *([f"seed={seed}"] if seed is not None else [])):
        made = made.assign(change)
    return _absolute(made)


def _preset(name: str, recipe: Recipe) -> Recipe:
    """Raises BadInput where there is none of that name, or none that will do."""
    from compresslab.planning.presets import Goal

    known: dict[str, Goal] = {goal: goal for goal in get_args(Goal)}
    if name not in known:
        raise BadInput("recipe.unknown_preset", name=name, presets=list(known))
    return open_workspace().preset(known[name], recipe).recipe


def _absolute(recipe: Recipe) -> Recipe:
    """With whole paths: a worker, and whoever repeats the run, may stand in another folder."""
    from compresslab.models.source import BUNDLED

    data = recipe.to_dict()
    places = [(data, "model"), (data["calibration"], "text"), (data["evaluation"], "text")]
    for owner, name in (*places, (data["evaluation"], "questions")):
        if owner[name] not in (BUNDLED, "bundled"):
            owner[name] = _whole_path(owner[name])
    return recipe.from_dict(data)


def _whole_path(name: str) -> str:
    """Of what is there; whoever needs it says what is wrong with another name."""
    from compresslab.files.paths import user_path

    try:
        path = user_path(name)
    except BadInput:
        return name
    return str(path.resolve()) if name and path.exists() else name


def parse_bytes(text: str) -> int:
    """`2MB`, `750 kB` or plain bytes. Raises BadInput."""
    found = BYTES.match(text.strip())
    if found is None:
        raise BadInput("recipe.not_bytes", given=text)
    return int(float(found[1]) * UNITS[found[2].lower()])


def _text(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadInput("recipe.no_file", file=file) from None
    except (OSError, UnicodeDecodeError) as error:
        why = reason(error) if isinstance(error, OSError) else Message("recipe.no_text")
        raise BadInput("recipe.unreadable", file=file, reason=why) from None
