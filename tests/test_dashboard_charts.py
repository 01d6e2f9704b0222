"""Charts, the verdict and what travels to the browser: from measurements to what is drawn, without a page."""

import math
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from compresslab.planning.estimate import Estimate
from compresslab.records.results import Hardware, LossPoint, Measurement, RunRecord
from compresslab.records.run_row import RunRow
from compresslab_dashboard.charts import figures, style
from compresslab_dashboard.components import static, window
from compresslab_dashboard.results.verdict import make_verdict, verdict_html
from compresslab_dashboard.session.job_view import DraftPoint
from compresslab_dashboard.texts import LANGUAGES, Words, words_of
from starlette.applications import Starlette
from starlette.testclient import TestClient

ROOT = Path(__file__).resolve().parent.parent
WORDS = words_of("en")
EVIL = "<img src=x onerror=alert(1)>"


def measurement(metric: str, variant: str, value: float, unit: str = "", **fields: object) -> Measurement:
    return Measurement.model_validate({"metric": metric, "variant": variant, "value": value, "unit": unit} | fields)


def perplexity(
    change: float, error: float | None = 0.5, samples: int = 1024, stage: str = "draft"
) -> list[Measurement]:
    about = {"unit": "perplexity", "samples": samples, "stage": stage, "dataset": "stories, context 256", "error": 0.05}
    paired = {"change": change, "change_error": error, "change_unit": "%"}
    return [
        measurement("perplexity", "baseline", 4.0, **about),
        measurement("perplexity", "compressed", 4.0 * (1 + change / 100), **about, **paired),
    ]


def speeds(factor: float = 2.0, kernel: str = "real") -> list[Measurement]:
    rows = []
    for variant, times, ran in (("baseline", 1.0, "real"), ("compressed", factor, kernel)):
        about = {"kernel": ran, "error": 3.0}
        rows += [
            measurement("decode_tokens_per_second", variant, 300 * times, "tokens/s", direction="higher", **about),
            measurement("prefill_tokens_per_second", variant, 6000 * times, "tokens/s", direction="higher", **about),
            measurement("ttft_seconds", variant, 0.02 / times, "s", direction="lower", kernel=ran, error=0.001),
        ]
    return rows


def accuracies() -> list[Measurement]:
    about = {"unit": "fraction", "samples": 400}
    return [
        measurement("accuracy", "baseline", 0.95, by_kind={"colour": 1.0, "count": 0.9, EVIL: 0.8}, **about),
        measurement(
            "accuracy", "compressed", 0.9, by_kind={"colour": 0.7, "count": 0.9, EVIL: 0.8}, change=-0.05, **about
        ),
        measurement("flipped_answers", "compressed", 0.085, **about),
    ]


def sizes() -> list[Measurement]:
    return [
        measurement("size_on_disk_bytes", "baseline", 16e6, "bytes"),
        measurement("size_on_disk_bytes", "compressed", 4e6, "bytes"),
    ]


def estimate() -> Estimate:
    return Estimate(16_000_000, 4_000_000, True, 4_000_000, 0.0, 8.0, 1)


def record(run_id: str, model: str, measurements: list[Measurement]) -> RunRecord:
    hardware = Hardware(
        device="cpu",
        device_name="",
        device_reason="",
        dtype="",
        dtype_reason="",
        threads=1,
        memory_bytes=1,
        versions={},
    )
    return RunRecord(
        run_id=run_id,
        recipe={},
        recipe_hash="",
        model=model,
        created="2026-01-01T00:00:00+00:00",
        seconds=1,
        stages={},
        baseline_hash="",
        compressed_hash="",
        hardware=hardware,
        measurements=measurements,
    )


# -- charts that stream ----------------------------------------------------------------------------------------


def test_quality_streams_the_paired_change_over_tokens_seen() -> None:
    drafts = [DraftPoint(256, perplexity(9.0, None)), DraftPoint(512, perplexity(6.0, 1.25))]
    chart = figures.quality_stream(drafts, [], WORDS, stream="7", total=2048)
    (line,) = chart.lines
    assert (line.x, line.y, line.error) == ((256, 512), (9.0, 6.0), (None, 1.25))
    assert line.light and chart.reference == 0 and chart.x_end == 2048
    assert "+6.0" in chart.description


def test_quality_ends_solid_on_the_final_number() -> None:
    final = perplexity(5.0, 0.2, samples=4096, stage="final")
    (line,) = figures.quality_stream([DraftPoint(512, perplexity(6.0))], final, WORDS).lines
    assert (line.x, line.y, line.light) == ((512, 4096), (6.0, 5.0), False)


def test_a_stored_run_shows_its_final_number_without_drafts() -> None:
    (line,) = figures.quality_stream([], perplexity(5.0, samples=4096, stage="final"), WORDS).lines
    assert line.y == (5.0,)


def test_a_ruined_model_still_has_a_finite_drawing() -> None:
    (line,) = figures.quality_stream([DraftPoint(256, perplexity(1e300))], [], WORDS).lines
    assert all(math.isfinite(y) for y in line.y)


def test_only_the_rest_travels_and_keeps_its_place() -> None:
    losses = [LossPoint(step=i, loss=1 / i) for i in range(1, 101)]
    whole = figures.loss_stream(losses, WORDS, total=200)
    rest = whole.since([90]).lines[0]
    assert (rest.start, rest.x) == (90, whole.lines[0].x[90:])
    assert "100" in whole.description


def test_before_anything_is_measured_the_charts_say_how_to_fill_them() -> None:
    assert figures.quality_stream([], [], WORDS).description == WORDS("chart.quality.empty")
    assert figures.loss_stream([], WORDS).description == WORDS("chart.loss.empty")


# -- finished charts -------------------------------------------------------------------------------------------


def test_longer_is_faster_also_for_the_time_to_first_token() -> None:
    assert [pace.ratio for pace in figures.paces(speeds(2.0))] == [2.0, 2.0, 2.0]
    figure = figures.speed_chart(speeds(2.0), WORDS)
    compressed, baseline = figure.data
    assert list(compressed.x) == [2.0] * 3 and list(baseline.x) == [1.0] * 3
    assert [text.strip() for text in compressed.text] == ["10.0", "12,000", "600"]  # ms, tokens/s, tokens/s
    assert compressed.error_x.array[-1] == pytest.approx(2.0 * 3 / 600)


@pytest.mark.parametrize(("kernel", "hatched"), [("real", False), ("simulated", True)])
def test_a_simulated_kernel_is_hatched_and_said(kernel: str, hatched: bool) -> None:
    figure = figures.speed_chart(speeds(0.9, kernel), WORDS)
    assert bool(figure.data[0].marker.pattern.shape) is hatched
    assert (WORDS("kernel.simulated") in figure.layout.title.text) is hatched


def test_an_estimate_is_an_outline_and_a_written_size_is_solid() -> None:
    transparent = "rgba(0,0,0,0)"
    assert figures.size_chart(estimate(), WORDS).data[0].marker.color == transparent
    assert figures.size_chart(sizes(), WORDS).data[0].marker.color == style.COMPRESSED
    assert "16.0" in figures.describe_size(sizes(), WORDS)


def test_kinds_name_the_one_that_lost_most_and_show_every_name_as_it_is() -> None:
    figure = figures.accuracy_by_kind_chart(accuracies(), WORDS)
    assert "colour" in figures.describe_kinds(accuracies(), WORDS)
    assert all("<" not in text for text in figure.layout.yaxis.ticktext)
    assert list(figure.layout.yaxis.tickvals)[-1] == "colour"  # drawn upwards: the largest loss on top


def test_history_holds_a_point_for_every_measured_run() -> None:
    runs = [record(f"r{i}", "a" if i % 2 else EVIL, perplexity(10.0, stage="final") + sizes()) for i in range(5)]
    figure = figures.history_scatter([RunRow.of(run) for run in (*runs, record("bare", "a", []))], WORDS)
    assert sorted(run for trace in figure.data for run in trace.customdata) == [f"r{i}" for i in range(5)]
    assert figure.data[0].x[0] == 25.0 and figure.data[0].y[0] == pytest.approx(1.1)
    assert figure.data[0].marker.symbol != figure.data[1].marker.symbol
    assert all("<" not in trace.name for trace in figure.data)


def test_charts_of_nothing_are_drawn_too() -> None:
    for figure in (
        figures.speed_chart([], WORDS),
        figures.accuracy_by_kind_chart([], WORDS),
        figures.size_chart([], WORDS),
        figures.history_scatter([], WORDS),
    ):
        assert figure.to_json()


# -- the verdict -----------------------------------------------------------------------------------------------


def everything() -> list[Measurement]:
    return perplexity(6.2, 0.3, stage="final") + speeds(1.9) + accuracies() + sizes()


def test_the_sentence_says_all_four_in_plain_words() -> None:
    sentence = make_verdict(None, everything(), WORDS).sentence
    for part in ("4.0 times smaller", "1.9 times", "6.2 %", "34 of 400"):
        assert part in sentence


def test_an_estimate_claims_nothing_that_was_not_measured() -> None:
    verdict = make_verdict(estimate(), [], WORDS)
    size, quality, speed = verdict.cards
    assert size.stage == "estimate" and size.headline == "4.0×"
    assert not quality.headline and not speed.headline and quality.hint and speed.hint
    assert verdict.sentence.endswith(WORDS("verdict.unmeasured") + WORDS("verdict.stop"))


def test_within_its_error_quality_is_the_same() -> None:
    assert WORDS("verdict.same_quality") in make_verdict(estimate(), perplexity(0.4, 0.3), WORDS).sentence
    assert WORDS("verdict.unclear") in make_verdict(estimate(), perplexity(0.6, 0.55), WORDS).sentence
    assert WORDS("verdict.unclear") in make_verdict(estimate(), perplexity(0.0, None), WORDS).sentence
    assert make_verdict(None, perplexity(0.4, 0.1), WORDS).cards[1].tone == "worse"


@pytest.mark.parametrize(("error", "said"), [(0.02, "verdict.same_speed"), (0.5, "verdict.unclear_speed")])
def test_nothing_is_called_faster_within_its_error(error: float, said: str) -> None:
    unsure = [m.model_copy(update={"error": m.value * error}) for m in speeds(1.03)]
    verdict = make_verdict(None, unsure, WORDS)
    assert WORDS(said) in verdict.sentence.lower()
    assert verdict.cards[2].tone == "same"


def test_slower_is_called_slower() -> None:
    verdict = make_verdict(None, speeds(0.5, "simulated"), WORDS)
    assert WORDS("verdict.slower", times="2.0") in verdict.sentence.lower()
    assert verdict.cards[2].kernel == "simulated" and verdict.cards[2].tone == "worse"


def test_the_gain_is_split_into_runtime_and_weights() -> None:
    plain = measurement("torch_decode_tokens_per_second", "baseline", 150.0, "tokens/s", direction="higher")
    timed = [m.model_copy(update={"runtime": "onnxruntime, int4 group 64, int8 activations"}) for m in speeds(4.0)]
    card = make_verdict(None, [*timed, plain], WORDS).cards[2]
    assert card.detail == WORDS("verdict.gain", whole="8.0×", runtime="2.0×", weights="4.0×")
    assert card.note.startswith("onnxruntime, int4 group 64") and "activations" not in card.note


def test_before_any_timing_the_bytes_of_a_token_bound_the_speed() -> None:
    card = make_verdict(replace(estimate(), decode_bound=4.3), [], WORDS).cards[2]
    assert (card.stage, card.headline) == ("estimate", "≤ 4.3×")
    assert make_verdict(estimate(), [], WORDS).cards[2].hint == WORDS("verdict.speed.hint")


def test_whatever_comes_from_outside_is_escaped() -> None:
    hostile = [m.model_copy(update={"dataset": EVIL, "note": EVIL, "runtime": EVIL}) for m in everything()]
    assert "<img" not in verdict_html(make_verdict(None, hostile, WORDS), WORDS)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_is_there(language: str) -> None:
    words: Words = words_of(language)
    for kernel in ("real", "simulated"):
        for measured in ([], everything(), perplexity(-4.0), speeds(0.5, kernel), speeds(1.0)):
            verdict_html(make_verdict(estimate(), measured, words), words)
            figures.describe_speed(measured, words)
            figures.speed_chart(measured, words)
    figures.describe_history([], words)
    figures.accuracy_by_kind_chart(accuracies(), words)


# -- one grammar of colours, and what is served ----------------------------------------------------------------


def test_style_sheets_and_scripts_use_the_colours_of_the_charts() -> None:
    for name in ("styles/style.css", "components/text_panes.css"):
        text = (ROOT / "dashboard" / name).read_text(encoding="utf-8")
        assert style.BASELINE in text and style.COMPRESSED in text


def luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def theme_colors(section: str) -> dict[str, str]:
    text = (ROOT / "dashboard" / ".streamlit" / "config.toml").read_text(encoding="utf-8")
    block = text.split(f"[{section}]")[1].split("\n[")[0]
    return dict(re.findall(r'^(\w+) = "(#\w{6})"$', block, re.MULTILINE))


@pytest.mark.parametrize("theme", ["theme.light", "theme.dark"])
def test_both_themes_can_be_read(theme: str) -> None:
    colors = theme_colors(theme)
    for color in (style.BASELINE, style.COMPRESSED, *style.FURTHER):
        assert contrast(color, colors["backgroundColor"]) >= 3
    for text in ("textColor", "linkColor"):
        assert contrast(colors[text], colors["backgroundColor"]) >= 4.5
    assert contrast("#FFFFFF", colors["primaryColor"]) >= 4.5  # the label of a primary button


@pytest.mark.parametrize("base", ["", "/lab"])
def test_files_are_served_from_where_they_lie(base: str) -> None:
    visitor = TestClient(Starlette(routes=[static.ROUTE]))
    addresses = [*re.findall(r'"(files/[^"]+)"', static.loader("text_panes")), static.plotly_url()]
    sources = [static.HERE / "text_panes.js", static.HERE / "text_panes.css", static.PLOTLY]
    types = ["text/javascript", "text/css", "text/javascript"]
    for address, source, kind in zip(addresses, sources, types, strict=True):
        answer = visitor.get(f"{base}/{address}")
        assert answer.content == source.read_bytes()
        assert answer.headers["content-type"].split(";")[0] == kind
    assert visitor.get(f"{base}/files/static.py").status_code == 404
    assert visitor.get(f"{base}/files/..%2Fstatic.py").status_code == 404


def test_only_what_the_browser_lacks_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    state: dict[str, object] = {}
    monkeypatch.setattr(window, "st", SimpleNamespace(session_state=state))
    monkeypatch.setattr(window, "_full_run", lambda: False)
    assert window.first_to_send("chart", "job 1", [100]) == [0]
    assert window.first_to_send("chart", "job 1", [110]) == [100 - window.OVERLAP]
    state["chart"] = {"whole": True}  # the browser has a gap
    assert window.first_to_send("chart", "job 1", [120]) == [0]
    state["chart"] = {"whole": None}
    assert window.first_to_send("chart", "job 2", [50]) == [0]
    monkeypatch.setattr(window, "_full_run", lambda: True)
    assert window.first_to_send("chart", "job 2", [60]) == [0]
