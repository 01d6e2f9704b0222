"""Methods, metrics, texts and export formats, with their settings: from the classes that forms and flags come from."""

from __future__ import annotations

import sys

from compresslab.data.texts import Calibration, Evaluation
from compresslab.exports.format import Format, opens_in
from compresslab.exports.registry import FORMATS
from compresslab.recipes.generation_request import Decoding
from compresslab.recipes.method import METHODS, Method
from compresslab.recipes.metric import METRICS
from compresslab.settings import Control, Settings, allowed

from scripts.docs.markdown import code, docstring, linked, page, table

KINDS = {"prune": "Pruning", "distill": "Distillation", "quantize": "Quantization"}
TEXTS: dict[str, type[Settings]] = {"calibration": Calibration, "evaluation": Evaluation, "decoding": Decoding}


def methods() -> str:
    about = """
A recipe lists methods in the order in which they are applied. Every setting has a range and a default; the same
declarations make the sliders of the dashboard, the checks of a recipe and the output of `compresslab methods`. In the
tables, the first sentence of each meaning is for everyone, the second for those who know the field's terms."""
    return page("Methods", about, *(part for kind in KINDS for part in _methods_of(kind)))


def _methods_of(kind: str) -> list[str]:
    return [f"## {KINDS[kind]}", *(_method(method) for method in METHODS.values() if method.kind == kind)]


def _method(method: type[Method]) -> str:
    tasks = "" if "seq2seq" in method.tasks else f"\n\nFor: {', '.join(TASKS[task] for task in method.tasks)}."
    how = docstring(sys.modules[method.__module__])
    return "\n\n".join(
        [
            f"### `{method.name}` {{ #{method.name} }}",
            f"**{method.title}.** {method.summary}",
            f"{how}{tasks}",
            _settings(method),
        ]
    )


TASKS = {"causal": "causal language models", "classification": "classifiers", "seq2seq": "encoder-decoders"}


def metrics() -> str:
    about = """
A recipe measures all of these unless its `metrics` list names some. [What the numbers mean](../numbers.md) explains
them."""
    parts = [
        f"## `{metric.name}` {{ #{metric.name} }}\n\n**{metric.title}.** {metric.summary}\n\n"
        f"{docstring(sys.modules[metric.__module__])}\n\n{_settings(metric)}"
        for metric in METRICS.values()
    ]
    return page("Metrics", about, *parts)


def texts() -> str:
    about = """
What a recipe says about its texts, under `calibration:` and `evaluation:`, and how answers are generated. [Use your
own texts](../how-to/own-texts.md) shows the files."""
    parts = [f"## `{name}` {{ #{name} }}\n\n{docstring(owner)}\n\n{_settings(owner)}" for name, owner in TEXTS.items()]
    return page("Texts and decoding", about, *parts)


def exports() -> str:
    about = """
`compresslab export RUN --format NAME --set NAME.SETTING=VALUE` writes a run so that other programs load it. Every
export is opened again and must answer as the model in memory did. `compresslab export RUN --list` says how large each
becomes and what it refuses."""
    return page("Export formats", about, *(_format(form) for form in FORMATS.values()))


def _format(form: type[Format]) -> str:
    return "\n\n".join(
        [
            f"## `{form.name}` {{ #{form.name} }}",
            f"**{form.label}.** {form.plain}",
            linked(form.help),
            f"Opens in: {', '.join(map(str, opens_in(form, form.opened_by)))}. "
            f"For: {', '.join(TASKS[task] for task in form.tasks)}.",
            _settings(form),
        ]
    )


def _settings(owner: type[Settings]) -> str:
    """A table; one sentence where there is nothing to set."""
    rows = [_row(control) for control in owner.controls()]
    return table(("setting", "takes", "default", "meaning"), rows) or "No settings."


def _row(control: Control) -> tuple[str, ...]:
    takes = f"{allowed(control)}{f', in {control.unit}' if control.unit else ''}"
    return code(control.name), takes, code(str(control.default)), f"{control.plain}<br>*{linked(control.help)}*"
