"""The verdict: one sentence that anyone understands, then size, quality and speed, each labelled as what it is.

No Streamlit: the report draws it too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from compresslab.planning.estimate import NO_TABLE, Estimate
from compresslab.planning.prediction import Prediction
from compresslab.records.paces import Pace, paces
from compresslab.records.results import Kernel, Measurement, Stage, find
from compresslab_dashboard.charts.figures import disk_bytes
from compresslab_dashboard.texts import Words, formats

CLEAR = 1.0  # percent of perplexity: a wider error says nothing about quality yet
NOTICEABLE = 0.02  # sizes and speeds closer than this are called the same
STEADY = 0.1  # two standard errors of a speed ratio; a wider one says nothing about speed
Tone = Literal["better", "worse", "same"]


@dataclass(frozen=True)
class Card:
    """One number of the three. `headline` is empty until something is known; then `hint` says how to get it."""

    title: str
    headline: str = ""
    before: str = ""
    after: str = ""
    detail: str = ""
    note: str = ""  # what it was measured on, how the kernel ran
    hint: str = ""
    stage: Stage | None = None
    kernel: Kernel | None = None
    tone: Tone = "same"


@dataclass(frozen=True)
class Verdict:
    sentence: str
    cards: tuple[Card, ...]


def make_verdict(estimate: Estimate | None, measurements: Sequence[Measurement], words: Words) -> Verdict:
    return Verdict(
        _sentence(estimate, measurements, words),
        (
            _size(estimate, measurements, words),
            _quality(estimate, measurements, words),
            _speed(estimate, measurements, words),
        ),
    )


# -- the sentence ----------------------------------------------------------------------------------------------


def _sentence(estimate: Estimate | None, measurements: Sequence[Measurement], words: Words) -> str:
    parts = [
        _size_words(estimate, measurements, words),
        _speed_words(measurements, words),
        _quality_words(estimate, measurements, words),
        _flipped_words(measurements, words),
    ]
    said = [part for part in parts if part]
    if not said:
        return words("verdict.nothing")
    sentence = words("verdict.comma").join(said) + _unmeasured_words(estimate, measurements, words)
    return sentence[0].upper() + sentence[1:] + words("verdict.stop")


def _unmeasured_words(estimate: Estimate | None, measurements: Sequence[Measurement], words: Words) -> str:
    if find(measurements, "perplexity", "compressed") or _answers(measurements):
        return ""
    expected = _expected_words(estimate.predicted if estimate else None, words)
    return words("verdict.unmeasured.expected" if expected else "verdict.unmeasured")


def _size_words(estimate: Estimate | None, measurements: Sequence[Measurement], words: Words) -> str:
    before, after = _bytes(estimate, measurements)
    return _ratio_words(before / after, ("larger", "same_size", "smaller"), words) if before and after else ""


def _speed_words(measurements: Sequence[Measurement], words: Words) -> str:
    pace = _decode(measurements)
    if pace is None:
        return ""
    if same_speed(pace):
        return words("verdict.same_speed" if clear_speed(pace) else "verdict.unclear_speed")
    return _ratio_words(pace.ratio, ("slower", "same_speed", "faster"), words)


def _ratio_words(ratio: float, names: tuple[str, str, str], words: Words) -> str:
    less, same, more = names
    if abs(ratio - 1) < NOTICEABLE:
        return words(f"verdict.{same}")
    name, shown = (more, ratio) if ratio > 1 else (less, 1 / ratio)
    return words(f"verdict.{name}", times=formats.number(shown, 2))


def _quality_words(estimate: Estimate | None, measurements: Sequence[Measurement], words: Words) -> str:
    found = find(measurements, "perplexity", "compressed")
    if found is None:
        answers = _answers(measurements)
        expected = estimate.predicted if estimate else None
        return _answers_words(answers, words) if answers else _expected_words(expected, words)
    if found.change is None:
        return ""
    tone = _tone(found)
    if tone == "same":
        clear = found.change_error is not None and 2 * found.change_error <= CLEAR
        return words("verdict.same_quality" if clear else "verdict.unclear")
    return words(f"verdict.{tone}", percent=formats.number(abs(found.change), 2))


def _answers_words(accuracy: Measurement, words: Words) -> str:
    before = accuracy.value - (accuracy.change or 0.0)
    return words("verdict.right", before=formats.share(before), after=formats.share(accuracy.value))


def _expected_words(predicted: Prediction | None, words: Words) -> str:
    if predicted is None or predicted.perplexity_ratio == 1:
        return ""
    if predicted.high < 1 + CLEAR / 100:
        return words("verdict.expected_same")
    return words("verdict.expected", percent=formats.number(_percent(predicted.perplexity_ratio), 2))


def _percent(ratio: float) -> float:
    return 100 * (ratio - 1)


def _flipped_words(measurements: Sequence[Measurement], words: Words) -> str:
    found = find(measurements, "flipped_answers", "compressed")
    if found is None or not found.samples:
        return ""
    changed = round(found.value * found.samples)
    if not changed:
        return words("verdict.flipped.none", asked=found.samples)
    return words("verdict.flipped", changed=changed, asked=found.samples)


# -- the cards -------------------------------------------------------------------------------------------------


def _size(estimate: Estimate | None, measurements: Sequence[Measurement], words: Words) -> Card:
    title = words("verdict.size")
    before, after = _bytes(estimate, measurements)
    if not before or not after:
        return Card(title, hint=words("verdict.size.hint"))
    found = find(measurements, "size_on_disk_bytes", "compressed")
    return Card(
        title,
        headline=formats.times(before / after),
        before=formats.file_size(before),
        after=formats.file_size(after),
        detail=words("verdict.bits", bits=formats.number(estimate.bits_per_weight, 2)) if estimate else "",
        note=_memory(measurements, words),
        stage=found.stage if found else "estimate",
        tone="same" if abs(before / after - 1) < NOTICEABLE else "better" if before > after else "worse",
    )


def _memory(measurements: Sequence[Measurement], words: Words) -> str:
    """Of the weights, in the runtime that answers; before it was timed, in torch."""
    answering = find(measurements, "runtime_weight_bytes", "compressed")
    if answering is not None:
        return words("verdict.memory", size=formats.file_size(answering.value))
    held = find(measurements, "weight_memory_bytes", "compressed")
    return words("verdict.memory.torch", size=formats.file_size(held.value)) if held else ""


def _quality(estimate: Estimate | None, measurements: Sequence[Measurement], words: Words) -> Card:
    title = words("verdict.quality")
    before = find(measurements, "perplexity", "baseline")
    after = find(measurements, "perplexity", "compressed")
    if after is None or before is None:
        answers = _answers(measurements)
        return _right_answers(answers, words) if answers else _expected(title, estimate, words)
    accuracy = find(measurements, "accuracy", "compressed")
    return Card(
        title,
        headline="" if after.change is None else formats.change(after.change, after.change_error),
        before=formats.with_error(before.value, before.error),
        after=formats.with_error(after.value, after.error),
        detail=_accuracy_words(accuracy, words) if accuracy else "",
        note=words.said(after.dataset),
        stage=after.stage,
        tone=_tone(after),
    )


def _answers(measurements: Sequence[Measurement]) -> Measurement | None:
    """What tells the quality of a model that has no perplexity: a classifier's share of right answers."""
    return find(measurements, "accuracy", "compressed")


def _right_answers(accuracy: Measurement, words: Words) -> Card:
    change, error = accuracy.change or 0.0, accuracy.change_error
    points = formats.change(100 * change, None if error is None else 100 * error)
    return Card(
        words("verdict.quality.answers"),
        headline=words("measure.points", points=points.removesuffix("%").rstrip()),
        before=formats.share(accuracy.value - change),
        after=formats.share(accuracy.value, accuracy.error),
        note=words.said(accuracy.dataset),
        stage=accuracy.stage,
        tone=_tone_of_answers(accuracy),
    )


def _tone_of_answers(accuracy: Measurement) -> Tone:
    change = accuracy.change or 0.0
    if abs(change) <= 2 * (accuracy.change_error or 0.0):
        return "same"
    return "better" if change > 0 else "worse"


def _expected(title: str, estimate: Estimate | None, words: Words) -> Card:
    """Before anything is measured: what the sensitivity table predicts, or why it does not."""
    predicted = estimate.predicted if estimate else None
    if predicted is None:
        note = "" if estimate is None or estimate.why_not == NO_TABLE else words.said(estimate.why_not)
        return Card(title, hint=words("verdict.quality.hint"), note=note)
    ratios = (predicted.low, predicted.perplexity_ratio, predicted.high)
    low, middle, high = formats.spread(*(_percent(ratio) for ratio in ratios))
    return Card(
        title,
        headline=middle,
        after=words("verdict.between", low=low, high=high) if low != high else "",
        detail=words("verdict.extrapolated") if predicted.extrapolated else "",
        note=words.said(predicted.dataset),
        stage="estimate",
        tone="worse" if predicted.low > 1 else "same",
    )


def _accuracy_words(accuracy: Measurement, words: Words) -> str:
    before = accuracy.value - (accuracy.change or 0.0)
    return words("verdict.accuracy", before=formats.share(before), after=formats.share(accuracy.value))


def _speed(estimate: Estimate | None, measurements: Sequence[Measurement], words: Words) -> Card:
    title = words("verdict.speed")
    pace = _decode(measurements)
    if pace is None:
        return _expected_speed(title, estimate, words)
    first = find(measurements, "ttft_seconds", "compressed")
    old, new = pace.baseline, pace.compressed
    return Card(
        title,
        headline=formats.times(pace.ratio) if clear_speed(pace) else _spread(pace),
        before=formats.with_error(old.value, old.error, 3),
        after=formats.rate(new.value, words.language, new.error),
        detail=_gain_words(measurements, words)
        or (words("verdict.ttft", time=formats.duration(first.value, words.language)) if first else ""),
        note=words("verdict.semicolon").join(filter(None, (_kernel_in_short(new, words), words.said(new.note)))),
        stage=new.stage,
        kernel=new.kernel,
        tone="same" if same_speed(pace) else "better" if pace.ratio > 1 else "worse",
    )


def same_speed(pace: Pace) -> bool:
    """Within two standard errors of the baseline: nothing is called faster that was not surely so."""
    return abs(pace.ratio - 1) <= max(NOTICEABLE, 2 * pace.ratio_error)


def clear_speed(pace: Pace) -> bool:
    return not same_speed(pace) or 2 * pace.ratio_error <= STEADY


def _kernel_in_short(timed: Measurement, words: Words) -> str:
    """Runtime and the kernel of most weights; History shows the whole of it."""
    return words("verdict.comma").join(re.split("，|, ", words.said(timed.runtime))[:2])


def _expected_speed(title: str, estimate: Estimate | None, words: Words) -> Card:
    """Before anything is timed: what the bytes that a token reads would allow."""
    hint = words("verdict.speed.hint")
    if estimate is None or estimate.decode_bound < 1 + NOTICEABLE:
        return Card(title, hint=hint)
    bound = words("verdict.at_most", times=formats.times(estimate.decode_bound))
    return Card(title, headline=bound, detail=words("verdict.at_most.detail"), note=hint, stage="estimate")


def _gain_words(measurements: Sequence[Measurement], words: Words) -> str:
    """How much of the speed is the runtime's and how much the weights', where plain torch was timed beside."""
    plain, pace = find(measurements, "torch_decode_tokens_per_second", "baseline"), _decode(measurements)
    if plain is None or pace is None or not plain.value:
        return ""
    return words(
        "verdict.gain",
        whole=formats.times(pace.compressed.value / plain.value),
        runtime=formats.times(pace.baseline.value / plain.value),
        weights=formats.times(pace.ratio),
    )


def _spread(pace: Pace) -> str:
    """From two standard errors below to two above: 0.9–1.3×."""
    low, high = pace.ratio - 2 * pace.ratio_error, pace.ratio + 2 * pace.ratio_error
    return f"{formats.number(max(0.0, low), 2)}–{formats.times(high)}"


def _bytes(estimate: Estimate | None, measurements: Sequence[Measurement]) -> tuple[float, float]:
    before, after = disk_bytes(measurements)
    return (before, after) if before and after else disk_bytes(estimate) if estimate else (0.0, 0.0)


def _decode(measurements: Sequence[Measurement]) -> Pace | None:
    return next((pace for pace in paces(measurements) if pace.name == "decode"), None)


def _tone(perplexity: Measurement) -> Tone:
    """Within two standard errors of the baseline is the same."""
    change = perplexity.change or 0.0
    if abs(change) <= max(0.05, 2 * (perplexity.change_error or 0.0)):
        return "same"
    return "worse" if change > 0 else "better"


# -- as HTML: everything that is not ours is escaped -----------------------------------------------------------


def verdict_html(shown: Verdict, words: Words) -> str:
    """Its height is the same whatever is known (style.css)."""
    cards = "".join(_card_html(card, words) for card in shown.cards)
    return f'<section class="verdict"><h2>{escape(shown.sentence)}</h2><div class="cards">{cards}</div></section>'


def _card_html(card: Card, words: Words) -> str:
    stage = _chip(card.stage, words(f"label.{card.stage}")) if card.stage else ""
    kernel = _chip(card.kernel, words(f"kernel.{card.kernel}")) if card.kernel else ""
    head = f'<header><span class="title">{escape(card.title)}</span>{stage}</header>'
    if not card.headline:
        note = f'<p class="note">{escape(card.note)}</p>'
        return f'<article class="card unknown">{head}<p class="hint">{escape(card.hint)}</p>{note}</article>'
    before = f'<span class="before">{escape(card.before)}</span> → ' if card.before else ""
    arrow = f'{before}<span class="after">{escape(card.after)}</span>'
    return (
        f'<article class="card {card.stage} {card.tone}">{head}'
        f'<div class="headline"><span>{escape(card.headline)}</span>{kernel}</div><p class="arrow">{arrow}</p>'
        f'<p class="detail">{escape(card.detail)}</p>'
        f'<p class="note" title="{escape(card.note)}">{escape(card.note)}</p></article>'
    )


def _chip(kind: str | None, text: str) -> str:
    return f'<span class="chip {escape(kind or "")}">{escape(text)}</span>'
