"""The report as one self-contained HTML file: it opens offline, its charts move, it prints.

Whatever comes from a model or a user is escaped; the page's own policy forbids every request to anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import compresslab
from compresslab.records.results import RunRecord
from compresslab.store.recorded_answers import RecordedAnswer
from compresslab_dashboard.report import caveats, figures, sections
from compresslab_dashboard.texts import Words
from plotly.offline import get_plotlyjs

# A chart has its width in pixels: on paper that of a column, and before anything is printed.
PRINTING = """
const resize = (width) => document.querySelectorAll(".plotly-graph-div").forEach((chart) =>
  Plotly.relayout(chart, { width: width(chart.closest("figure").matches(".overview")), autosize: true }));
addEventListener("beforeprint", () => resize((wide) => (wide ? 620 : 290)));
addEventListener("afterprint", () => resize(() => null));
"""
HERE = Path(__file__).resolve().parent
STYLES = (
    HERE.parent / "styles" / "style.css",
    HERE / "report.css",
)  # the dashboard's own, then what a sheet of paper needs


def report_html(records: Sequence[RunRecord], answers: Sequence[RecordedAnswer], words: Words) -> str:
    """Of one run, or of several side by side; `answers` are what the store has of their weights and baselines."""
    drawn = figures.charts_of(records, words)
    body = "\n".join(
        [
            sections.head(records, words),
            sections.verdicts(records, words),
            _charts(drawn),
            sections.texts(records, answers, words),
            sections.measurements(records, words),
            sections.recipes(records, words),
            sections.machines(records, words),
            sections.listed(words("report.caveats"), caveats.caveats(records, words)),
            f"<footer>{escape(words('report.foot', version=compresslab.__version__))}</footer>",
        ]
    )
    return _page(sections.title(records, words), body, words.language)


def _charts(drawn: Sequence[figures.Drawn]) -> str:
    """Charts two in a row, an odd one over both columns; each with a text that says what it shows."""
    alone = drawn[-1].name if len(drawn) % 2 and drawn[0].name != "overview" else ""
    each = "".join(_chart(one, "overview" if one.name == alone else one.name) for one in drawn)
    return f'<section class="charts">{each}</section>' if drawn else ""


def _chart(drawn: figures.Drawn, style: str) -> str:
    moving = drawn.figure.to_html(
        full_html=False,
        include_plotlyjs=False,
        div_id=f"chart-{drawn.name}",
        default_height=f"{drawn.height}px",
        config={"displaylogo": False, "modeBarButtonsToRemove": ["toImage"], "responsive": True},
    )
    return (
        f'<figure class="chart {style}"><h3>{escape(drawn.title)}</h3>'
        f'<div class="stPlotlyChart">{moving}</div>'
        f"<figcaption>{escape(drawn.description)}</figcaption></figure>"
    )


def _page(title: str, body: str, language: str) -> str:
    style = "\n".join(path.read_text(encoding="utf-8") for path in STYLES)
    policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
    return f"""<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{style}</style>
<script>{get_plotlyjs()}</script>
</head>
<body class="stApp"><main>
{body}
</main>
<script>{PRINTING}</script>
</body>
</html>
"""


def file_name(run_ids: Sequence[str]) -> str:
    """What a browser calls the file: the runs' ids."""
    return f"compresslab-{'-'.join(run_ids)}.html"
