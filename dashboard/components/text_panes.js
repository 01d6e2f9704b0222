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
  const parts = Object.fromEntries(["prompt", "before", "marked", "after"].map((name) => [name, document.createTextNode("")]));
  const [label, kernel, state, hash, facts] = ["label", "kernel", "state", "hash", "facts"].map((name) => element("span", name));
  const mark = element("mark", "", parts.marked);
  const hint = element("p", "hint");
  const body = element("div", "body", element("span", "prompt", parts.prompt), parts.before, mark, parts.after, hint);
  body.setAttribute("role", "log");
  body.setAttribute("aria-live", "polite");
  body.tabIndex = 0;
  const box = element("section", "pane", element("header", "", element("i", "swatch"), label, kernel, state), body, element("footer", "", facts, hash));
  const pane = { box, body, mark, hint, label, kernel, state, hash, facts, ...parts, ids: [], texts: [], stream: null, follow: true };
  body.addEventListener("scroll", () => {
    pane.follow = body.scrollHeight - body.scrollTop - body.clientHeight < NEAR_THE_END;
  });
  return pane;
}

// Tokens by their place in the stream: doubles are dropped. False when some are missing in between.
function take(pane, view) {
  if (pane.stream !== view.stream || view.start === 0) {
    if (pane.stream !== view.stream) pane.follow = true;
    Object.assign(pane, { stream: view.stream, ids: [], texts: [] });
  }
  const known = pane.ids.length;
  if (view.start > known) return false;
  for (const [id, text] of view.tokens.slice(known - view.start)) {
    pane.ids.push(id);
    pane.texts.push(text);
  }
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

function write(pane, place) {
  const [from, to] = wordAround(pane.texts, place);
  const lead = pane.texts.slice(from, to).join("").match(/^\s*/)[0]; // the mark begins at the word, not at its space
  setText(pane.before, pane.texts.slice(0, from).join("") + lead);
  setText(pane.marked, pane.texts.slice(from, to).join("").slice(lead.length));
  setText(pane.after, pane.texts.slice(to).join(""));
}

// All have ended: reading begins at the top, or where the texts part. Nobody who scrolled is moved.
function showDifference(pane) {
  if (!pane.follow) return;
  const below = pane.mark.offsetTop - pane.body.offsetTop - 0.4 * pane.body.clientHeight;
  pane.body.scrollTop = pane.marked.data ? Math.max(0, below) : 0;
}

function dress(pane, view, data, agreed) {
  const { words, prompt, height } = data;
  const shown = view.state === "empty" ? "" : prompt;
  pane.box.className = `pane ${view.role} ${view.state}`;
  pane.box.style.height = `${height}px`;
  pane.box.setAttribute("aria-label", view.label);
  pane.label.textContent = view.label;
  pane.state.textContent = view.state === "empty" ? "" : words[view.state];
  pane.facts.textContent = [...view.facts, ...(agreed ? [words.same] : [])].join(" · ");
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
    if (!settled && pane.follow) pane.body.scrollTop = pane.body.scrollHeight;
    if (settled && !room.settled) showDifference(pane);
  });
  room.settled = settled;
}
