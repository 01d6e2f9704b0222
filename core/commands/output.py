"""What the command line shows: tables on stdout for people, one JSON object for programs, progress on stderr."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import lru_cache
from textwrap import indent
from typing import Any

import click
from compresslab.messages import ENGLISH_BESIDE, Message
from compresslab.planning.estimate import Estimate
from compresslab.profiles.sensitivity_table import SensitivityTable
from compresslab.profiles.statistics_files import StatisticsEntry
from compresslab.recipes.memory import CacheMemory
from compresslab.recipes.method import Method
from compresslab.recipes.metric import Metric
from compresslab.recipes.recipe import Recipe
from compresslab.records import events
from compresslab.records.results import ExportRecord, Measurement, RunRecord
from compresslab.records.run_row import RunRow
from compresslab.settings import Control, Settings, allowed
from compresslab.store import JobRow, WorkerRow
from compresslab.work.leftovers import Leftovers
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

KINDS = {"inputs": "statistics of inputs", "baseline": "what the baseline said"}
NOTHING = {"value": None, "unit": ""}
MOST_DRAWN = 1000  # rows
PIPE_WIDTH = 160  # columns, where no terminal says how wide it is
LINE_SECONDS = 5.0  # between lines of progress in a log
OUT = Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
ERR = Console(stderr=True, highlight=False)


def print_json(data: Any) -> None:
    """One object; a number that JSON does not know is an error, never written. A message has its English beside it."""
    json.dump(_with_english(data), sys.stdout, indent=2, allow_nan=False, ensure_ascii=False)
    sys.stdout.write("\n")


def print_json_list(name: str, items: Iterable[Any]) -> None:
    """As `print_json` of one list under this name, whose items are written as they come."""
    sys.stdout.write(f'{{\n  "{name}": [')
    for place, item in enumerate(items):
        text = json.dumps(_with_english(item), indent=2, allow_nan=False, ensure_ascii=False)
        sys.stdout.write("," * bool(place) + "\n" + indent(text, "    "))
    sys.stdout.write("\n  ]\n}\n")


def _with_english(data: Any) -> Any:
    if isinstance(data, Message):
        return data.to_json() | {ENGLISH_BESIDE: str(data)}
    if isinstance(data, dict):
        if data.keys() == {"code", "values"}:
            return _with_english(Message.from_json(data))
        return {key: _with_english(value) for key, value in data.items()}
    return [_with_english(value) for value in data] if isinstance(data, list | tuple) else data


# -- values ---------------------------------------------------------------------------------


def number(value: float, unit: str, error: float | None = None) -> str:
    """A value as people read it, with its standard error."""
    if unit == "bytes":
        return f"{value / 1e6:,.2f} MB"
    if unit == "fraction":
        return f"{value:.1%}" + (f" ± {error:.1%}" if error is not None else "")
    shown = f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e6 else f"{value:.4g}"
    shown += f" ± {_short(error)}" if error is not None else ""
    return shown if unit in ("", "perplexity") else f"{shown} {unit}"


def _short(value: float) -> str:
    """Two digits that matter, never an exponent."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2g}"


def _cell(value: float | None, unit: str, error: float | None = None) -> str:
    """Empty for what was not measured."""
    return "" if value is None else number(value, unit, error)


def measured(measurement: Measurement | None) -> str:
    return "" if measurement is None else number(measurement.value, measurement.unit, measurement.error)


def change(measurement: Measurement | None) -> str:
    if measurement is None or measurement.change is None:
        return ""
    if measurement.change_unit == "fraction":
        return f"{measurement.change:+.1%}" + (f" ± {measurement.change_error:.1%}" if measurement.change_error else "")
    error = "" if measurement.change_error is None else f" ± {_short(measurement.change_error)}"
    return f"{measurement.change:+.3g}{error} {measurement.change_unit}".rstrip()


def steps_of(record: RunRecord) -> str:
    return _steps_of(json.dumps(record.recipe.get("steps", [])))


@lru_cache(maxsize=1024)
def _steps_of(steps: str) -> str:
    """Of thousands of runs many are alike."""
    return steps_in_short(Recipe.from_dict({"steps": json.loads(steps)}))


def steps_in_short(recipe: Recipe) -> str:
    """Of every step the first setting, which says most, and those that differ from their defaults."""
    return " → ".join(_step(step) for step in recipe.steps) or "baseline"


def _step(step: Method) -> str:
    shown = [
        f"{control.name}={getattr(step, control.name)}"
        for place, control in enumerate(step.controls())
        if place == 0 or getattr(step, control.name) != control.default
    ]
    return f"{step.name}({', '.join(shown)})"


# -- tables ----------------------------------------------------------------------------------


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Thousands of rows are aligned without looking how wide the terminal is, which takes minutes."""
    texts = [[str(cell) for cell in row] for row in rows]
    if len(texts) > MOST_DRAWN:
        _print_aligned([list(columns), *texts])
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for place, column in enumerate(columns):
        table.add_column(column, no_wrap=place == 0)
    for row in texts:
        table.add_row(*(escape(cell) for cell in row))
    OUT.print(table)


def _print_aligned(rows: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    click.echo("\n".join(lines))


def print_record(record: RunRecord) -> None:
    hardware = record.hardware
    OUT.print(
        f"[bold]Run {record.run_id}[/bold] ({record.stage}) of {escape(record.model)}: {escape(steps_of(record))}"
    )
    OUT.print(f"baseline {record.baseline_hash}, compressed {record.compressed_hash}", style="dim")
    OUT.print(f"{record.seconds:.1f} s on {escape(hardware.device_name)}, {hardware.dtype}", style="dim")
    names = dict.fromkeys(m.metric for m in record.measurements)
    rows = []
    for name in names:
        baseline, compressed = record.find(name, "baseline"), record.find(name)
        any_one = compressed or baseline
        kernel = any_one.kernel if any_one else None
        ran = "  ".join(str(part) for part in (kernel, any_one.runtime if any_one else None) if part)
        rows.append((name, measured(baseline), measured(compressed), change(compressed), ran))
    print_table(("metric", "baseline", "compressed", "change", "kernel"), rows)
    for notice in record.notices:
        OUT.print(escape(str(notice)), style="dim")
    if record.exports:
        print_exports(record.exports)


def print_exports(exports: Sequence[ExportRecord]) -> None:
    """Sizes side by side, and how the files answered when they were opened again."""
    rows = [
        (
            export.format,
            number(export.weight_bytes, "bytes"),
            str(export.opened_by or "") or f"not by {export.not_opened_by}; {export.read_by}",
            f"{export.relative_difference:.2%}",
            measured(next((m for m in export.quality if m.metric == "perplexity"), None)),
            export.folder,
        )
        for export in exports
    ]
    print_table(("format", "weights", "opened by", "logits differ by", "perplexity, draft", "folder"), rows)
    for export in exports:
        for note in export.notes:
            OUT.print(f"{export.format}: {escape(str(note))}", style="dim")


def print_runs(runs: Iterable[RunRow]) -> None:
    rows = [
        (
            run.run_id,
            run.created[:16].replace("T", " "),
            run.model,
            _steps_of(run.steps),
            _cell(run.size, "bytes"),
            _cell(run.perplexity, "perplexity", run.perplexity_error),
            _cell(run.accuracy, "fraction", run.accuracy_error),
        )
        for run in runs
    ]
    if not rows:
        OUT.print("There are no runs yet; `compresslab run --set quantize_rtn.bits=4` makes one.")
        return
    print_table(("run", "created (UTC)", "model", "steps", "size", "perplexity", "accuracy"), rows)


def print_statistics(entries: list[StatisticsEntry], room: int, freed: int | None) -> None:
    if freed is not None:
        OUT.print(f"{number(freed, 'bytes')} are free again.")
    if not entries:
        OUT.print("No statistics are kept; the first run that needs them measures them.")
        return
    rows = [
        (
            e.id,
            e.model,
            str(e.text),
            KINDS[e.kind],
            f"{e.samples} x {e.sequence_length}",
            number(e.bytes, "bytes"),
            e.last_used[:16].replace("T", " "),
        )
        for e in entries
    ]
    print_table(("id", "model", "text", "kept", "samples x tokens", "size", "last used (UTC)"), rows)
    OUT.print(f"{number(sum(e.bytes for e in entries), 'bytes')} of {number(room, 'bytes')} that they may take.")


def print_leftovers(found: Leftovers, *, deleted: bool) -> None:
    for part in found.parts:
        OUT.print(escape(str(part)), soft_wrap=True)
    was = "were" if deleted else "are"
    OUT.print(
        f"{len(found.parts)} unfinished files or folders ({number(found.bytes, 'bytes')}), {found.old.jobs:,} jobs and "
        f"{found.old.events:,} lines of progress {was} kept for nobody{'' if not deleted else ', and are deleted'}."
    )
    if not deleted and (found.parts or found.old.jobs or found.old.events):
        OUT.print("`compresslab clean --yes` deletes them.")


def print_memory(memory: CacheMemory) -> None:
    OUT.print(f"In memory, all caches of a process together take {number(memory.most, 'bytes')} at most.")
    if memory.warm:
        OUT.print(
            f"Warm processes hold {number(memory.warm, 'bytes')} now, and give them up for a job that needs them."
        )


def print_comparison(rows: list[dict[str, Any]]) -> None:
    columns = list(rows[0]) if rows else ["metric"]
    cells = [[row["metric"], *(_cell(**(row[name] or NOTHING)) for name in columns[1:])] for row in rows]
    print_table(columns, cells)


def print_estimate(estimate: Estimate) -> None:
    about = "" if estimate.exact else "about "
    OUT.print("[bold]Estimate[/bold], nothing was run")
    rows = [
        ("size on disk, baseline", number(estimate.baseline_bytes, "bytes")),
        ("size on disk, compressed", about + number(estimate.compressed_bytes, "bytes")),
        ("compression ratio", f"{about}{estimate.compression_ratio:.2f}"),
        ("bits per weight", f"{about}{estimate.bits_per_weight:.2f}"),
        ("sparsity of linear layers", number(estimate.sparsity, "fraction")),
        ("parameters", f"{estimate.parameters:,}"),
        ("perplexity, times the baseline's", predicted(estimate)),
        ("writing speed, at the most", f"{estimate.decode_bound:.1f} times the baseline's, by the bytes a token reads"),
        ("memory needed to run it", number(estimate.memory_need, "bytes")),
    ]
    print_table(("", ""), rows)


def estimate_data(estimate: Estimate) -> dict[str, Any]:
    return asdict(estimate) | {"compression_ratio": estimate.compression_ratio}


def predicted(estimate: Estimate) -> str:
    found = estimate.predicted
    if found is None:
        return str(estimate.why_not or "")
    beyond = "; beyond all that was measured" if found.extrapolated else ""
    return f"{found.perplexity_ratio:.4g} ({found.low:.4g} to {found.high:.4g}) on {found.dataset}{beyond}"


def print_sensitivity(table: SensitivityTable) -> None:
    OUT.print(
        f"[bold]Sensitivity[/bold] of {escape(table.model)}, measured in {table.seconds:.0f} s on {table.dataset}"
    )
    kinds = list(table.importance)
    names = dict.fromkeys(name for kind in kinds for name in table.importance[kind])
    rows = [(name, *(f"{table.importance[kind].get(name, 0):.3g}" for kind in kinds)) for name in names]
    print_table(("nats a token per unit of relative loss", *kinds), rows)
    OUT.print(f"{len(table.columns)} settings tried, {len(table.points)} whole models measured", style="dim")


def print_allocation(recipe: Recipe) -> None:
    """The steps with their exceptions, as they would stand in the recipe's file."""
    rows = [
        (f"{step.name} {pattern}", ", ".join(f"{name}={value}" for name, value in values.items()))
        for step in recipe.steps
        for pattern, values in [("(all others)", _usual(step)), *getattr(step, "overrides", {}).items()]
    ]
    print_table(("matrices", "settings"), rows)


def _usual(step: Method) -> dict[str, Any]:
    return {name: getattr(step, name) for name in ("bits", "sparsity", "embedding_bits") if hasattr(step, name)}


def print_methods(methods: Iterable[type[Method]], metrics: Iterable[type[Metric]]) -> None:
    for method in methods:
        OUT.print(f"\n[bold]{method.name}[/bold]  {escape(method.title)}: {escape(method.summary)}")
        OUT.print(escape(method.paper), style="dim")
        _print_settings(method.name, method.controls())
    OUT.print("\n[bold]Metrics[/bold]")
    for metric in metrics:
        OUT.print(f"\n[bold]{metric.name}[/bold]  {escape(metric.title)}: {escape(metric.summary)}")
        _print_settings(metric.name, metric.controls())


def _print_settings(owner: str, controls: list[Control]) -> None:
    if controls:
        rows = [(f"{owner}.{c.name}", c.default, f"{allowed(c)} {c.unit}".strip(), c.help) for c in controls]
        print_table(("setting", "default", "takes", ""), rows)


def describe(kind: type[Settings], *about: str) -> dict[str, Any]:
    """What a class says of itself, and its settings."""
    names = ("name", "kind", "default", "minimum", "maximum", "choices", "unit", "label", "plain", "help")
    settings = [{name: getattr(control, name) for name in names} for control in kind.controls()]
    return {name: getattr(kind, name) for name in about} | {"settings": settings}


def print_jobs(rows: list[JobRow], workers: list[WorkerRow]) -> None:
    if not workers:
        OUT.print("No worker is running; `compresslab worker` starts one.")
    for worker in workers:
        device = worker.device or "its device not known yet"
        OUT.print(f"Worker on {escape(worker.host)} (pid {worker.pid}, {device}): {worker.state}", style="dim")
    if not rows:
        OUT.print("There are no such jobs.")
        return
    times = [time.strftime("%F %T", time.gmtime(row.created)) for row in rows]
    cells = [
        (row.id, row.kind, row.stage or "", row.state, created, row.run_id or "", row.error or "")
        for row, created in zip(rows, times, strict=True)
    ]
    print_table(("job", "kind", "stage", "state", "created (UTC)", "run", "why"), cells)


# -- progress --------------------------------------------------------------------------------


class ProgressBar:
    """Tells a job's events on stderr: one bar for the whole job, notices above it; in a log, a line now and then."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description:<18}"), BarColumn(), TextColumn("{task.fields[told]}"))
        self._bar = Progress(*columns, TimeElapsedColumn(), console=ERR, transient=True, disable=not ERR.is_terminal)
        self._task = self._bar.add_task("waiting", total=1.0, told="")
        self._left: float | None = None
        self._seen = ""
        self._stage, self._share, self._told = "waiting", 0.0, ""
        self._begun, self._over = time.monotonic(), threading.Event()

    def __enter__(self) -> ProgressBar:
        if self._bar.disable:
            threading.Thread(target=self._tell, daemon=True).start()
        else:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._bar.disable:  # before rich 15 one that never began leaves an empty line
            self._bar.stop()
        self._over.set()

    def show(self, event: events.Event) -> None:
        if isinstance(event, events.Progress):
            self._left = event.seconds_left
            self._stage, self._share = event.stage, event.fraction
            self._bar.update(self._task, description=event.stage, completed=event.fraction)
        elif isinstance(event, events.Draft):
            self._seen = _headline(event.measurements) or self._seen
        elif isinstance(event, events.Loss):
            self._seen = f"step {event.step} of {event.total}, loss {event.loss:.3f}"
        elif isinstance(event, events.Notice):
            self._bar.console.print(escape(str(event.text)), style="yellow" if event.level == "warning" else "dim")
        left = "" if self._left is None else f"{self._left:.0f} s left"
        self._told = "  ".join(filter(None, (left, self._seen)))
        self._bar.update(self._task, told=escape(self._told))

    def _tell(self) -> None:
        """From a thread: nothing may be reported for long."""
        while not self._over.wait(LINE_SECONDS):
            passed = f"{time.monotonic() - self._begun:.0f} s"
            ERR.print(escape(f"{passed:>6} {self._share:4.0%}  {self._stage}  {self._told}".rstrip()), soft_wrap=True)


def _headline(measurements: list[Measurement]) -> str:
    for measurement in measurements:
        if measurement.variant == "compressed" and measurement.metric in ("perplexity", "accuracy"):
            return f"{measurement.metric} {measured(measurement)}"
    return ""


class PaneWriter:
    """Writes generated texts to stdout as they come, and keeps what a JSON answer needs."""

    def __init__(self, *, quiet: bool) -> None:
        self.panes: list[dict[str, Any]] = []
        self._quiet = quiet

    def show(self, event: events.Event) -> None:
        if isinstance(event, events.PaneStarted):
            self.panes.append({"label": event.label, "weights_hash": event.weights_hash})
            self._say(f"[bold]{escape(event.label)}[/bold] [dim]weights {event.weights_hash}[/dim]\n")
        elif isinstance(event, events.Token):
            self._say(escape(event.text))
        elif isinstance(event, events.PaneDone):
            self.panes[-1] |= event.model_dump(exclude={"kind", "pane"}) | {"kernel": event.kernel}
            self._say(f"\n[dim]{_pace(event)}[/dim]\n\n")
        elif isinstance(event, events.Notice):
            ERR.print(escape(str(event.text)), style="dim")

    def _say(self, text: str) -> None:
        if not self._quiet:
            OUT.print(text, end="", soft_wrap=True)


def _pace(done: events.PaneDone) -> str:
    pace = f", {done.decode_tokens_per_second:.1f} tokens/s" if done.decode_tokens_per_second else ""
    kernel = f", {done.kernel} kernel" if done.kernel else ""
    kernel += f" ({done.runtime})" if done.runtime else ""
    return f"{done.tokens} tokens, first after {done.ttft_seconds:.2f} s{pace}{kernel}"
