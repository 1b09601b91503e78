"""The browse page: style, program and skeleton. ``page`` fills in the dataset; nothing is loaded from elsewhere.

The program reads its data from a JSON element and makes text nodes of it: no text of a stranger is parsed as HTML. A
session is shown by the viewer's page in a frame of its own, whose program is the only other one that may run.
"""

from __future__ import annotations

STYLE = """
:root { --line: #ddd; --dim: #777; --mark: #fff2c4; --bar: #9db8dd; }
* { box-sizing: border-box; }
body {
  background: #fdfdfb;
  color: #222;
  display: flex;
  flex-direction: column;
  font: 14px/1.45 system-ui, sans-serif;
  height: 100vh;
  margin: 0;
}
header {
  align-items: baseline;
  border-bottom: 1px solid var(--line);
  display: flex;
  flex-wrap: wrap;
  gap: 1em;
  padding: .5em 1em;
}
h1 { font-size: 1.1em; margin: 0; min-width: 0; overflow-wrap: break-word; }
h2 { font-size: 1em; margin: 0 0 .4em; }
button, select, input {
  background: #fff;
  border: 1px solid var(--line);
  border-radius: 3px;
  font: inherit;
  max-width: 100%;
  padding: .15em .5em;
}
button { cursor: pointer; }
button[aria-selected=true] { background: var(--mark); }
.dim { color: var(--dim); }
.view { display: none; }
.view.on { display: block; flex: 1; min-height: 0; overflow: auto; }
#rows.on {
  display: grid;
  grid-template-columns: minmax(30em, 2fr) minmax(0, 5fr);
  grid-template-rows: minmax(0, 1fr);
}
#list { border-right: 1px solid var(--line); display: flex; flex-direction: column; min-height: 0; }
form { display: flex; flex-wrap: wrap; gap: .4em; padding: .5em; }
form input[type=search] { flex: 1 1 14em; }
form select { flex: 0 1 11em; min-width: 0; }
.scroll { flex: 1; overflow: auto; }
table { border-collapse: collapse; table-layout: fixed; width: 100%; }
th, td { border-bottom: 1px solid #eee; padding: .15em .5em; text-align: left; vertical-align: top; }
th { background: #fdfdfb; position: sticky; top: 0; }
th[data-sort] { cursor: pointer; }
th.by { text-decoration: underline; }
td { overflow-wrap: break-word; }
td.number, th.number { padding: .15em .3em; text-align: right; white-space: nowrap; width: 3.8em; }
th.wide { width: 4.8em; }
td.number { font-size: .93em; }
#drops th:first-child { width: 13em; }
tr.row { cursor: pointer; }
tr.row:hover { background: #f4f4ee; }
tr.now { background: var(--mark); }
iframe { border: 0; display: block; height: 100%; width: 100%; }
iframe[hidden] { display: none; }
#hint { padding: 1em; }
#drops, #plots { padding: 1em; }
#charts { display: grid; gap: 1.5em; grid-template-columns: repeat(auto-fill, minmax(24em, 1fr)); }
svg { background: #fff; border: 1px solid #eee; height: auto; width: 100%; }
svg text { font: 11px system-ui, sans-serif; }
/* A list and a session side by side need some 1,000 px; else the list is above the session. */
@media (max-width: 1000px) {
  #rows.on { grid-template-columns: minmax(0, 1fr); grid-template-rows: minmax(0, 2fr) minmax(0, 3fr); }
  #list { border-bottom: 1px solid var(--line); border-right: 0; }
  #drops th:first-child { width: 9em; }
}
"""

PROGRAM = """
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const COLUMNS = ["number", "split", "entry", "repository", "name", "place", "outcome", "steps", "characters", "own",
  "opened", "entropy", "open", "new", "uncopied", "writing", "functions", "kept", "edits"];
const rows = data.rows.map((values) => Object.fromEntries(COLUMNS.map((name, index) => [name, values[index]])));
const byId = (id) => document.getElementById(id);
const make = (tag, name, text) => {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== undefined && text !== null) node.textContent = String(text);
  return node;
};
// A name or a path with places where a line may end: behind single dots, underscores and the like, not inside words.
const named = (node, text) => {
  const parts = text.split(/(?<=[./:,[(])|(?<=[^\\W_][_-])(?=[^\\W_])/);
  for (const part of parts) node.append(part, document.createElement("wbr"));
  return node;
};
const short = (number) => {
  return Math.abs(number) >= 1000 ? `${+(number / 1000).toPrecision(3)}k` : String(+number.toPrecision(3));
};
const counted = (values) => {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) || 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
};

// Three views, one at a time.
const tabs = [...document.querySelectorAll("header button")];
function turnTo(id) {
  for (const tab of tabs) tab.setAttribute("aria-selected", String(tab.dataset.view === id));
  for (const view of document.querySelectorAll(".view")) view.classList.toggle("on", view.id === id);
  if (id === "plots") drawPlots();
}
for (const tab of tabs) {
  tab.addEventListener("click", () => {
    turnTo(tab.dataset.view);
    const own = tab.dataset.view === "rows" ? (wanted < 0 ? "" : `row=${wanted}`) : tab.dataset.view;
    history.replaceState(null, "", `#${own}`);
  });
}

// A session: the viewer's page in a frame, with this session's words in their places.
const packed = new Map(Object.entries(data.sessions));
const escaped = (text) => text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
async function sessionOf(number) {
  const text = packed.get(String(number));
  if (text !== undefined) {
    const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return JSON.parse(await new Response(stream).text());
  }
  if (!data.is_served) return null;
  const answer = await fetch(`session/${number}`);
  return answer.ok ? answer.json() : null;
}
let wanted = -1;
const lineOf = (row) => document.querySelector(`tr.row[data-number="${row.number}"]`);
async function open(row) {
  for (const other of document.querySelectorAll("tr.now")) other.classList.remove("now");
  lineOf(row)?.classList.add("now");
  wanted = row.number;
  const session = await sessionOf(row.number);
  if (wanted !== row.number) return;
  const frame = byId("frame"), hint = byId("hint");
  frame.hidden = session === null;
  hint.hidden = session !== null;
  if (session === null) {
    hint.textContent = `The session of row ${row.number} is not in this page: trace-mine inspect DATASET `
      + `--row ${row.number} shows it as text, and trace-mine browse DATASET --serve 8000 has all of them.`;
    return;
  }
  // split and join, since String.replace reads $& in a text; "<" as JSON's escape, so that no text ends the element
  const inJson = (sign) => `\\\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`;
  const json = JSON.stringify(session.data).replace(/[<>&]/g, inJson);
  frame.srcdoc = data.viewer.split("@@title@@").join(escaped(session.title))
    .split("@@footer@@").join(escaped(session.footer)).split("@@data@@").join(json);
}

// The list of rows.
const MOST = 500;
const SORTS = {
  "as in the dataset": () => 0,
  "most uncertain first": (a, b) => b.entropy - a.entropy,
  "longest first": (a, b) => b.characters - a.characters,
  "shortest first": (a, b) => a.characters - b.characters,
  "most commands first": (a, b) => b.steps - a.steps,
  "most opened first": (a, b) => b.opened - a.opened,
  "most new first": (a, b) => (b.new ?? -1) - (a.new ?? -1),
};
function fill(id, label, values) {
  const box = byId(id);
  box.append(new Option(label, ""));
  for (const [value, count] of counted(values)) box.append(new Option(`${value} (${count})`, value));
  box.addEventListener("change", list);
}
fill("repository", "all repositories", rows.map((row) => row.repository));
fill("entry", "all sources", rows.map((row) => row.entry));
fill("split", "all splits", rows.map((row) => row.split));
fill("kept", "kept whole for any reason", rows.flatMap((row) => row.kept));
fill("edited", "edited or not", rows.flatMap((row) => row.edits));
for (const name of Object.keys(SORTS)) byId("sort").append(new Option(name, name));
byId("sort").addEventListener("change", list);
byId("find").addEventListener("input", list);
byId("entropy").addEventListener("input", list);
byId("filter").addEventListener("submit", (event) => event.preventDefault());
for (const head of document.querySelectorAll("th[data-sort]")) {
  head.addEventListener("click", () => {
    const box = byId("sort"), isOn = box.value === head.dataset.sort;
    box.value = isOn ? Object.keys(SORTS)[0] : head.dataset.sort;
    list();
  });
}
const words = rows.map((row) => [row.repository, row.name, row.place, ...row.functions].join("\\n").toLowerCase());

function list() {
  const asked = byId("find").value.toLowerCase().split(/\\s+/).filter(Boolean);
  const least = Number(byId("entropy").value) || 0;
  const chosen = rows.filter((row, index) => asked.every((word) => words[index].includes(word)) && row.entropy >= least
    && ["repository", "entry", "split"].every((name) => !byId(name).value || row[name] === byId(name).value)
    && ["kept", "edits"].every((name) => {
      const value = byId(name === "edits" ? "edited" : name).value;
      return !value || row[name].includes(value);
    }));
  chosen.sort(SORTS[byId("sort").value]);
  byId("matches").textContent = `${chosen.length} of ${rows.length} rows`
    + (chosen.length > MOST ? `, the first ${MOST}` : "");
  for (const head of document.querySelectorAll("th[data-sort]")) {
    head.classList.toggle("by", head.dataset.sort === byId("sort").value);
  }
  const body = byId("lines"), shown = chosen.slice(0, MOST);
  // the open row is listed even where it is none of the first ones
  const now = chosen.indexOf(rows.find((row) => row.number === wanted), MOST);
  if (now >= 0) shown.push(chosen[now]);
  body.textContent = "";
  for (const row of shown) {
    const line = make("tr", "row"), name = make("td");
    const edited = row.edits.length ? ` · edited: ${row.edits.join(", ")}` : "";
    const where = `${row.repository} · ${row.place} · ${row.entry} · ${row.split}${edited}`;
    name.append(named(make("div"), row.name), named(make("div", "dim"), where));
    line.append(name, make("td", "number", row.steps), make("td", "number", short(row.characters)),
      make("td", "number", row.own ? `${row.opened}/${row.own}` : ""),
      make("td", "number", row.entropy ? row.entropy.toFixed(2) : ""));
    if (!data.is_served && !packed.has(String(row.number))) line.classList.add("dim");
    line.dataset.number = String(row.number);
    line.classList.toggle("now", row.number === wanted);
    line.addEventListener("click", () => { open(row); history.replaceState(null, "", `#row=${row.number}`); });
    body.append(line);
  }
}

// The drops, by reason.
function listDrops() {
  const reason = byId("reason").value, asked = byId("found").value.toLowerCase();
  const chosen = data.drops.filter((drop) => (!reason || drop[0] === reason)
    && (!asked || drop.join("\\n").toLowerCase().includes(asked)));
  byId("meaning").textContent = data.reasons[reason] || "";
  byId("dropped").textContent = `${chosen.length} of ${data.num_drops} drops`
    + (data.drops.length < data.num_drops ? ` (the page has the first ${data.drops.length})` : "");
  const body = byId("droplines");
  body.textContent = "";
  for (const [word, repository, place, name, entry, evidence] of chosen.slice(0, MOST)) {
    const line = make("tr"), where = make("td");
    where.append(named(make("div"), name), named(make("div", "dim"), `${repository} · ${place} · ${entry}`));
    line.append(named(make("td"), word), where, make("td", "", evidence));
    body.append(line);
  }
}
byId("reason").append(new Option("all reasons", ""));
for (const [word, count] of counted(data.drops.map((drop) => drop[0]))) {
  byId("reason").append(new Option(`${word} (${count})`, word));
}
byId("reason").addEventListener("change", listDrops);
byId("found").addEventListener("input", listDrops);

// Plots, drawn when they are first looked at.
const SVG = "http://www.w3.org/2000/svg";
const draw = (parent, tag, attributes, text) => {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  parent.append(node);
  return node;
};
function figure(title, height) {
  const box = make("figure"), svg = document.createElementNS(SVG, "svg");
  box.style.margin = 0;
  svg.setAttribute("viewBox", `0 0 400 ${height}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", title);
  box.append(make("h2", "", title), svg);
  byId("charts").append(box);
  return svg;
}
function bars(title, pairs) {
  if (!pairs.length) return;
  const shown = pairs.slice(0, 14), most = Math.max(...shown.map((pair) => pair[1]));
  const more = pairs.length > shown.length ? ` (${shown.length} of ${pairs.length})` : "";
  const svg = figure(title + more, 18 * shown.length + 8);
  shown.forEach(([name, value], index) => {
    const y = 4 + 18 * index;
    draw(svg, "text", { x: 146, y: y + 12, "text-anchor": "end" }, name.length > 22 ? `${name.slice(0, 21)}…` : name);
    draw(svg, "rect", { x: 150, y: y + 2, width: Math.max(1, 200 * value / most), height: 13, fill: "#9db8dd" });
    draw(svg, "text", { x: 154 + 200 * value / most, y: y + 12 }, short(value));
  });
}
function histogram(title, values, isLog) {
  const known = values.filter((value) => value !== null && value !== undefined && (!isLog || value > 0));
  if (!known.length) return;
  const scale = isLog ? Math.log10 : (value) => value, back = isLog ? (value) => 10 ** value : (value) => value;
  const low = Math.min(...known.map(scale)), high = Math.max(...known.map(scale)), number = 24;
  const width = (high - low) / number || 1, counts = new Array(number).fill(0);
  for (const value of known) counts[Math.min(number - 1, Math.floor((scale(value) - low) / width))] += 1;
  const svg = figure(`${title}: ${known.length} rows`, 150), most = Math.max(...counts);
  counts.forEach((count, index) => {
    const height = 110 * count / most;
    draw(svg, "rect", { x: 30 + index * 15, y: 120 - height, width: 14, height, fill: "#9db8dd" });
  });
  draw(svg, "line", { x1: 30, x2: 390, y1: 120, y2: 120, stroke: "#777" });
  draw(svg, "text", { x: 26, y: 16, "text-anchor": "end" }, short(most));
  for (const part of [0, .25, .5, .75, 1]) {
    const value = short(back(low + width * number * part));
    draw(svg, "text", { x: 30 + 360 * part, y: 138, "text-anchor": "middle" }, value);
  }
}
let isDrawn = false;
function drawPlots() {
  if (isDrawn) return;
  isDrawn = true;
  const stats = data.stats, pairs = (counts) => Object.entries(counts || {}).sort((a, b) => b[1] - a[1]);
  bars("rows by source", counted(rows.map((row) => row.entry)));
  bars("rows by split", counted(rows.map((row) => row.split)));
  bars("rows by repository", counted(rows.map((row) => row.repository)));
  bars("snippets dropped, by reason", pairs(stats.drops));
  bars("constructs kept whole, by reason", pairs(stats.kept_whole));
  bars("frames not opened, by reason", pairs(stats.unopened_frames));
  histogram("characters of a session (log)", rows.map((row) => row.characters), true);
  histogram("commands of a session (log)", rows.map((row) => row.steps), true);
  histogram("share of frames opened", rows.map((row) => (row.own ? row.opened / row.own : null)));
  histogram("bits of the most uncertain belief", rows.map((row) => (row.open ? row.entropy : null)));
  histogram("share of new characters", rows.map((row) => row.new));
  histogram("share of outputs that are no copies", rows.map((row) => row.uncopied));
  histogram("share of commands that write", rows.map((row) => row.writing));
}

const stats = data.stats, numDrops = Object.values(stats.drops || {}).reduce((sum, count) => sum + count, 0);
byId("counts").textContent = stats.found === undefined ? `${rows.length} rows`
  : `found ${stats.found} = rows ${stats.rows} + duplicates ${stats.duplicates} + drops ${numDrops}`
    + (stats.records ? ` + records ${stats.records}` : "");
list();
listDrops();

// A link to a row (#row=12) or to a view (#drops, #plots); else the first row that can be shown.
function follow() {
  const asked = /^#row=(\\d+)$/.exec(location.hash);
  turnTo(["#drops", "#plots"].includes(location.hash) ? location.hash.slice(1) : "rows");
  const row = asked && rows.find((each) => each.number === Number(asked[1]));
  if (row) {
    wanted = row.number;
    list();
    if (!lineOf(row)) { byId("filter").reset(); list(); }
    lineOf(row).scrollIntoView({ block: "center" });
    open(row);
  } else if (wanted < 0) document.querySelector("tr.row:not(.dim)")?.click();
}
window.addEventListener("hashchange", follow);
follow();
"""

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title><style>{style}</style></head>
<body><header><h1>{title}</h1><span class="dim" id="counts"></span>
<button data-view="rows">rows</button><button data-view="drops">drops</button>
<button data-view="plots">plots</button></header>
<div class="view" id="rows"><div id="list"><form id="filter" autocomplete="off">
<input type="search" id="find" placeholder="repository, name, function, file" aria-label="find">
<select id="repository" aria-label="repository"></select><select id="entry" aria-label="source"></select>
<select id="split" aria-label="split"></select><select id="kept" aria-label="kept whole for"></select>
<select id="edited" aria-label="edited by"></select>
<label>bits ≥ <input type="number" id="entropy" min="0" step="0.1" value="0" style="width: 5em"></label>
<select id="sort" aria-label="order"></select><span class="dim" id="matches"></span></form>
<div class="scroll"><table><thead><tr><th>session</th>
<th class="number" data-sort="most commands first" title="commands; click to sort">steps</th>
<th class="number" data-sort="longest first" title="characters; click to sort">chars</th>
<th class="number wide" data-sort="most opened first" title="frames of own functions; click to sort">opened</th>
<th class="number" data-sort="most uncertain first" title="of the most uncertain output; click to sort">bits</th>
</tr></thead>
<tbody id="lines"></tbody></table></div></div>
<div><p id="hint" class="dim">Choose a row.</p><iframe id="frame" title="session" hidden></iframe></div></div>
<div class="view" id="drops"><form id="which"><select id="reason" aria-label="reason"></select>
<input type="search" id="found" placeholder="repository, name, evidence" aria-label="find a drop">
<span class="dim" id="dropped"></span></form><p class="dim" id="meaning"></p>
<table><thead><tr><th>reason</th><th>snippet</th><th>evidence</th></tr></thead>
<tbody id="droplines"></tbody></table></div>
<div class="view" id="plots"><div id="charts"></div></div>
<script id="data" type="application/json">{data}</script><script>{program}</script></body></html>
"""
