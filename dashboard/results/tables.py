"""Runs and jobs -> tables for the History page. No Streamlit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import pandas as pd
from compresslab.records.results import Measurement, RunRecord, RunSummary
from compresslab.records.run_row import RunRow
from compresslab.store import JobRow
from compresslab.store.runs import Annotation
from compresslab_dashboard.recipe.words import model_text, phrase_of, steps_text
from compresslab_dashboard.texts import Words, formats

COLUMNS = (
    "date model recipe size perplexity perplexity_error accuracy flipped speed seconds tags note device versions run"
).split()


def runs_table(rows: Sequence[RunRow], words: Words) -> pd.DataFrame:
    """One row a run, in that order: numbers stay numbers, so that a click on a head sorts them."""
    return pd.DataFrame([_row(row, words) for row in rows], columns=COLUMNS)


def _row(row: RunRow, words: Words) -> dict[str, object]:
    return {
        "run": row.run_id,
        "date": datetime.fromisoformat(row.created),
        "model": model_text(row.model),
        "recipe": phrase_of(row.steps, words),
        "size": 1 / row.size_share if row.size_share else None,
        "perplexity": row.perplexity_change,
        "perplexity_error": row.perplexity_change_error,
        "accuracy": row.accuracy,
        "flipped": row.flipped,
        "speed": row.decode,
        "seconds": row.seconds,
        "tags": list(row.tags),
        "note": row.note,
        "device": row.device,
        "versions": row.versions,
    }


def everything(records: Iterable[RunSummary], annotations: Mapping[str, Annotation], words: Words) -> pd.DataFrame:
    """One row a run, for a file: every measurement in its own unit, the machine, what people wrote on it."""
    return pd.DataFrame([_whole(record, annotations.get(record.run_id, Annotation()), words) for record in records])


def _whole(record: RunSummary, annotation: Annotation, words: Words) -> dict[str, object]:
    machine = record.hardware
    row: dict[str, object] = {
        "run": record.run_id,
        "created": record.created,
        "model": record.model,
        "recipe": steps_text(record.recipe, words),
        "tags": ", ".join(annotation.tags),
        "note": annotation.note,
    }
    for m in record.measurements:
        row[f"{m.variant} {m.metric} [{m.unit}]"] = m.value
        row |= {f"{m.variant} {m.metric} error": m.error} if m.error is not None else {}
        row |= {f"{m.metric} change [{m.change_unit}]": m.change} if m.change is not None else {}
    return row | {
        "seconds": record.seconds,
        "device": f"{machine.device_name} ({machine.device})",
        "dtype": machine.dtype,
        "threads": machine.threads,
        "memory_bytes": machine.memory_bytes,
        "versions": RunRow.of(record).versions,
        "baseline_hash": record.baseline_hash,
        "compressed_hash": record.compressed_hash,
    }


def measurements_table(record: RunRecord, words: Words) -> pd.DataFrame:
    """One row a metric: baseline and compressed as people read them, the paired change, what it was measured on."""
    metrics = list(dict.fromkeys(m.metric for m in record.measurements))
    return pd.DataFrame([_measurement_row(metric, record, words) for metric in metrics])


def _measurement_row(metric: str, record: RunRecord, words: Words) -> dict[str, str]:
    baseline, compressed = record.find(metric, "baseline"), record.find(metric)
    shown = compressed or baseline
    kernel = words(f"kernel.{compressed.kernel}") if compressed and compressed.kernel else ""
    ran = ", ".join(part for part in (kernel, words.said(shown.runtime) if shown else "") if part)
    return {
        words("measure.metric"): words.measurement(metric),
        words("measure.baseline"): _text(baseline, words),
        words("measure.compressed"): _text(compressed, words),
        words("measure.change"): change_text(compressed, words),
        words("measure.dataset"): words.said((shown.dataset if shown else None) or ""),
        words("measure.samples"): _samples(shown, words),
        words("measure.label"): ran,
    }


def _samples(measurement: Measurement | None, words: Words) -> str:
    if measurement is None or not measurement.samples:
        return ""
    return f"{measurement.samples:,} {formats.unit(measurement.sample_unit, words.language)}"


def _text(measurement: Measurement | None, words: Words) -> str:
    return "" if measurement is None else formats.measured(measurement, words.language)


def change_text(measurement: Measurement | None, words: Words) -> str:
    """The paired difference to the baseline, signed, with its error and unit."""
    if measurement is None or measurement.change is None:
        return ""
    if measurement.change_unit == "fraction":
        error = measurement.change_error
        points = formats.change(100 * measurement.change, None if error is None else 100 * error)
        return words("measure.points", points=points.removesuffix("%").rstrip())
    if measurement.change_unit == "%":
        return formats.change(measurement.change, measurement.change_error)
    unit = formats.unit(measurement.change_unit, words.language)
    return f"{formats.with_error(measurement.change, measurement.change_error)} {unit}".strip()


def stages_table(record: RunRecord, words: Words) -> pd.DataFrame:
    rows = [
        {
            words("stage_seconds"): words.stage(stage),
            words("seconds"): formats.duration(seconds, words.language),
        }
        for stage, seconds in record.stages.items()
    ]
    return pd.DataFrame(rows)


def machine_table(record: RunRecord, words: Words) -> pd.DataFrame:
    machine = record.hardware
    device = f"{machine.device_name} ({machine.device})"
    rows = [
        (words("machine.device"), words("machine.why", what=device, why=words.said(machine.device_reason))),
        (words("machine.dtype"), words("machine.why", what=machine.dtype, why=words.said(machine.dtype_reason))),
        (words("machine.threads"), str(machine.threads)),
        (words("machine.memory"), formats.file_size(machine.memory_bytes)),
        (words("machine.versions"), RunRow.of(record).versions),
        (words("history.hash.baseline"), record.baseline_hash),
        (words("history.hash.compressed"), record.compressed_hash),
    ]
    return pd.DataFrame(rows, columns=["", words("history.machine")])


def jobs_table(jobs: Sequence[JobRow], words: Words) -> pd.DataFrame:
    """Runs that came to nothing, each with its reason. Drafts that gave way to newer ones are not among them."""
    rows = [_job_row(job, words) for job in jobs if job.kind == "run" and not job.live]
    return pd.DataFrame(rows)


def _job_row(job: JobRow, words: Words) -> dict[str, object]:
    recipe = job.payload["recipe"]
    return {
        words("history.failed.job"): job.id,
        words("history.failed.date"): datetime.fromtimestamp(job.created, UTC),
        words("history.failed.recipe"): f"{model_text(recipe['model'])}: {steps_text(recipe, words)}",
        words("history.failed.state"): words(f"state.{job.state}"),
        words("history.failed.reason"): words.said(job.error),
    }
