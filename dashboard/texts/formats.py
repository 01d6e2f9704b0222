"""Numbers for people: bytes, shares, times, rates and errors, in English and Chinese. No Streamlit."""

from __future__ import annotations

import math

from compresslab.records.results import Measurement

UNKNOWN = "–"
THIN = "\u202f"  # narrow no-break space: a number and its unit never part at a line's end
_UNITS: dict[str, dict[str, str]] = {
    "en": {
        "tokens/s": "tokens/s",
        "tokens": "tokens",
        "questions": "questions",
        "rounds": "rounds",
        "examples": "examples",
        "nats/token": "nats/token",
        "s": "s",
        "ms": "ms",
        "min": "min",
        "h": "h",
    },
    "zh": {
        "tokens/s": "词元/秒",
        "tokens": "个词元",
        "questions": "题",
        "rounds": "轮",
        "examples": "例",
        "nats/token": "奈特/词元",
        "s": "秒",
        "ms": "毫秒",
        "min": "分",
        "h": "小时",
    },
}
_PARAMETERS: dict[str, tuple[tuple[str, float], ...]] = {
    "en": (("B", 1e9), ("M", 1e6), ("K", 1e3)),
    "zh": (("亿", 1e8), ("万", 1e4)),
}
_LEFT = {"en": "about {} left", "zh": "约剩 {}"}


def unit(name: str, language: str) -> str:
    """A measurement's unit as it is read; one that has no other name is its own."""
    return _UNITS[language].get(name, name)


def number(value: float, digits: int = 3) -> str:
    """`digits` significant digits, thousands apart, never an exponent below a billion."""
    if not math.isfinite(value):
        return "∞" if value > 0 else UNKNOWN
    if value == 0:
        return "0"
    if abs(value) >= 1e9:
        return f"{value:.2e}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(decimals, 6)}f}"


def with_error(value: float, error: float | None, digits: int = 4) -> str:
    """Value ± one standard error; the error has one or two digits and the value ends where it ends."""
    if error is None or not math.isfinite(error) or not math.isfinite(value):
        return number(value, digits)
    if error == 0:
        return f"{number(value, digits)} ± 0"
    decimals = min(6, max(0, _decimals_of_error(error)))
    return f"{value:,.{decimals}f} ± {error:,.{decimals}f}"


def _decimals_of_error(error: float) -> int:
    """Two digits for an error that begins with 1, else one: 0.13, 0.4."""
    exponent = math.floor(math.log10(error))
    return -exponent + (1 if error / 10**exponent < 2 else 0)


def file_size(count: float) -> str:
    """Decimal units, as disks and downloads are sold."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(count) >= size:
            return f"{number(count / size)}{THIN}{unit}"
    return f"{count:.0f}{THIN}B"


def parameters(count: float, language: str) -> str:
    """As models are named: 260 K, 3.1 M, 1.24 B."""
    name, size = next((each for each in _PARAMETERS[language] if count >= each[1]), _PARAMETERS[language][-1])
    return f"{number(count / size)}{THIN}{name}"


def share(fraction: float, error: float | None = None) -> str:
    """0.913 -> 91.3 %."""
    return f"{with_error(100 * fraction, None if error is None else 100 * error, 3)}{THIN}%"


def change(percent: float, error: float | None = None) -> str:
    """A signed difference in percent: +4.2 ± 0.3 %. A true minus, so that digits align."""
    text = with_error(abs(percent), error, 2)
    sign = "" if percent == 0 else "+" if percent > 0 else "−"
    return f"{sign}{text}{THIN}%"


def spread(low: float, middle: float, high: float) -> tuple[str, str, str]:
    """Signed percentages, all three with as many decimals as the width between the ends is worth."""
    width = high - low
    decimals = min(6, max(0, _decimals_of_error(width))) if 0 < width < math.inf else 1
    return _signed(low, decimals), _signed(middle, decimals), _signed(high, decimals)


def _signed(percent: float, decimals: int) -> str:
    text = f"{abs(percent):,.{decimals}f}"
    sign = "" if not text.strip("0.,") else "+" if percent > 0 else "−"
    return f"{sign}{text}{THIN}%"


def times(ratio: float) -> str:
    """4.1 -> 4.1×."""
    return f"{number(ratio, 2)}×"


def rate(tokens_per_second: float, language: str = "en", error: float | None = None) -> str:
    return f"{with_error(tokens_per_second, error, 3)}{THIN}{_UNITS[language]['tokens/s']}"


def tokens(count: int, language: str = "en") -> str:
    return f"{count:,}{THIN}{_UNITS[language]['tokens']}"


def duration(seconds: float, language: str = "en") -> str:
    """At most two units: 85 ms, 4.2 s, 3 min 20 s, 1 h 5 min."""
    words = _UNITS[language]
    if seconds < 1:
        return f"{number(1000 * seconds, 2)}{THIN}{words['ms']}"
    if seconds < 10:
        return f"{number(seconds, 2)}{THIN}{words['s']}"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}{THIN}{words['s']}"
    if whole < 3600:
        return _two(whole // 60, words["min"], whole % 60, words["s"])
    return _two(whole // 3600, words["h"], whole % 3600 // 60, words["min"])


def _timed(seconds: float, error: float | None, language: str) -> str:
    """A duration with its error, where it is short enough to have one worth telling."""
    if not error or seconds >= 10:
        return duration(seconds, language)
    factor, name = (1000, "ms") if seconds < 1 else (1, "s")
    return f"{with_error(factor * seconds, factor * error)}{THIN}{_UNITS[language][name]}"


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    first = f"{large}{THIN}{large_unit}"
    return f"{first} {small}{THIN}{small_unit}" if small else first


def seconds_left(seconds: float | None, language: str = "en") -> str:
    """Rounded so that it does not flicker; empty while unknown."""
    if seconds is None or not math.isfinite(seconds):
        return ""
    coarse = max(1, round(seconds)) if seconds < 20 else 5 * math.ceil(seconds / 5)
    short = f"{coarse}{THIN}{_UNITS[language]['s']}"
    return _LEFT[language].format(short if coarse < 60 else duration(coarse, language))


def measured(measurement: Measurement, language: str = "en", *, error: bool = True) -> str:
    """A measurement's value as its unit asks for it, with its error where it has one."""
    value, spread = measurement.value, measurement.error if error else None
    if measurement.unit == "bytes":
        return file_size(value)
    if measurement.unit == "fraction":
        return share(value, spread)
    if measurement.unit == "s":
        return _timed(value, spread, language)
    if measurement.unit == "tokens/s":
        return rate(value, language, spread)
    return with_error(value, spread)
