"""What came of a sweep: how far it is, one sentence, the charts, the chosen point, and what came to nothing."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import replace

import plotly.graph_objects as go
import streamlit as st
from compresslab.errors import CompresslabError
from compresslab.recipes.sweep import Sweep
from compresslab.records.run_row import RunRow
from compresslab.store.sweeps import PointRow, SweepRow
from compresslab_dashboard.components.stream_chart import figure_chart
from compresslab_dashboard.explore import charts, point, sentences
from compresslab_dashboard.explore.axes import scene_axis
from compresslab_dashboard.explore.dots import Dot, known_measures, run_dots, sweep_dots
from compresslab_dashboard.explore.exploring import RUNS, Exploring
from compresslab_dashboard.explore.foreseen import Foreseen
from compresslab_dashboard.explore.form import launch
from compresslab_dashboard.explore.parallel import parallel
from compresslab_dashboard.explore.pareto import pareto
from compresslab_dashboard.explore.readings import Reading, Readings
from compresslab_dashboard.explore.scene import Scene, SceneAxis, dot_text
from compresslab_dashboard.explore.sweep_bar import OPEN, base_of, source_row, status
from compresslab_dashboard.explore.table import points_table
from compresslab_dashboard.jobs import live
from compresslab_dashboard.results.csv_text import csv_bytes
from compresslab_dashboard.session import address, state
from compresslab_dashboard.texts import Words, escaped
from streamlit.delta_generator import DeltaGenerator

CHART_HEIGHT, LINES_HEIGHT, MEASURE_WIDTH, TABLE_HEIGHT = 320, 250, 150, 300  # pixels


@st.cache_resource(show_spinner=False)
def _readings() -> Readings:
    return Readings()


@st.cache_resource(show_spinner=False)
def _foreseen() -> Foreseen:
    return Foreseen(state.workspace().estimate)


def board(ready: Sweep | None) -> None:
    """Polls only while points are under way. An empty one offers to run what is `ready`."""
    session = state.current()
    rows = state.workspace().sweeps.all()
    words = state.words()
    row = _chosen(rows)
    source_row(rows, row, words)
    every = live.SLOW_POLL_SECONDS if row is not None and _changes(row) else None
    if row is None and not state.workspace().sweeps.runs_of(session.recipe.model, limit=1):
        _empty(ready, words)
        return
    st.fragment(_panel, run_every=every, key="board")(row, every is not None, session.recipe.model)


def _chosen(rows: list[SweepRow]) -> SweepRow | None:
    """The sweep that is looked at; the newest where none was chosen."""
    exploring = state.own(Exploring)
    if exploring.source == RUNS or not rows:
        return None
    return next((row for row in rows if row.id == exploring.sweep), rows[0])


def _changes(row: SweepRow) -> bool:
    """By itself: points are under way, or estimates are still to be made."""
    points = state.workspace().sweeps.points(row.id)
    table = _table_of(row)
    return any(p.state in OPEN for p in points) or (table is not None and _foreseen().lacks(points, table))


# -- the panel -------------------------------------------------------------------------------------------------


def _panel(row: SweepRow | None, watched: bool, model: str) -> None:
    words = state.words()
    address.write(state.own(Exploring).params())
    try:
        scene = _runs_scene(model) if row is None else _sweep_scene(row, words)
    except CompresslabError as error:
        st.error(escaped(words.said(error.message)))
        return
    with st.container(key="sweep_status"):
        status(row, scene, words)
    st.html(f'<div class="verdict"><h2>{html.escape(_sentence(scene, words))}</h2></div>')
    _charts(row, scene, words)
    _nothing(scene, words)
    _table(scene, words)
    if watched and row is not None and not _changes(row):
        st.rerun()


def _sweep_scene(row: SweepRow, words: Words) -> Scene:
    sweep, points = Sweep.model_validate(row.spec), state.workspace().sweeps.points(row.id)
    readings = _readings().of((p.run_id for p in points if p.run_id), _fetch)
    axes = tuple(scene_axis(axis, base_of(sweep), words) for axis in sweep.axes)
    return _scene(f"sweep {row.id}", axes, sweep_dots(points, readings, _expected(row, points)))


def _expected(row: SweepRow, points: list[PointRow]) -> dict[int, Reading]:
    """By place; nothing where the model was never measured."""
    table = _table_of(row)
    recipe = state.workspace().sweeps.recipe
    return {} if table is None else _foreseen().of(points, table, lambda place: recipe(row.id, place))


def _table_of(row: SweepRow) -> str | None:
    """Names the sensitivity table that estimates of the sweep are made with."""
    table = state.workspace().sensitivity.find(base_of(Sweep.model_validate(row.spec)))
    return None if table is None else f"{table.model} {table.created}"


def _runs_scene(model: str) -> Scene:
    run_ids = state.workspace().sweeps.runs_of(model)
    return _scene(f"runs of {model}", (), run_dots(run_ids, _readings().of(run_ids, _fetch)))


def _fetch(run_ids: list[str]) -> list[RunRow]:
    return state.workspace().sweeps.rows(run_ids)


def _scene(name: str, axes: tuple[SceneAxis, ...], dots: list[Dot]) -> Scene:
    """With the measures that were chosen, where anything has them; else the first that there are."""
    exploring = state.own(Exploring)
    quality, cost = (
        chosen if chosen in (known := known_measures(dots, about)) or not known else known[0]
        for about, chosen in (("quality", exploring.quality), ("cost", exploring.cost))
    )
    language = state.current().language
    return Scene(f"{name} {quality} {cost} {language}", axes, tuple(dots), quality, cost, exploring.point)


def _empty(ready: Sweep | None, words: Words) -> None:
    with st.container(border=True, key="explore_empty"):
        st.markdown(words("explore.empty"))
        st.caption(words("explore.empty.how"))
        if ready is not None:
            label = words("explore.launch", count=ready.size)
            st.button(label, key="launch_first", type="primary", on_click=launch, args=(ready,))
    address.write(state.own(Exploring).params())


# -- the charts ------------------------------------------------------------------------------------------------


def _sentence(scene: Scene, words: Words) -> str:
    said = sentences.headline(scene, words)
    if scene.placed and any(dot.state in OPEN for dot in scene.dots):
        return words("explore.so_far", sentence=said)
    return said


def _measure(about: str, scene: Scene, words: Words) -> None:
    """Which measure of quality, or of cost, the charts hold against the other."""
    key = f"measure.{about}"
    st.session_state[key] = getattr(scene, about)
    st.selectbox(
        words(f"explore.{about}"),
        options=known_measures(scene.dots, about) or [getattr(scene, about)],
        format_func=lambda name: words(f"explore.measure.{name}"),
        key=key,
        width=MEASURE_WIDTH,
        label_visibility="collapsed",
        on_change=_take_measure,
        args=(about,),
    )


def _take_measure(about: str) -> None:
    setattr(state.own(Exploring), about, st.session_state[f"measure.{about}"])


def _charts(row: SweepRow | None, scene: Scene, words: Words) -> None:
    if not scene.axes:
        with _card("pareto", words, scene, "quality", "cost"):
            _draw("pareto", scene, pareto, sentences.describe_front, words)
        point.point_card(row, scene, words)
        return
    left, right = st.columns(2, gap="small")
    with left, _card("heat", words, scene, "quality"):
        if len(scene.axes) == 1:
            _draw("heat", scene, charts.curve, sentences.describe_quality, words)
        else:
            _draw("heat", _few_panels(scene, words), charts.heat_map, sentences.describe_quality, words)
    with right, _card("pareto", words, scene, "cost"):
        _draw("pareto", scene, pareto, sentences.describe_front, words)
    point.point_card(row, scene, words)
    with _card("parallel", words, scene):
        _draw("parallel", scene, parallel, sentences.describe_parallel, words, LINES_HEIGHT)


def _few_panels(scene: Scene, words: Words) -> Scene:
    """A third setting with many values is drawn one value at a time."""
    if len(scene.axes) < 3 or len(scene.axes[2].values) <= charts.MOST_PANELS:
        return scene
    axis, exploring = scene.axes[2], state.own(Exploring)
    chosen = exploring.panel if exploring.panel in axis.values else axis.values[0]
    st.session_state["panel"] = chosen
    st.selectbox(
        axis.label,
        options=axis.values,
        format_func=axis.text,
        key="panel",
        on_change=lambda: setattr(exploring, "panel", st.session_state["panel"]),
    )
    return replace(scene.where(2, chosen), name=f"{scene.name} {chosen}")


def _card(name: str, words: Words, scene: Scene, *measures: str) -> DeltaGenerator:
    """A frame with a name, and at its right the measures that the chart takes."""
    card = st.container(border=True, key=f"chart_{name}")
    with card.container(horizontal=True, vertical_alignment="center", key=f"{name}_head"):
        st.markdown(f"**{words(f'explore.chart.{name}')}**", help=words(f"explore.chart.{name}.help"), width="stretch")
        for about in measures:
            _measure(about, scene, words)
    return card


def _draw(
    name: str,
    scene: Scene,
    draw: Callable[[Scene, Words], go.Figure],
    describe: Callable[[Scene, Words], str],
    words: Words,
    height: int = CHART_HEIGHT,
) -> None:
    ready = (name == "heat" and bool(scene.dots)) or bool(scene.placed)
    ready = ready or (name == "pareto" and scene.cost == "size" and bool(scene.foreseen))
    figure_chart(
        f"{name}_chart",
        draw(scene, words) if ready else None,
        description=describe(scene, words),
        empty=words(f"explore.empty.{name}"),
        height=height,
        on_pick=_pick,
    )


def _pick(name: str) -> None:
    state.own(Exploring).point = name


# -- what came to nothing --------------------------------------------------------------------------------------


def _nothing(scene: Scene, words: Words) -> None:
    """Failed, stopped and set aside, each with its reason."""
    said = [dot for dot in scene.dots if dot.said]
    if not said:
        return
    with st.expander(words("explore.nothing", count=len(said)), key="came_to_nothing"):
        for dot in said:
            shown = words("explore.nothing.point", point=dot_text(dot, scene.axes, words), reason=words.said(dot.said))
            state_of = "failed" if dot.state == "done" else dot.state
            st.caption(escaped(f"{words(f'explore.state.{state_of}')}: {shown}"))


def _table(scene: Scene, words: Words) -> None:
    """The same points for the keyboard, for a screen reader and for other programs."""
    with st.expander(words("explore.table"), key="points_table"):
        table = points_table(scene, words)
        names = [dot.name for dot in scene.dots]
        st.dataframe(
            table,
            key="points",
            hide_index=True,
            height=TABLE_HEIGHT,
            on_select=lambda: _take_row(names),
            selection_mode="single-row",
        )
        st.download_button(words("explore.csv"), lambda: csv_bytes(table), file_name="explore.csv", mime="text/csv")


def _take_row(names: list[str]) -> None:
    rows = st.session_state["points"].selection.rows
    if rows:
        _pick(names[rows[0]])
