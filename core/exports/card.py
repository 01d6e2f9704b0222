"""The model card of an export: what was done, what it cost, who opened it, and how to open it yourself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from compresslab.exports.format import Contents, Format, loading_lines
from compresslab.files import plain_yaml
from compresslab.files.plain_yaml import NotYaml
from compresslab.records.results import ExportRecord, Measurement, RunRecord

LICENCE_PATTERNS = ("LICENSE*", "LICENCE*", "NOTICE*", "USE_POLICY*")
UNKNOWN = "unknown"


def model_card(run: RunRecord, export: ExportRecord, form: Format, base: Path, recipe: str, lines: str) -> str:
    """README.md with the front matter that the Hub reads.

    `base` is the folder of the model that it was made from, `lines` what `loading` says.
    """
    parts = [
        _front_matter(run, base),
        f"# {Path(run.model).name}, compressed\n\n{_summary(run, form)}",
        lines,
        _making(run, recipe),
        _measurements(run),
        _verification(export),
        _caveats(run, export),
        _licence(run, base),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def licence_files(base: Path) -> list[Path]:
    """What a copy of the model must carry with it."""
    return sorted({file for pattern in LICENCE_PATTERNS for file in base.glob(pattern) if file.is_file()})


def licence_of(base: Path) -> str:
    """As the base model's own card names it; "unknown" where it does not."""
    return str(_base_card(base).get("license") or UNKNOWN)


def loading(form: Format, contents: Contents, place: str) -> str:
    """How to load it, for every program that takes it. `place` is a folder, or owner/name on the Hub."""
    first = ""
    if "/" in place and not form.opens_hub_names:
        name = place.partition("/")[2]
        first, place = f"Fetch the files:\n\n```sh\nhf download {place} --local-dir {name}\n```\n\n", name
    found = [
        f"{program}:\n\n```{_language(lines)}\n{lines}\n```"
        for program, lines in loading_lines(form, contents, place).items()
    ]
    return "## How to load it\n\n" + first + "\n\n".join(found)


# -- parts --------------------------------------------------------------------------------


def _front_matter(run: RunRecord, base: Path) -> str:
    known = _base_card(base)
    licence = licence_of(base)
    matter: dict[str, Any] = {"base_model": run.model} if not Path(run.model).is_absolute() else {}
    matter |= {"license": licence} if licence != UNKNOWN else {}
    matter |= {key: known[key] for key in ("license_name", "license_link", "language", "pipeline_tag") if key in known}
    matter["tags"] = ["compresslab", "compressed", *dict.fromkeys(step for step in _steps(run))]
    return f"---\n{plain_yaml.dump(matter, allow_unicode=True).strip()}\n---"


def _summary(run: RunRecord, form: Format) -> str:
    steps = " → ".join(_steps(run)) or "nothing was changed"
    return f"`{Path(run.model).name}` after {steps}, written as {form.label}. {form.help}"


def _making(run: RunRecord, recipe: str) -> str:
    version = run.hardware.versions.get("compresslab", "")
    said = f"Run `{run.run_id}`, {run.created[:10]}, with compresslab {version}".rstrip()
    return f"## How it was made\n\n```yaml\n{recipe.strip()}\n```\n\n{said}."


def _measurements(run: RunRecord) -> str:
    rows = []
    for name in dict.fromkeys(m.metric for m in run.measurements):
        before, after = run.find(name, "baseline"), run.find(name)
        about = after or before
        said = (about.dataset, about.kernel, about.runtime) if about else ()
        rows.append(
            f"| {name} | {_value(before)} | {_value(after)} | {', '.join(str(part) for part in said if part)} |"
        )
    if not rows:
        return ""
    hardware = run.hardware
    where = f"{hardware.device_name}, {hardware.threads} threads, {hardware.dtype}"
    head = "| measurement | baseline | compressed | on |\n| --- | --- | --- | --- |\n"
    return (
        f"## Measurements\n\nBaseline and compressed model in the same run, on {where}; ± is one standard error. "
        "They are those of the model in memory.\n\n" + head + "\n".join(rows)
    )


def _verification(export: ExportRecord) -> str:
    opened = (
        f"These files were opened with {export.opened_by}"
        if export.opened_by
        else f"These files were not opened by {export.not_opened_by}; they were read by {export.read_by}"
    )
    compared = (
        f"{opened}, and their logits were compared with those of the model in memory over {export.tokens:,} tokens: "
        f"the largest difference is {export.largest_difference:.3g}, the root mean square "
        f"{export.relative_difference:.3%} of that of the logits. Beside a model whose weights are rounded as in "
        f"these files it is {export.unexplained_difference:.2g}; up to {export.bound:.2g} is arithmetic."
    )
    rows = [f"| {m.metric} | {_value(m)} | {m.dataset or ''} |" for m in export.quality]
    return (
        f"## Opened again\n\n{compared}\n\n| through these files | | on |\n| --- | --- | --- |\n"
        + "\n".join(rows)
        + f"\n\n{export.weight_bytes:,} bytes of weights."
    )


def _caveats(run: RunRecord, export: ExportRecord) -> str:
    simulated = any(m.kernel == "simulated" for m in run.measurements)
    found = [str(note) for note in export.notes]
    if simulated:
        found.append(
            "Speeds marked *simulated* were timed with weights that are rounded or zero and a dense matmul: "
            "they say nothing about low-bit or sparse kernels."
        )
    found += [str(notice) for notice in run.notices if "hash" not in notice.values]
    return "## Good to know\n\n" + "\n".join(f"- {note}" for note in found) if found else ""


def _licence(run: RunRecord, base: Path) -> str:
    name, licence = Path(run.model).name, licence_of(base)
    if licence == UNKNOWN and not licence_files(base):
        return f"## Licence\n\nUnknown: {name} says nothing of its own here. Find out before you pass this on."
    carried = ", ".join(file.name for file in licence_files(base))
    text = f"That of {name}, from which these weights are derived: {licence}."
    return f"## Licence\n\n{text}" + (f" See {carried}." if carried else "")


# -- words --------------------------------------------------------------------------------


def _steps(run: RunRecord) -> list[str]:
    return [step if isinstance(step, str) else next(iter(step)) for step in run.recipe.get("steps", [])]


def _language(lines: str) -> str:
    return "python" if "import " in lines else "sh"


def _value(measurement: Measurement | None) -> str:
    if measurement is None:
        return ""
    if measurement.unit == "bytes":
        return f"{measurement.value / 1e6:,.2f} MB"
    shown = f"{measurement.value:.4g}" + (f" ± {measurement.error:.2g}" if measurement.error is not None else "")
    return shown if measurement.unit in ("", "perplexity") else f"{shown} {measurement.unit}"


def _base_card(base: Path) -> dict[str, Any]:
    """Front matter of the base model's README.md; empty where there is none that can be read."""
    card = base / "README.md"
    if not card.is_file():
        return {}
    begin, *rest = card.read_text(encoding="utf-8", errors="replace").split("---\n", 2)
    try:
        found = plain_yaml.load(rest[0]) if not begin.strip() and rest else None
    except NotYaml:
        return {}
    return found if isinstance(found, dict) else {}
