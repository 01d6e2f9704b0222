"""A recipe to copy: as Python and as one command. No Streamlit.

Only what differs from the defaults is written, so that it can be read; both make the same recipe again.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator
from typing import Any

from compresslab.recipes.recipe import TEXTS, Recipe
from compresslab.recipes.typed import text_of
from compresslab.settings import Settings

WHOLE = ("seed", "device", "dtype", "runtime")


def as_python(recipe: Recipe) -> str:
    """A script that runs it here and now and prints what came of it."""
    lines = [f"    {name!r}: {value!r}," for name, value in _differing(recipe).items() if name != "steps"]
    steps = [f"        {entry!r}," for entry in _steps(recipe)]
    body = "\n".join([lines[0], '    "steps": [', *steps, "    ],", *lines[1:]])
    return (
        "from compresslab import Recipe, Workspace\n\n"
        f"recipe = Recipe.from_dict({{\n{body}\n}})\n"
        "record = Workspace().run(recipe)\n"
        "for measured in record.measurements:\n"
        "    print(measured.metric, measured.variant, measured.value, measured.unit)\n"
    )


def as_command(recipe: Recipe) -> str:
    """For a shell; a recipe that names a method twice, which no option can say, is run from its file."""
    if max(Counter(step.name for step in recipe.steps).values(), default=1) > 1:
        return "compresslab run recipe.yaml"
    assigned = [f"--set {shlex.quote(text)}" for text in _assignments(recipe)]
    whole = [f"--{name} {getattr(recipe, name)}" for name in WHOLE if getattr(recipe, name) != getattr(Recipe(), name)]
    return " \\\n  ".join([f"compresslab run --model {shlex.quote(recipe.model)}", *assigned, *whole])


def _assignments(recipe: Recipe) -> Iterator[str]:
    for step in recipe.steps:
        first = step.controls()[0].name  # a step of defaults alone must be named all the same
        for name, value in (changed(step) or {first: getattr(step, first)}).items():
            yield f"{step.name}.{name}={text_of(value)}"
    measured = [metric.name for metric in recipe.metrics]
    if measured != [metric.name for metric in Recipe().metrics]:
        yield f"metrics={text_of(measured)}"
    parts: dict[str, Settings] = {name: getattr(recipe, name) for name in TEXTS}
    for owner, settings in (parts | {metric.name: metric for metric in recipe.metrics}).items():
        for name, value in changed(settings).items():
            yield f"{owner}.{name}={text_of(value)}"


def changed(settings: Settings) -> dict[str, Any]:
    """Settings that are not as they come, as plain data."""
    data = settings.model_dump(mode="json")
    return {c.name: data[c.name] for c in settings.controls() if getattr(settings, c.name) != c.default}


def _steps(recipe: Recipe) -> list[dict[str, dict[str, Any]]]:
    return [{step.name: changed(step)} for step in recipe.steps]


def _differing(recipe: Recipe) -> dict[str, Any]:
    data: dict[str, Any] = {"model": recipe.model, "steps": _steps(recipe)}
    data |= {name: values for name in TEXTS if (values := changed(getattr(recipe, name)))}
    data |= {name: getattr(recipe, name) for name in WHOLE if getattr(recipe, name) != getattr(Recipe(), name)}
    if recipe.metrics != Recipe().metrics:
        data["metrics"] = [{metric.name: changed(metric)} for metric in recipe.metrics]
    return data
