"""`compresslab presets`: recipes in users' words, what each would choose for a model, and what is expected of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import click
from compresslab.commands.frame import json_option, open_workspace
from compresslab.commands.recipe import build_recipe
from compresslab.errors import BadInput
from compresslab.messages import Message

if TYPE_CHECKING:
    from compresslab.planning.presets import Goal, Preset
    from compresslab.recipes.recipe import Recipe
    from compresslab.workspace import Workspace

WANTED = {
    "half": "half the bytes, least expected loss",
    "fastest": "fewest bytes to read a token",
    "smallest": "fewest bytes that still tell a story",
}


@dataclass(frozen=True)
class _Offer:
    """`preset` is None where none will do, and `why_not` says why."""

    goal: Goal
    preset: Preset | None
    why_not: Message | None = None


@click.command()
@click.option("--model", help="The bundled 'storyteller', a folder, or the name of one from the Hub that is here.")
@click.option("--device", help="auto, cpu, cuda or mps.")
@click.option("--runtime", help="auto, torch or onnxruntime.")
@json_option
def presets(as_json: bool, **fields: str | None) -> None:
    """What --preset of the other commands would choose for a model; nothing is run."""
    from compresslab.commands import output
    from compresslab.planning.presets import Goal

    recipe, workspace = build_recipe(None, (), **fields), open_workspace()
    workspace.models.facts(recipe.model)  # where there is no such model, that is what there is to say
    offers = [_offer(workspace, goal, recipe) for goal in get_args(Goal)]
    if as_json:
        output.print_json({"model": recipe.model, "presets": [_data(offer) for offer in offers]})
    else:
        columns = ("preset", "what it wants", "steps", "size", "of", "perplexity, times the baseline's")
        output.print_table(columns, [_row(offer) for offer in offers])


def _offer(workspace: Workspace, goal: Goal, recipe: Recipe) -> _Offer:
    try:
        return _Offer(goal, workspace.preset(goal, recipe))
    except BadInput as error:
        return _Offer(goal, None, error.message)


def _data(offer: _Offer) -> dict[str, Any]:
    from compresslab.commands import output

    found = offer.preset
    return {
        "preset": offer.goal,
        "wants": WANTED[offer.goal],
        "why_not": offer.why_not,
        "recipe": found.recipe.to_dict() if found else None,
        "estimate": output.estimate_data(found.estimate) if found else None,
    }


def _row(offer: _Offer) -> tuple[str, ...]:
    from compresslab.commands import output

    if offer.preset is None:
        return offer.goal, WANTED[offer.goal], str(offer.why_not), "", "", ""
    told = offer.preset.estimate
    sizes = output.number(told.compressed_bytes, "bytes"), output.number(told.baseline_bytes, "bytes")
    expected = output.predicted(told) if told.predicted else "not predicted"
    return offer.goal, WANTED[offer.goal], output.steps_in_short(offer.preset.recipe), *sizes, expected
