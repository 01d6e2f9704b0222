// Draws a StreamChart (dashboard/charts.py) and lets it grow, or a finished figure and lets it change. Never drawn anew.
// Texts go in as textContent or escaped, never as HTML.

const charts = new WeakMap(); // component root -> what it draws
let plotly; // one script tag for the whole page
const STILL = 4; // pixels that a hand moves without meaning to

function loadPlotly(url) {
  plotly ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL(url, document.baseURI).href;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => {
      plotly = undefined; // the next update tries again
      reject(new Error("plotly could not be loaded"));
    };
    document.head.append(script);
  });
  return plotly;
}

function mount(root, css, height) {
  const style = document.createElement("style");
  style.textContent = css;
  const box = document.createElement("div");
  box.className = "stream-chart";
  box.style.height = `${height}px`;
  box.setAttribute("role", "img");
  const plot = document.createElement("div");
  plot.className = "stream-plot";
  const empty = document.createElement("p");
  box.append(plot, empty);
  root.replaceChildren(style, box);
  return { box, plot, empty, stream: null, lines: [], drawn: "", hover: null };
}

// Points by their place in the whole: doubles are dropped. False when some are missing in between.
function take(state, chart) {
  if (state.stream !== chart.stream) Object.assign(state, { stream: chart.stream, lines: [], zoomed: false });
  let whole = true;
  state.lines = chart.lines.map((line, i) => {
    const had = state.lines[i] ?? { x: [], y: [], error: [] };
    const known = line.start === 0 ? 0 : had.x.length;
    whole &&= line.start <= known;
    const from = known - line.start;
    const joined = (name) => (line.start > known ? had[name] : [...had[name].slice(0, known), ...line[name].slice(from)]);
    return { ...line, x: joined("x"), y: joined("y"), error: joined("error") };
  });
  return whole;
}

const tint = (color, alpha) => color + Math.round(255 * alpha).toString(16).padStart(2, "0");
const escape = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

function band(line) {
  const [up, down] = [1, -1].map((side) => line.y.map((y, i) => y + side * (line.error[i] ?? 0)));
  return {
    x: [...line.x, ...line.x.toReversed()],
    y: [...up, ...down.toReversed()],
    fill: "toself",
    fillcolor: tint(line.color, line.light ? 0.2 : 0.28),
    line: { width: 0 },
    mode: "lines",
    hoverinfo: "skip",
    showlegend: false,
  };
}

function curve(line, suffix) {
  const errors = line.error.map((e) => (e === null ? "" : ` ± ${Number(e.toPrecision(2))}`));
  return {
    x: line.x,
    y: line.y,
    customdata: line.x.map((_, i) => errors[i] ?? ""),
    name: escape(line.name),
    mode: line.x.length > 1 ? "lines" : "markers",
    line: { color: tint(line.color, line.light ? 0.75 : 1), width: line.light ? 2 : 2.5, shape: "linear" },
    marker: { color: line.color, size: 8 },
    hovertemplate: `%{y:.4~g}%{customdata}${suffix}<extra></extra>`,
  };
}

// Where it stands now: a ring while it is a draft, a full dot once it is final.
function tip(line) {
  const last = line.x.length - 1;
  return {
    x: [line.x[last]],
    y: [line.y[last]],
    mode: "markers",
    marker: { color: line.color, size: 9, symbol: line.light ? "circle-open" : "circle", line: { width: 2, color: line.color } },
    hoverinfo: "skip",
    cliponaxis: false,
  };
}

// The first points can be wild and their bands wilder: the axis holds every value and the newest band, with some air.
function rangeOfY(lines, reference) {
  const values = lines.flatMap((line) => {
    const last = line.y.at(-1);
    const error = line.error.at(-1) ?? 0;
    return [...line.y, last + error, last - error];
  });
  if (reference !== null) values.push(reference);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const air = 0.12 * (high - low || Math.abs(high) || 1);
  return [low - air, high + air];
}

function layoutOf(chart, lines) {
  const axis = { fixedrange: false, zeroline: false, showline: false, ticks: "", automargin: true, nticks: 6 };
  const span = chart.x_end ? { range: [0, chart.x_end * 1.02] } : { rangemode: "tozero" };
  const title = (text) => ({ text: escape(text), standoff: 8, font: { size: 12 } });
  const layout = {
    uirevision: chart.stream, // zoom stays until another stream is drawn
    margin: { l: 8, r: 12, t: 12, b: 8 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "inherit", size: 12 },
    showlegend: false,
    hovermode: "x",
    xaxis: { ...axis, title: title(chart.x_title), tickformat: "~s", ...span },
    yaxis: { ...axis, title: title(chart.y_title), ticksuffix: chart.y_suffix, range: rangeOfY(lines, chart.reference) },
  };
  if (chart.reference !== null) {
    const y = chart.reference;
    layout.shapes = [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: y, y1: y, line: { color: "#85888D", width: 2 } }];
    layout.annotations = [
      { xref: "paper", x: 1, y, text: escape(chart.reference_label), showarrow: false, xanchor: "right", yanchor: "bottom" },
    ];
  }
  return layout;
}

// What plotly is given: the traces and layout of a stream, or the figure as it came.
function drawing(state, { chart, figure }) {
  if (figure) return [figure.data, { ...figure.layout, uirevision: figure.layout.uirevision ?? "figure", font: { ...figure.layout.font, family: "inherit" } }];
  const lines = state.lines.filter((line) => line.x.length);
  const traces = lines.flatMap((line) => {
    const parts = [curve(line, chart.y_suffix), tip(line)];
    return line.error.some((e) => e) ? [band(line), ...parts] : parts;
  });
  return [traces, layoutOf(chart, lines)];
}

// plotly leaves a zoom alone only as long as it is given the range that it had been given when the zoom began.
function hold(state, axis) {
  if (state.zoomed) axis.range = state.given;
  else state.given = axis.range;
}

async function draw(Plotly, state, data) {
  const [traces, layout] = drawing(state, data);
  if (data.chart) hold(state, layout.yaxis);
  const config = { displaylogo: false, responsive: false, displayModeBar: false, doubleClick: "reset+autosize" };
  await Plotly.react(state.plot, traces, layout, config);
  watch(Plotly, state);
  if (state.hover && Number.isInteger(state.hover.pointNumber) && state.hover.curveNumber < traces.length) Plotly.Fx.hover(state.plot, [{ curveNumber: state.hover.curveNumber, pointNumber: state.hover.pointNumber }]);
}

const nameOf = (points) => points.map((point) => point.customdata).find((name) => name); // a point's name is its customdata

// plotly looks what is under the pointer 50 ms after a movement; if it is pressed by then, it forgets the point, and a
// release within the next 50 ms, as of a tap, is no click to it. Then what was under the pointer when it was pressed counts.
function listenForPicks(state) {
  let pressed;
  const pick = (name) => {
    pressed = undefined;
    if (name) state.pick(String(name));
  };
  state.plot.addEventListener(
    "mousedown",
    ({ clientX, clientY }) => {
      const { at, name } = state.hover ?? {};
      pressed = at && Math.hypot(clientX - at.clientX, clientY - at.clientY) <= STILL ? name : undefined;
    },
    true,
  );
  state.plot.on("plotly_click", ({ points }) => pick(nameOf(points)));
  state.plot.addEventListener("click", () => pick(pressed)); // comes after plotly's own, and after no drag
}

function watch(Plotly, state) {
  if (state.watching) return;
  state.plot.on("plotly_hover", ({ points, event }) => {
    state.hover = { curveNumber: points[0].curveNumber, pointNumber: points[0].pointNumber, name: nameOf(points), at: event };
  });
  state.plot.on("plotly_unhover", () => (state.hover = null));
  state.plot.on("plotly_doubleclick", () => (state.resets = true)); // comes before the ranges that it brings back
  state.plot.on("plotly_relayout", (edit) => {
    const ranged = Object.keys(edit).some((name) => name.includes("axis.range"));
    if (ranged || state.resets) state.zoomed = ranged && !state.resets;
    state.resets = false;
  });
  listenForPicks(state);
  state.watching = new ResizeObserver(() => state.plot.offsetWidth && Plotly.Plots.resize(state.plot));
  state.watching.observe(state.box);
}

function isEmpty(state, { chart, figure }) {
  return chart ? state.lines.every((line) => line.x.length === 0) : !figure;
}

export default async function ({ data, parentElement: root, setTriggerValue }, css) {
  const state = charts.get(root) ?? mount(root, css, data.height);
  charts.set(root, state);
  state.pick = (name) => setTriggerValue("picked", name);
  const drawn = JSON.stringify(data);
  if (drawn === state.drawn) return state.cleanup;
  state.drawn = drawn;
  if (data.chart && !take(state, data.chart)) setTriggerValue("whole", true);
  const empty = isEmpty(state, data);
  state.box.style.height = `${data.height}px`;
  state.box.setAttribute("aria-label", data.description);
  state.empty.textContent = empty ? data.empty : "";
  state.plot.style.visibility = empty ? "hidden" : "visible";
  const Plotly = await loadPlotly(data.plotly);
  if (!empty && state.drawn === drawn) await draw(Plotly, state, data);
  state.cleanup = () => {
    if (root.isConnected) return; // Streamlit also calls this for an update that a newer one has overtaken
    state.watching?.disconnect();
    Plotly.purge(state.plot);
    charts.delete(root);
  };
  return state.cleanup;
}
