"""Numbers as people read them."""

import math

import pytest
from compresslab.records.results import Measurement
from compresslab_dashboard.texts import formats
from compresslab_dashboard.texts.formats import THIN


def tidy(text: str) -> str:
    return text.replace(THIN, " ")


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(0, 3, "0"), (4.1131, 3, "4.11"), (1234.5, 3, "1,234"), (0.01234, 2, "0.012"), (3.2e12, 3, "3.20e+12")],
)
def test_number_keeps_significant_digits(value: float, digits: int, text: str) -> None:
    assert formats.number(value, digits) == text


def test_number_without_an_end() -> None:
    assert formats.number(math.inf) == "∞"
    assert formats.number(math.nan) == formats.UNKNOWN


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (4.3712, 0.0612, "4.37 ± 0.06"),
        (4.3712, 0.0131, "4.371 ± 0.013"),
        (604.2, 6.1, "604 ± 6"),
        (12345.6, 210.0, "12,346 ± 210"),
        (4.37123, None, "4.371"),
        (1.0, 0.0, "1.000 ± 0"),
        (2.0, math.inf, "2.000"),
    ],
)
def test_the_error_decides_how_many_digits_are_shown(value: float, error: float | None, text: str) -> None:
    assert formats.with_error(value, error) == text


def test_sizes_are_decimal() -> None:
    assert [tidy(formats.file_size(n)) for n in (12, 1_500, 15_230_000, 2.5e9)] == [
        "12 B",
        "1.50 kB",
        "15.2 MB",
        "2.50 GB",
    ]


def test_changes_carry_their_sign() -> None:
    assert tidy(formats.change(6.21, 0.31)) == "+6.2 ± 0.3 %"
    assert tidy(formats.change(-0.52, None)) == "−0.52 %"
    assert tidy(formats.change(0.0, None)) == "0 %"


def test_shares_are_percent() -> None:
    assert tidy(formats.share(0.913)) == "91.3 %"
    assert tidy(formats.share(0.902, 0.015)) == "90.2 ± 1.5 %"


@pytest.mark.parametrize(
    ("seconds", "english", "chinese"),
    [
        (0.0852, "85 ms", "85 毫秒"),
        (4.21, "4.2 s", "4.2 秒"),
        (42.4, "42 s", "42 秒"),
        (200, "3 min 20 s", "3 分 20 秒"),
        (180, "3 min", "3 分"),
        (3900, "1 h 5 min", "1 小时 5 分"),
    ],
)
def test_durations(seconds: float, english: str, chinese: str) -> None:
    assert tidy(formats.duration(seconds)) == english
    assert tidy(formats.duration(seconds, "zh")) == chinese


def test_time_left_is_rounded_up_in_steps_and_silent_while_unknown() -> None:
    assert formats.seconds_left(None) == formats.seconds_left(math.inf) == ""
    assert tidy(formats.seconds_left(0.2)) == "about 1 s left"
    assert tidy(formats.seconds_left(31.0)) == "about 35 s left"
    assert tidy(formats.seconds_left(119.0, "zh")) == "约剩 2 分"


@pytest.mark.parametrize(
    ("unit", "value", "error", "text"),
    [
        ("bytes", 2.81e6, None, "2.81 MB"),
        ("fraction", 0.5, 0.02, "50 ± 2 %"),
        ("s", 0.0212, 0.001, "21.2 ± 1.0 ms"),
        ("s", 2.5, 0.03, "2.50 ± 0.03 s"),
        ("s", 75.0, 0.5, "1 min 15 s"),
        ("tokens/s", 604.0, 6.0, "604 ± 6 tokens/s"),
        ("perplexity", 4.371, 0.061, "4.37 ± 0.06"),
    ],
)
def test_a_measurement_is_shown_as_its_unit_asks(unit: str, value: float, error: float | None, text: str) -> None:
    measurement = Measurement(metric="any", variant="baseline", value=value, unit=unit, error=error)
    assert tidy(formats.measured(measurement)) == text


def test_parameters_are_counted_as_each_language_counts() -> None:
    counts = (260_000, 3_640_000, 1_240_000_000)
    assert [tidy(formats.parameters(count, "en")) for count in counts] == ["260 K", "3.64 M", "1.24 B"]
    assert [tidy(formats.parameters(count, "zh")) for count in counts] == ["26.0 万", "364 万", "12.4 亿"]


def test_every_unit_of_a_sample_has_its_chinese() -> None:
    for unit in ("tokens", "questions", "examples", "rounds", "nats/token"):
        assert formats.unit(unit, "zh") != unit
