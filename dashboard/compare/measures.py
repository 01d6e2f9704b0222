"""All measurements side by side, with their errors; the best is named only where the errors part. No Streamlit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import pandas as pd
from compresslab.records.results import Measurement
from compresslab.records.wilson import NORMAL_95
from compresslab_dashboard.compare.members import Member, unlike
from compresslab_dashboard.results.tables import change_text
from compresslab_dashboard.texts import Words, formats

TIMED = ("s", "tokens/s")  # units that say something of a machine too


@dataclass(frozen=True)
class Row:
    """One metric: a measurement a member, None where it was not measured; the place of the best, if there is one."""

    metric: str
    cells: tuple[Measurement | None, ...]
    best: int | None
    comparable: bool  # measured on the same data, and timed on the same machine


def rows_of(members: Sequence[Member]) -> list[Row]:
    metrics = dict.fromkeys(
        m.metric for member in members if member.record for m in member.record.measurements if member.find(m.metric)
    )
    return [_row(metric, members) for metric in metrics]


def _row(metric: str, members: Sequence[Member]) -> Row:
    cells = tuple(member.find(metric) for member in members)
    alike = len({_measured_on(member, cell) for member, cell in zip(members, cells, strict=True) if cell}) == 1
    return Row(metric, cells, _best(members, cells) if alike else None, alike)


def _measured_on(member: Member, cell: Measurement) -> tuple[object, ...]:
    machine = member.record.hardware.device_name if member.record and cell.unit in TIMED else ""
    return cell.unit, cell.dataset, cell.samples if cell.dataset else 0, machine


def _best(members: Sequence[Member], cells: Sequence[Measurement | None]) -> int | None:
    """The place whose 95 % interval lies apart from all others'."""
    known = [(place, cell) for place, cell in enumerate(cells) if cell is not None]
    direction = known[0][1].direction if known else "neutral"
    if direction == "neutral" or len(known) < 2:
        return None
    sign = 1 if direction == "higher" else -1
    ends = _intervals(members, known)
    place, (low, high) = max(ends.items(), key=lambda entry: sign * sum(entry[1]))
    worst = low if sign > 0 else high
    others = [other[1] if sign > 0 else other[0] for at, other in ends.items() if at != place]
    return place if all(sign * worst > sign * other for other in others) else None


def _intervals(members: Sequence[Member], known: Sequence[tuple[int, Measurement]]) -> dict[int, tuple[float, float]]:
    """Of the changes to one baseline, where all are: paired on the same tokens, so that their errors are small."""
    hashes = {member.record.baseline_hash for member in members if member.record}
    units = {cell.change_unit for place, cell in known if members[place].variant == "compressed"}
    paired = len(hashes) == len(units) == 1 and all(
        cell.change is not None for place, cell in known if members[place].variant == "compressed"
    )
    found = {}
    for place, cell in known:
        value, error = (cell.change or 0.0, cell.change_error) if paired else (cell.value, cell.error)
        half = NORMAL_95 * (error or 0.0)
        found[place] = (value - half, value + half)
    return found


# -- as HTML, everything in it escaped -------------------------------------------------------------------------


def table_html(members: Sequence[Member], rows: Sequence[Row], words: Words) -> str:
    heads = "".join(
        f'<th scope="col"><i style="background:{member.color}"></i>{escape(member.name)}</th>' for member in members
    )
    body = "".join(_row_html(members, row, words) for row in rows)
    return (
        f'<div class="compare-table" role="region" tabindex="0" aria-label="{escape(words("compare.view.numbers"))}">'
        f'<table><thead><tr><th scope="col">{escape(words("measure.metric"))}</th>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _row_html(members: Sequence[Member], row: Row, words: Words) -> str:
    shown = next(cell for cell in row.cells if cell is not None)
    about = " · ".join(
        part
        for part in (
            words.said(shown.dataset or "") if row.comparable else words("compare.not_alike"),
            words.known(f"compare.{shown.direction}", ""),
        )
        if part
    )
    name = words.measurement(row.metric)
    scale = _scale(row)
    cells = "".join(
        _cell_html(cell, member, place == row.best, scale, words)
        for place, (member, cell) in enumerate(zip(members, row.cells, strict=True))
    )
    return f'<tr><th scope="row">{escape(name)}<small>{escape(about)}</small></th>{cells}</tr>'


def _scale(row: Row) -> tuple[float, float]:
    """Both ends of all error bars; no room between them where there is nothing to stand beside."""
    ends = [end for cell in row.cells if cell for end in _ends(cell)]
    if sum(cell is not None for cell in row.cells) < 2:
        return 0.0, 0.0
    return min(ends), max(ends)


def _ends(cell: Measurement) -> tuple[float, float]:
    half = NORMAL_95 * (cell.error or 0.0)
    return cell.value - half, cell.value + half


def _cell_html(cell: Measurement | None, member: Member, best: bool, scale: tuple[float, float], words: Words) -> str:
    if cell is None:
        return f'<td class="none">{formats.UNKNOWN}</td>'
    value = escape(formats.measured(cell, words.language))
    mark = f'<b class="best">{escape(words("compare.best"))}</b>' if best else ""
    kernel = f'<span class="chip {cell.kernel}">{escape(words(f"kernel.{cell.kernel}"))}</span>' if cell.kernel else ""
    change = escape(change_text(cell, words))
    return (
        f'<td class="{"is-best" if best else ""}"><span class="value">{value}{mark}</span>'
        f"{_whisker(cell, member.color, scale)}<small>{kernel}{change}</small></td>"
    )


def _whisker(cell: Measurement, color: str, scale: tuple[float, float]) -> str:
    """Where the value lies among the others, and its 95 % interval; the same scale along the row."""
    width = scale[1] - scale[0]
    if width <= 0:
        return '<i class="whisker"></i>'
    low, high = ((end - scale[0]) / width for end in _ends(cell))
    at = (cell.value - scale[0]) / width
    return (
        f'<i class="whisker"><u style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%;background:{color}"></u>'
        f'<s style="left:{100 * at:.1f}%;background:{color}"></s></i>'
    )


def numbers_frame(members: Sequence[Member], rows: Sequence[Row], words: Words) -> pd.DataFrame:
    """For a file: numbers in their own units."""
    found = []
    names = unlike([member.name for member in members])
    for row in rows:
        shown = next(cell for cell in row.cells if cell is not None)
        line: dict[str, object] = {"metric": row.metric, "unit": shown.unit, "measured on": shown.dataset or ""}
        for place, (name, cell) in enumerate(zip(names, row.cells, strict=True)):
            line[name] = None if cell is None else cell.value
            line[f"{name} ±"] = None if cell is None else cell.error
            if place == row.best:
                line["best"] = name
        found.append(line)
    return pd.DataFrame(found)
