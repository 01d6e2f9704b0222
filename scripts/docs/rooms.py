"""The picture of the rooms of core/: who imports whom, drawn from the imports themselves.

Annotations and imports inside functions count. A room stands above all that it imports; a line is drawn where no longer
way goes from one room to the other. Colours follow the page that shows the picture, or else the reader's system.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from graphlib import TopologicalSorter
from html import escape
from itertools import count
from pathlib import Path
from textwrap import shorten, wrap

ROOT = Path(__file__).resolve().parent.parent.parent
NAMES = {"compresslab": ROOT / "core", "compresslab_dashboard": ROOT / "dashboard"}
DASHBOARD = "dashboard"
WIDTH, BOX, HEIGHT, GAP, ROW = 1000, 238, 60, 14, 84
LETTERS = 36  # of a box's text, in a line
STYLE = """
svg { color-scheme: light dark; }
.box { fill: var(--md-code-bg-color, light-dark(#f1eee7, #212428)); stroke: light-dark(#b9b3a6, #55595f); }
.box.torch { stroke: #c94f10; stroke-width: 2; }
.line { stroke: light-dark(#9a958a, #6a6e74); fill: none; }
text { font-family: system-ui, sans-serif; fill: var(--md-default-fg-color, light-dark(#22252a, #e9e6df)); }
.name { font-size: 15px; font-weight: 650; }
.about { font-size: 11px; }
"""
Graph = dict[str, set[str]]


def picture() -> str:
    """An SVG. Raises graphlib.CycleError where rooms import each other in a circle."""
    graph = imports()
    rows = ranks(graph)
    places = {room: place for number, row in enumerate(rows) for room, place in _places(row, number)}
    lines = [_line(places[a], places[b]) for a in graph for b in sorted(shortest(graph)[a])]
    boxes = [_box(room, *places[room]) for row in rows for room in row]
    height = ROW * len(rows) - (ROW - HEIGHT) + 2
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
            'aria-label="The rooms of core: each imports only what stands below it">',
            f"<style>{STYLE}</style>",
            *lines,
            *boxes,
            "</svg>\n",
        ]
    )


def imports() -> Graph:
    """Which room imports which. A room is a folder or a module right below `core`; the dashboard is one."""
    graph: Graph = defaultdict(set)
    for name, folder in NAMES.items():
        for file in sorted(folder.rglob("*.py")):
            own = room_of(".".join([name, *file.relative_to(folder).with_suffix("").parts]))
            if own is not None:
                found = {room_of(target) for target in _imported(file)}
                graph[own] |= {room for room in found if room not in (None, own)}
    return {room: graph[room] for room in sorted(graph)}


def room_of(module: str) -> str | None:
    """None for what is no room: other packages, and the public names at the top."""
    package, *rest = module.split(".")
    if package == "compresslab_dashboard":
        return DASHBOARD
    return rest[0] if package == "compresslab" and rest and not rest[0].startswith("__") else None


def _imported(file: Path) -> list[str]:
    nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    plain = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    parts = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level]
    return plain + [f"{node.module}.{alias.name}" for node in parts for alias in node.names]


def ranks(graph: Graph) -> list[list[str]]:
    """From the top row to the bottom one."""
    depth: dict[str, int] = {}
    for room in TopologicalSorter(graph).static_order():  # what is imported comes first
        depth[room] = 1 + max((depth[below] for below in graph[room]), default=-1)
    return [sorted(room for room in depth if depth[room] == level) for level in range(max(depth.values()), -1, -1)]


def shortest(graph: Graph) -> Graph:
    """Without the imports that another way through the graph makes plain."""
    below: Graph = {}
    for room in TopologicalSorter(graph).static_order():
        below[room] = graph[room].union(*(below[other] for other in graph[room]))
    return {room: {b for b in graph[room] if not any(b in below[other] for other in graph[room])} for room in graph}


def about(room: str) -> str:
    """The first sentence of what the room says of itself, without its full stop and without its name."""
    folder = NAMES["compresslab"] / room if room != DASHBOARD else NAMES["compresslab_dashboard"]
    file = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    text = " ".join((ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").split())
    sentence = re.split(r"[.;] |\.$", text)[0]
    head, _, rest = sentence.partition(": ")
    said = rest if rest and len(head.split()) <= 3 else head
    return said[0].upper() + said[1:]


def _places(row: list[str], number: int) -> list[tuple[str, tuple[float, float]]]:
    """The upper left corner of every box of a row."""
    left = (WIDTH - len(row) * BOX - (len(row) - 1) * GAP) / 2
    return [(room, (left + place * (BOX + GAP), 1 + number * ROW)) for place, room in zip(count(), row, strict=False)]


def _line(upper: tuple[float, float], lower: tuple[float, float]) -> str:
    x1, y1, x2, y2 = upper[0] + BOX / 2, upper[1] + HEIGHT, lower[0] + BOX / 2, lower[1]
    bend = (ROW - HEIGHT) * 0.8
    return f'<path class="line" d="M{x1:g} {y1:g}C{x1:g} {y1 + bend:g} {x2:g} {y2 - bend:g} {x2:g} {y2:g}"/>'


def _box(room: str, x: float, y: float) -> str:
    kind = "box torch" if room == "engine" else "box"
    lines = wrap(shorten(about(room), 2 * LETTERS - 8, placeholder=" …"), LETTERS)
    said = "".join(
        f'<text class="about" x="{x + 10:g}" y="{y + 37 + 14 * n:g}">{escape(line)}</text>'
        for n, line in enumerate(lines)
    )
    return (
        f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{BOX}" height="{HEIGHT}" rx="6"/>'
        f'<text class="name" x="{x + 10:g}" y="{y + 20:g}">{room}</text>{said}'
    )
