"""What became of the model, in three sentences for people who never heard of a weight. No Streamlit."""

from __future__ import annotations

from dataclasses import dataclass

from compresslab.records.paces import Pace, paces
from compresslab.records.results import RunSummary
from compresslab_dashboard.charts.figures import disk_bytes
from compresslab_dashboard.results.verdict import clear_speed, same_speed
from compresslab_dashboard.texts import Words, formats

EXACTLY, NEARLY = 0.03, 0.12  # how far from a half, a third, ... a size may be to be called that, or about that
LARGEST_PART = 10


@dataclass(frozen=True)
class Plain:
    """Of one size: a sentence and a number to draw for size, answers and speed; None where nothing was measured."""

    name: str  # a few words for the slider: "a third of the size"
    size: str
    answers: str
    speed: str
    share: float
    same: int | None  # of 100 questions
    pace: float | None  # times the baseline's
    imitated: bool  # the smaller numbers do not compute yet
    bytes: str  # on disk


def plain(record: RunSummary, share: float, words: Words) -> Plain:
    """`share` of the baseline's bytes."""
    before, after = disk_bytes(record.measurements)
    name = size_name(share, words)
    sizes = {"before": formats.file_size(before), "after": formats.file_size(after)}
    pace = next((pace for pace in paces(record.measurements) if pace.name == "decode"), None)
    return Plain(
        name=name,
        size=words("present.size", name=_capital(name), **sizes),
        answers=_answers(record, words),
        speed=_speed(pace, words),
        share=share,
        same=same_answers(record),
        pace=pace.ratio if pace else None,
        imitated=pace is not None and pace.compressed.kernel == "simulated",
        bytes=sizes["after"],
    )


def untouched(record: RunSummary, words: Words) -> Plain:
    """The baseline of a run, as the first stop of the slider."""
    before, _ = disk_bytes(record.measurements)
    whole = formats.file_size(before)
    said = {part: words(f"present.baseline.{part}", size=whole) for part in ("size", "answers")}
    pace = 1.0 if paces(record.measurements) else None
    speed = words("present.baseline.speed")
    return Plain(words("present.baseline.name"), said["size"], said["answers"], speed, 1.0, 100, pace, False, whole)


def size_name(share: float, words: Words) -> str:
    """A half, a third, ..., or about that; else a percentage."""
    part = round(1 / share)
    off = abs(share * part - 1)
    if not 2 <= part <= LARGEST_PART or off > NEARLY:
        return words("present.share", percent=f"{100 * share:.0f}")
    name = words(f"present.part.{part}")
    return name if off <= EXACTLY else words("present.about", name=name)


def same_answers(record: RunSummary) -> int | None:
    """How many of 100 questions are answered as before; 100 only where all are."""
    flipped = record.find("flipped_answers")
    if flipped is None:
        return None
    return 100 if flipped.value == 0 else max(0, min(99, round(100 * (1 - flipped.value))))


def _answers(record: RunSummary, words: Words) -> str:
    flipped, same = record.find("flipped_answers"), same_answers(record)
    if flipped is not None and same is not None:
        key = "present.answers.all" if same == 100 else "present.answers.some"
        return words(key, same=same, asked=flipped.samples)
    perplexity = record.find("perplexity")
    if perplexity is None or perplexity.change is None:
        return words("present.answers.unknown")
    if perplexity.change <= max(1.0, 2 * (perplexity.change_error or 0.0)):
        return words("present.reads.same")
    return words("present.reads.worse", percent=f"{perplexity.change:.0f}")


def _speed(pace: Pace | None, words: Words) -> str:
    """Nothing is called faster that was not surely so."""
    if pace is None:
        return words("present.speed.unknown")
    imitated = pace.compressed.kernel == "simulated"
    if not same_speed(pace):
        said = words("present.speed.faster" if pace.ratio > 1 else "present.speed.slower", times=_times(pace.ratio))
        return words("present.speed.though", said=said) if imitated else said
    if imitated:
        return words("present.speed.imitated")
    return words("present.speed.same" if clear_speed(pace) else "present.speed.unclear")


def _times(ratio: float) -> str:
    return formats.number(max(ratio, 1 / ratio), 2)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
