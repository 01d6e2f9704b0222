// Draws what a room sees (dashboard/components/stage.py): one slider, three pictures with a sentence each, two answers.
// Everything is here from the start, so that a moved slider answers at once; the server only hears where it stands.
// Texts go in as text nodes only, never as HTML.

const rooms = new WeakMap(); // component root -> its room
const CELLS = 100;
const TOLD_AFTER = 250; // milliseconds after the last move until the server hears of it

function element(name, className, ...children) {
  const made = document.createElement(name);
  made.className = className;
  made.append(...children);
  return made;
}

function waffle(kind) {
  const box = element("div", `waffle ${kind}`);
  box.setAttribute("aria-hidden", "true"); // the sentence says it
  for (let i = 0; i < CELLS; i++) box.append(element("i", ""));
  return box;
}

function bars() {
  const [before, now] = ["before", "now"].map((name) => element("div", `bar ${name}`, element("i", "")));
  const box = element("div", "bars", before, now);
  box.setAttribute("aria-hidden", "true");
  return box;
}

function card(kind, picture) {
  const sentence = element("p", "sentence");
  return { box: element("article", `card ${kind}`, picture, sentence), picture, sentence };
}

function pane(role) {
  const [label, weight, body] = [element("span", ""), element("span", "weight"), element("div", "body")];
  body.tabIndex = 0;
  body.dir = "auto";
  body.addEventListener("scroll", () => shade(body));
  return { box: element("section", `pane ${role}`, element("h3", "", label, weight), body), label, weight, body };
}

function makeRoom(root, css) {
  const style = element("style", "");
  style.textContent = css;
  const slider = element("input", "range");
  slider.type = "range";
  slider.min = 0;
  const room = {
    root, slider, stop: 0, prompt: 0, command: null, timer: 0,
    question: element("label", "question"),
    name: element("output", "name"),
    ticks: element("div", "ticks"),
    cards: { size: card("size", waffle("squares")), answers: card("answers", waffle("dots")), speed: card("speed", bars()) },
    chips: element("div", "chips"),
    asked: element("p", "asked"),
    panes: { baseline: pane("baseline"), small: pane("small") },
  };
  slider.id = "how-small";
  room.asked.dir = "auto";
  room.question.htmlFor = slider.id;
  room.name.setAttribute("aria-live", "polite");
  room.head = element("div", "head slider", element("div", "line", room.question, room.name), slider, room.ticks);
  room.row = element("div", "cards", ...Object.values(room.cards).map((made) => made.box));
  room.texts = element("div", "texts panes", room.chips, room.asked, element("div", "pair", room.panes.baseline.box, room.panes.small.box));
  root.replaceChildren(style, element("div", "stage", room.head, room.row, room.texts));
  slider.addEventListener("input", () => move(room, { stop: Number(slider.value) }));
  listen(room);
  new ResizeObserver(() => Object.values(room.panes).forEach((made) => shade(made.body))).observe(room.texts);
  return room;
}

// -- moving ----------------------------------------------------------------------------------------------------

const within = (value, count) => Math.max(0, Math.min(count - 1, value));

function move(room, { stop = room.stop, prompt = room.prompt }) {
  const { stops, prompts } = room.data;
  stop = within(stop, stops.length);
  prompt = within(prompt, Math.max(1, prompts.length));
  if (stop === room.stop && prompt === room.prompt) return;
  Object.assign(room, { stop, prompt });
  draw(room);
  clearTimeout(room.timer);
  room.timer = setTimeout(() => room.tell("place", { stop, prompt }), TOLD_AFTER);
}

// Keys belong to the stage unless someone is writing, or a control of the page has them.
function listen(room) {
  const steps = { ArrowRight: { stop: 1 }, ArrowLeft: { stop: -1 }, ArrowDown: { prompt: 1 }, ArrowUp: { prompt: -1 } };
  const press = (event) => {
    if (!room.root.isConnected) return document.removeEventListener("keydown", press);
    const focused = event.composedPath()[0];
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (focused !== room.slider && focused instanceof Element && focused.closest("input, textarea, select, [role=radiogroup], [role=listbox], [contenteditable=true], .body")) return;
    if (event.key.toLowerCase() === "f") fullScreen();
    if (room.data.keys && steps[event.key]) event.preventDefault(), step(room, steps[event.key]);
  };
  document.addEventListener("keydown", press);
}

function fullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else document.documentElement.requestFullscreen();
}

function step(room, by) {
  move(room, { stop: room.stop + (by.stop ?? 0), prompt: room.prompt + (by.prompt ?? 0) });
}

// -- drawing ---------------------------------------------------------------------------------------------------

function draw(room) {
  const { stops, prompts, words } = room.data;
  const shown = stops[room.stop];
  room.slider.value = room.stop;
  room.slider.setAttribute("aria-valuetext", shown.name);
  room.slider.style.setProperty("--done", `${(100 * room.stop) / Math.max(1, stops.length - 1)}%`);
  room.name.textContent = shown.name;
  [...room.ticks.children].forEach((tick, i) => tick.classList.toggle("on", i === room.stop));
  for (const name of ["size", "answers", "speed"]) room.cards[name].sentence.textContent = shown[name];
  fill(room.cards.size.picture, Math.max(1, Math.round(CELLS * shown.share)));
  fill(room.cards.answers.picture, shown.same);
  race(room.cards.speed.picture, shown);
  room.panes.small.label.textContent = room.stop === 0 ? words.untouched : words.small;
  room.panes.baseline.weight.textContent = stops[0].bytes;
  room.panes.small.weight.textContent = shown.bytes;
  write(room, prompts[room.prompt] ?? { prompt: "", texts: [] }, words);
}

function fill(box, count) {
  box.classList.toggle("unknown", count === null);
  [...box.children].forEach((cell, i) => cell.classList.toggle("on", i < (count ?? 0)));
}

function race(box, { pace, imitated }) {
  const longest = Math.max(1, pace ?? 0);
  const [before, now] = box.children;
  box.classList.toggle("unknown", pace === null);
  box.classList.toggle("imitated", imitated);
  before.firstChild.style.width = `${100 / longest}%`;
  now.firstChild.style.width = `${(100 * (pace ?? 0)) / longest}%`;
}

function write(room, { prompt, texts }, words) {
  [...room.chips.children].forEach((chip, i) => chip.setAttribute("aria-pressed", String(i === room.prompt)));
  room.asked.textContent = prompt;
  put(room.panes.baseline, texts[0], words);
  put(room.panes.small, texts[room.stop], words);
}

function put({ body }, pieces, words) {
  const parts = (pieces ?? []).map(([text, differs]) => (differs ? element("mark", "", text) : document.createTextNode(text)));
  if (!pieces) parts.push(element("p", "hint", words.unwritten));
  body.replaceChildren(...parts);
  body.scrollTop = 0;
  shade(body);
}

// A text that goes on below the edge fades out there, so that nobody takes half a line for the end.
function shade(body) {
  body.classList.toggle("more", body.scrollTop + body.clientHeight < body.scrollHeight - 4);
}

// What changes seldom: another model, another language, answers that were written meanwhile.
function dress(room) {
  const { stops, prompts, words, panes, cards, highlight } = room.data;
  room.slider.max = stops.length - 1;
  room.question.textContent = words.question;
  room.ticks.replaceChildren(...stops.map((stop) => element("span", "", `${Math.round(100 * stop.share)} %`)));
  room.ticks.setAttribute("aria-hidden", "true");
  room.panes.baseline.label.textContent = words.baseline;
  room.chips.setAttribute("role", "group");
  room.chips.setAttribute("aria-label", words.prompts);
  if (room.chips.childElementCount !== prompts.length || [...room.chips.children].some((chip, i) => chip.textContent !== prompts[i].label)) {
    room.chips.replaceChildren(...prompts.map(({ label }, i) => {
      const chip = element("button", "chip", label);
      chip.type = "button";
      chip.addEventListener("click", () => move(room, { prompt: i }));
      return chip;
    }));
  }
  room.texts.hidden = !panes;
  room.row.hidden = !cards;
  const lit = { slider: room.head, size: room.cards.size.box, answers: room.cards.answers.box, speed: room.cards.speed.box, panes: room.texts };
  for (const [name, part] of Object.entries(lit)) part.classList.toggle("lit", name === highlight);
  room.root.firstElementChild.nextElementSibling.classList.toggle("guided", Boolean(highlight));
}

export default function ({ data, parentElement: root, setTriggerValue }, css) {
  let room = rooms.get(root);
  if (!room) rooms.set(root, (room = makeRoom(root, css)));
  room.data = data;
  room.tell = setTriggerValue;
  if (room.command !== data.command) Object.assign(room, { command: data.command, stop: data.stop, prompt: data.prompt });
  room.stop = within(room.stop, data.stops.length);
  room.root.querySelector(".stage").classList.toggle("reading", data.panes);
  room.prompt = within(room.prompt, Math.max(1, data.prompts.length));
  dress(room);
  draw(room);
}
