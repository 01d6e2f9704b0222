"""What the charts of the page say, in words: the sentence on top, and a text for each chart. No Streamlit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from compresslab_dashboard.explore.dots import Dot, measured
from compresslab_dashboard.explore.readings import MEASURES
from compresslab_dashboard.explore.scene import Scene, dot_text, number_text, told
from compresslab_dashboard.texts import Words

WITHIN = {"perplexity": 0.05, "accuracy": 0.02, "flipped": 0.05}  # of the baseline's: what the best point may lose


def headline(scene: Scene, words: Words) -> str:
    """The smallest, or fastest, point whose quality is hardly worse than the baseline's."""
    dots = scene.placed
    if not dots:
        return words("explore.nothing_measured")
    good = [dot for dot in dots if _loss(dot, scene.quality) <= WITHIN[scene.quality]]
    about = {"limit": words(f"explore.limit.{scene.quality}", within=f"{100 * WITHIN[scene.quality]:g}")}
    if not good:
        closest = min(dots, key=lambda dot: _loss(dot, scene.quality))
        return words("explore.none_within", **about, **_told(closest, scene, words))
    sign = 1 if MEASURES[scene.cost].better == "lower" else -1
    best = min(good, key=lambda dot: (sign * _value(dot, scene.cost), _loss(dot, scene.quality)))
    return words(f"explore.best.{scene.cost}", **about, **_told(best, scene, words))


def _told(dot: Dot, scene: Scene, words: Words) -> dict[str, str]:
    value = number_text(scene.quality, dot.number(scene.quality), words)
    return {
        "point": dot_text(dot, scene.axes, words),
        "quality": words(f"explore.said.{scene.quality}", value=value),
        "cost": told(dot, scene.cost, words),
    }


def _value(dot: Dot, measure: str) -> float:
    number = dot.number(measure)
    assert number is not None and dot.reading is not None
    return number[0]


def _loss(dot: Dot, quality: str) -> float:
    """How much worse than the baseline, in the measure's own unit."""
    assert dot.reading is not None
    worse = _value(dot, quality) - dot.reading.baseline.get(quality, _value(dot, quality))
    return worse if MEASURES[quality].better == "lower" else -worse


def describe_quality(scene: Scene, words: Words) -> str:
    """Of the heat map, or the curve: how much is measured, the best and the worst."""
    dots = measured(scene.dots, scene.quality)
    if not dots:
        return words("explore.empty.heat")
    ranked = sorted(dots, key=lambda dot: _loss(dot, scene.quality))
    best, worst = (
        f"{dot_text(dot, scene.axes, words)} ({number_text(scene.quality, dot.number(scene.quality), words)})"
        for dot in (ranked[0], ranked[-1])
    )
    about = {"measure": words(f"explore.measure.{scene.quality}"), "settings": _settings(scene, words)}
    return words("explore.describe.heat", **about, done=len(dots), all=len(scene.dots), best=best, worst=worst)


def describe_front(scene: Scene, words: Words) -> str:
    placed = scene.placed
    if not placed:
        return words("explore.empty.pareto")
    names = scene.front
    sign = 1 if MEASURES[scene.cost].better == "lower" else -1
    along = sorted((dot for dot in placed if dot.name in names), key=lambda dot: sign * _value(dot, scene.cost))
    ends = [f"{dot_text(dot, scene.axes, words)} ({_both(dot, scene, words)})" for dot in (along[0], along[-1])]
    about = {name: words(f"explore.measure.{getattr(scene, name)}") for name in ("cost", "quality")}
    return words("explore.describe.pareto", **about, all=len(placed), front=len(along), first=ends[0], last=ends[1])


def _both(dot: Dot, scene: Scene, words: Words) -> str:
    return ", ".join(number_text(m, dot.number(m), words) for m in (scene.cost, scene.quality))


def describe_parallel(scene: Scene, words: Words) -> str:
    if not scene.placed:
        return words("explore.empty.parallel")
    return words("explore.describe.parallel", settings=_settings(scene, words), count=len(scene.placed))


def _settings(scene: Scene, words: Words) -> str:
    return words("explore.and").join(axis.label for axis in scene.axes)


def count_text(dots: Sequence[Dot], words: Words) -> str:
    """ "12 points: 9 measured, 1 running, 2 set aside"."""
    states = Counter(dot.state for dot in dots)
    parts = [words(f"explore.count.{state}", count=count) for state, count in states.items()]
    return words("explore.count", all=len(dots), parts=words("explore.and").join(parts))
