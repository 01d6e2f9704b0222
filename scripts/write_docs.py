"""Writes docs/reference/methods.md from the registry, so that the table of settings never disagrees with the code.

Run `python -m scripts.write_docs`; a test fails when the file is not what this writes.
"""

from __future__ import annotations

from pathlib import Path

from compresslab.data.texts import Calibration, Evaluation
from compresslab.recipes.generation_request import Decoding
from compresslab.recipes.method import METHODS
from compresslab.recipes.metric import METRICS
from compresslab.settings import Control, Settings, allowed

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "methods.md"
HEAD = """# Methods, metrics and their settings

This page is written by `python -m scripts.write_docs` from the settings classes. The same declarations make the
dashboard's sliders, the checks of a recipe and the output of `compresslab methods`.
"""


def page() -> str:
    parts = [HEAD, "## Methods\n"]
    parts += [_entry(m.name, f"{m.summary} Paper: {m.paper}.", m) for m in METHODS.values()]
    parts += ["## Metrics\n"]
    parts += [_entry(m.name, m.summary, m) for m in METRICS.values()]
    parts += ["## Texts and decoding\n"]
    parts += [_entry("calibration", "What statistics and distillation are taken from.", Calibration)]
    parts += [_entry("evaluation", "What baseline and compressed model are both measured on.", Evaluation)]
    parts += [_entry("decoding", "How an answer is generated; the same for every pane.", Decoding)]
    return "\n".join(parts)


def _entry(name: str, about: str, settings: type[Settings]) -> str:
    rows = [_row(control) for control in settings.controls()]
    if not rows:
        return f"### `{name}`\n\n{about}\n"
    table = "| setting | takes | default | unit | in plain words | technically |\n|---|---|---|---|---|---|\n"
    return f"### `{name}`\n\n{about}\n\n{table}" + "\n".join(rows) + "\n"


def _row(control: Control) -> str:
    cells = [f"`{control.name}`", allowed(control), f"`{control.default}`", control.unit, control.plain, control.help]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
