// Draws PaneViews (dashboard/components/text_panes.py). Texts go in as text nodes only, never as HTML.

const rooms = new WeakMap(); // component root -> its panes
const NEAR_THE_END = 32; // pixels: closer than this, the text is followed as it grows

function element(name, className, ...children) {
  const made = document.createElement(name);
  made.className = className;
  made.append(...children);
  return made;
}

function makePane() {
  const prompt = document.createTextNode("");
  const names = ["label", "kernel", "state", "hash", "facts", "tip", "before", "after"];
  const [label, kernel, state, hash, facts, tip, before, after] = names.map((name) => element("span", name));
  const mark = element("mark", "");
  const hint = element("p", "hint");
  const body = element("div", "body", element("span", "prompt", prompt), before, mark, after, hint);
  body.setAttribute("role", "log");
  body.setAttribute("aria-live", "polite");
  body.tabIndex = 0;
  const box = element("section", "pane", element("header", "", element("i", "swatch"), label, kernel, state), body, element("footer", "", tip, facts, hash));
  const pane = { box, body, mark, hint, label, kernel, state, hash, facts, tip, before, after, prompt, stream: null, follow: true };
  clear(pane);
  body.addEventListener("pointermove", (event) => tell(pane, pane.words.indexOf(event.target)));
  body.addEventListener("pointerleave", () => tell(pane, -1));
  body.addEventListener("blur", () => tell(pane, -1));
  body.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step && pane.words.length) tell(pane, Math.max(0, Math.min(pane.words.length - 1, pane.told + step)));
  });
  body.addEventListener("scroll", () => {
    pane.follow = body.scrollHeight - body.scrollTop - body.clientHeight < NEAR_THE_END;
  });
  return pane;
}

function clear(pane) {
  Object.assign(pane, { ids: [], texts: [], moments: [], words: [], from: 0, to: 0, told: -1 });
  for (const part of [pane.before, pane.mark, pane.after]) part.replaceChildren();
}

// How likely the word was, and what else might have stood there; it takes the place of the facts, so nothing moves.
function tell(pane, place) {
  if (place === pane.told) return;
  pane.words[pane.told]?.classList.remove("told");
  pane.told = place;
  const [, probability, others] = pane.moments[place] ?? [];
  const known = typeof probability === "number";
  pane.words[place]?.classList.toggle("told", known);
  const percent = (share) => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)}\u202f%`;
  const rest = (others ?? []).filter(([text]) => text.trim() !== pane.texts[place]?.trim());
  const said = (text, share) => `${text.trim() || "␣"} ${percent(share)}`;
  pane.tip.textContent = known ? [said(pane.texts[place], probability), ...rest.map((other) => said(...other))].join(" · ") : "";
}

// Tokens by their place in the stream: doubles are dropped. False when some are missing in between.
function take(pane, view) {
  if (pane.stream !== view.stream || view.start === 0) {
    if (pane.stream !== view.stream) pane.follow = true;
    clear(pane);
    pane.stream = view.stream;
  }
  const known = pane.ids.length;
  if (view.start > known) return false;
  view.tokens.slice(known - view.start).forEach(([id, text], i) => {
    pane.ids.push(id);
    pane.texts.push(text);
    pane.moments.push(view.moments[known - view.start + i] ?? []);
    pane.words.push(element("span", "", text));
    pane.after.append(pane.words.at(-1));
  });
  return true;
}

// Place of the first token that differs, each counted in its own stream; -1 while they agree.
function difference(first, firstDone, other, otherDone) {
  const shared = Math.min(first.ids.length, other.ids.length);
  for (let i = 0; i < shared; i++) if (first.ids[i] !== other.ids[i]) return i;
  const cut = (pane, done) => done && pane.ids.length === shared;
  const longer = first.ids.length !== other.ids.length;
  return longer && (cut(first, firstDone) || cut(other, otherDone)) ? shared : -1;
}

// The whole word around a token: from the last token that begins with a space to the next one that does.
function wordAround(texts, place) {
  if (place < 0 || place >= texts.length) return [texts.length, texts.length];
  let [from, to] = [place, place + 1];
  while (from > 0 && !/^\s/.test(texts[from])) from--;
  while (to < texts.length && !/^\s/.test(texts[to])) to++;
  return [from, to];
}

// Appending keeps a reader's selection; only what changed is written.
function setText(node, text) {
  if (node.data === text) return;
  if (text.startsWith(node.data)) node.appendData(text.slice(node.data.length));
  else node.data = text;
}

// Only what changed is moved: a reader's selection stays.
function write(pane, place) {
  let [from, to] = wordAround(pane.texts, place);
  if (place < 0) from = to = 0;
  if (from === pane.from && to === pane.to) return;
  if (pane.words[pane.from]) pane.words[pane.from].textContent = pane.texts[pane.from];
  const word = pane.words[from];
  const lead = from < to ? pane.texts[from].match(/^\s*/)[0] : ""; // the mark begins at the word, not at its space
  pane.before.replaceChildren(...pane.words.slice(0, from), lead);
  if (lead) word.textContent = pane.texts[from].slice(lead.length);
  pane.mark.replaceChildren(...pane.words.slice(from, to));
  pane.after.replaceChildren(...pane.words.slice(to));
  Object.assign(pane, { from, to });
}

// Words that the first text does not have in this place, by letters of the whole text.
function markDifferences(pane, ranges) {
  let at = 0;
  pane.texts.forEach((text, i) => {
    const end = at + text.length;
    const inside = ranges.some(([from, to]) => from < end && to > at);
    if (pane.words[i].classList.contains("other") !== inside) pane.words[i].classList.toggle("other", inside);
    at = end;
  });
}

const WATCHABLE = 6; // seconds that the slowest of a race is given at least

// Every word appears when it was written; the clock shows the time it took, not the time we give it.
function race(room, data) {
  const ends = room.panes.map((pane) => pane.moments.at(-1)?.[0] ?? 0);
  const slowest = Math.max(...ends);
  if (!slowest) return;
  const factor = Math.max(1, WATCHABLE / slowest);
  const begun = performance.now();
  const clock = (seconds) => `${seconds.toFixed(slowest < 1 ? 3 : 2)}\u202fs`;
  room.racing = data.race;
  const frame = () => {
    if (room.racing !== data.race || !room.grid.isConnected) return;
    const now = (performance.now() - begun) / 1000 / factor;
    room.panes.forEach((pane, i) => {
      pane.words.forEach((word, n) => word.classList.toggle("ahead", (pane.moments[n]?.[0] ?? 0) > now));
      pane.box.classList.toggle("racing", now < ends[i]);
      const slowed = factor > 1 ? ` · ${data.words.race.replace("{times}", Math.round(factor))}` : "";
      pane.state.textContent = clock(Math.min(now, ends[i])) + (now < ends[i] ? slowed : "");
    });
    if (now < slowest) requestAnimationFrame(frame);
    else room.racing = 0;
  };
  frame();
}

// All have ended: reading begins at the top, or where the texts part. Nobody who scrolled is moved.
function showDifference(pane) {
  if (!pane.follow) return;
  const below = pane.mark.offsetTop - pane.body.offsetTop - 0.4 * pane.body.clientHeight;
  pane.body.scrollTop = pane.mark.childNodes.length ? Math.max(0, below) : 0;
}

function dress(pane, view, data, agreed) {
  const { words, prompt, height } = data;
  const shown = view.state === "empty" ? "" : prompt;
  pane.box.className = `pane ${view.role} ${view.state}`;
  pane.box.style.height = `var(--pane-height, ${height}px)`; // a page may know better
  pane.box.style.setProperty("--role", view.color || null);
  pane.box.setAttribute("aria-label", view.label);
  pane.label.textContent = view.label;
  pane.state.textContent = view.state === "empty" ? "" : words[view.state];
  pane.facts.textContent = [...view.facts, ...(agreed ? [words.same] : [])].join(" · ");
  pane.facts.title = pane.facts.textContent; // a narrow pane cuts it short
  pane.kernel.textContent = view.simulated ? words.simulated : "";
  pane.hash.textContent = view.weights_hash.slice(0, 12);
  pane.hash.title = view.weights_hash && `${words.weights} ${view.weights_hash}`;
  pane.mark.title = words.differs;
  pane.hint.textContent = view.state === "empty" ? words.empty : "";
  setText(pane.prompt, shown);
}

export default function ({ data, parentElement: root, setTriggerValue }, css) {
  let room = rooms.get(root);
  if (!room) {
    const style = document.createElement("style");
    style.textContent = css;
    room = { grid: element("div", "grid"), panes: [] };
    root.replaceChildren(style, room.grid);
    rooms.set(root, room);
  }
  while (room.panes.length < data.panes.length) {
    const pane = makePane();
    room.panes.push(pane);
    room.grid.append(pane.box);
  }
  for (const pane of room.panes.splice(data.panes.length)) pane.box.remove();

  const whole = data.panes.map((view, i) => take(room.panes[i], view));
  if (whole.includes(false)) setTriggerValue("whole", true);
  const done = data.panes.map((view) => view.state === "done");
  const places = room.panes.map((pane, i) => (i ? difference(room.panes[0], done[0], pane, done[i]) : -1));
  places[0] = Math.min(...places.filter((place) => place >= 0));
  if (!Number.isFinite(places[0])) places[0] = -1;
  const settled = done.every(Boolean);
  room.panes.forEach((pane, i) => {
    dress(pane, data.panes[i], data, i > 0 && done[0] && done[i] && places[i] < 0);
    write(pane, places[i]);
    markDifferences(pane, data.panes[i].differs);
    if (!settled && pane.follow) pane.body.scrollTop = pane.body.scrollHeight;
    if (settled && !room.settled) showDifference(pane);
  });
  room.settled = settled;
  if (settled && data.race > (room.raced ?? 0)) {
    room.raced = data.race;
    race(room, data);
  }
}
