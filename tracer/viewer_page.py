"""The viewer's page: style, program and skeleton. ``viewer`` fills in the session; nothing is loaded from elsewhere.

The program reads its data from a JSON element and makes text nodes of it: no text of a snippet is ever parsed as HTML.
"""

from __future__ import annotations

STYLE = """
:root { --line: #ddd; --dim: #777; --mark: #fff2c4; --wrote: #e3f4e3; }
* { box-sizing: border-box; }
body {
  background: #fdfdfb;
  color: #222;
  display: flex;
  flex-direction: column;
  font: 14px/1.45 ui-monospace, Menlo, Consolas, monospace;
  height: 100vh;
  margin: 0;
}
header {
  align-items: baseline;
  border-bottom: 1px solid var(--line);
  display: flex;
  gap: 1.2em;
  padding: .6em 1em;
}
h1 { font-size: 1.1em; margin: 0; overflow-wrap: break-word; min-width: 0; }
footer {
  border-top: 1px solid var(--line);
  color: var(--dim);
  flex: none;
  max-height: 5.5em;
  overflow: auto;
  overflow-wrap: break-word;
  padding: .5em 1em;
  white-space: pre-wrap;
}
nav {
  align-items: center;
  border-bottom: 1px solid var(--line);
  display: flex;
  flex-wrap: wrap;
  gap: .3em .6em;
  padding: .4em 1em;
}
nav input { flex: 1 1 8em; min-width: 4em; }
nav output { max-width: 100%; min-width: 9em; overflow-wrap: break-word; }
#edits { border-bottom: 1px solid var(--line); flex: none; max-height: 30vh; overflow: auto; padding: .3em 1em; }
#edits summary { color: var(--dim); cursor: pointer; overflow-wrap: break-word; }
#edits h2 { font-size: 1em; font-weight: normal; margin: .4em 0 0; overflow-wrap: break-word; }
.removed { color: #b00020; }
.added { color: #17692f; }
button {
  background: none;
  border: 1px solid var(--line);
  border-radius: 3px;
  cursor: pointer;
  font: inherit;
}
main {
  display: grid;
  flex: 1;
  grid-template-columns: minmax(0, 3fr) minmax(0, 4fr) minmax(0, 3fr);
  grid-template-rows: minmax(0, 1fr);
  min-height: 0;
}
main.no-source { grid-template-columns: minmax(0, 5fr) minmax(0, 3fr); }
main.no-source #source { display: none; }
section { border-right: 1px solid var(--line); overflow: auto; padding: .6em 1em; }
section h2 {
  color: var(--dim);
  font-size: .85em;
  font-weight: normal;
  margin: 0 0 .5em;
  overflow-wrap: break-word;
}
pre { margin: 0; overflow-wrap: anywhere; white-space: pre-wrap; }
.prompt { color: #999; }
.command { font-weight: 600; }
.reveal { color: #06c; }
.value { color: #17692f; }
.error { color: #b00020; }
.hidden { background: var(--mark); }
.uncertain { background: #ece2fb; border-bottom: 2px dotted #7a3fc7; }
.step { border-left: 3px solid transparent; cursor: pointer; padding-left: .4em; }
.step:hover { background: #f4f4ee; }
.step.now { background: var(--mark); border-color: #d9a400; }
.call { border-left: 1px solid var(--line); margin-left: .5em; padding-left: .5em; }
.fold { border: 0; color: var(--dim); padding: 0; text-align: left; width: 100%; }
.folded > div { display: none; }
.number {
  color: #aaa;
  display: inline-block;
  min-width: 3.2em;
  padding-right: .8em;
  text-align: right;
  user-select: none;
}
.at { background: var(--mark); }
table { border-collapse: collapse; table-layout: fixed; width: 100%; }
td { border-bottom: 1px solid #eee; padding: .1em .6em .1em 0; vertical-align: top; }
td { overflow-wrap: break-word; white-space: pre-wrap; }
td:first-child { width: 34%; }
tr.wrote td { background: var(--wrote); }
tr.gone td { color: #b00020; text-decoration: line-through; }
.law { margin: 0 0 .9em; }
.law div {
  position: relative;
  padding: 0 .3em;
  margin-bottom: 2px;
  white-space: pre-wrap;
  overflow-wrap: break-word;
}
.law i { background: #cfe0f7; bottom: 0; left: 0; position: absolute; top: 0; z-index: -1; }
.law .shown i { background: #ffd977; }
/* Three columns of less than 250 px show no line whole: the session is above, source and variables below it. */
@media (max-width: 900px) {
  main { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); grid-template-rows: minmax(0, 3fr) minmax(0, 2fr); }
  main.no-source { grid-template-columns: minmax(0, 1fr); }
  #session { border-bottom: 1px solid var(--line); grid-column: 1 / -1; grid-row: 1; }
}
"""

PROGRAM = """
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const make = (tag, name, text) => {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== undefined) node.textContent = text;
  return node;
};
// A name or a path with places where a line may end: behind single dots, underscores and the like, not inside words.
function named(node, text) {
  const parts = text.split(/(?<=[./:,[(])|(?<=[^\\W_][_-])(?=[^\\W_])/);
  for (const part of parts) node.append(part, document.createElement("wbr"));
  return node;
}
const session = document.getElementById("steps"), slider = document.getElementById("slider");
const rows = [], uncertain = [];
let now = 0;

// The session: a box for each call, which folds; inside it, boxes of calls deeper still. Steps of a depth that no call
// accounts for, as in sessions without a list of calls, have a box for each stretch of them.
session.textContent = "";
const boxes = [session], begins = new Map();
for (const call of data.calls) begins.set(call.first, [...(begins.get(call.first) || []), call]);
data.steps.forEach((step, index) => {
  const calls = begins.get(index) || [];
  for (const call of calls) while (boxes.length > call.depth) boxes.pop();
  while (boxes.length > step.depth + 1) boxes.pop();
  while (boxes.length < step.depth + 1) {
    const box = make("div", "call"), inside = make("div"), fold = make("button", "fold");
    const call = calls.find((each) => each.depth === boxes.length);
    let last = index;
    while (last + 1 < data.steps.length && data.steps[last + 1].depth >= boxes.length) last += 1;
    if (call) last = call.last;
    const where = step.path ? ` · ${step.path}:${step.line}` : "";
    const told = `${call ? call.text : "call"}, ${last - index + 1} steps${where}`;
    const label = () => `${box.classList.contains("folded") ? "▸" : "▾"} ${told}`;
    fold.textContent = label();
    fold.addEventListener("click", () => { box.classList.toggle("folded"); fold.textContent = label(); });
    box.unfold = () => { box.classList.remove("folded"); fold.textContent = label(); };
    box.fold = () => { box.classList.add("folded"); fold.textContent = label(); };
    box.append(fold, inside);
    boxes[boxes.length - 1].append(box);
    boxes.push(inside);
  }
  const row = make("div", "step");
  const spans = step.text.map(([role, text]) => make("span", role, text));
  row.append(...spans);
  for (const belief of step.beliefs.filter((each) => each.bits > 0)) {
    const span = spans[belief.at];
    span.classList.add("uncertain");
    span.title = `${belief.bits.toPrecision(3)} bits: this output could have been another one (${belief.method})`;
    uncertain.push({ index, span });
  }
  row.addEventListener("click", () => show(index));
  rows.push(row);
  boxes[boxes.length - 1].append(row);
});

// The source: one file at a time, whole or in parts.
let file = null, lines = new Map();
function showSource(step) {
  if (!Object.hasOwn(data.sources, step.path)) return;
  const title = document.getElementById("file"), body = document.getElementById("lines");
  if (file !== step.path) {
    file = step.path;
    title.textContent = "";
    named(title, file);
    body.textContent = "";
    lines = new Map();
    for (const [first, part] of data.sources[step.path]) {
      if (body.firstChild) body.append(make("div", "number", "⋮"));
      part.split("\\n").forEach((text, index) => {
        const row = make("div");
        row.append(make("span", "number", String(first + index)), text);
        body.append(row);
        lines.set(first + index, row);
      });
    }
  }
  for (const row of lines.values()) row.classList.remove("at");
  const row = lines.get(step.line);
  if (row) { row.classList.add("at"); row.scrollIntoView({ block: "nearest" }); }
}

// The variables after a step: the changes of all steps up to it.
function stateAfter(index) {
  const state = new Map();
  for (let each = 0; each <= index; each += 1) {
    for (const [name, value] of data.steps[each].set) state.set(name, value);
    for (const name of data.steps[each].gone) state.delete(name);
  }
  return state;
}

function showState(index) {
  const body = document.getElementById("variables"), step = data.steps[index];
  const wrote = new Set([...step.wrote, ...step.set.map(([name]) => name)]);
  body.textContent = "";
  for (const [name, value] of [...stateAfter(index)].sort((a, b) => (a[0] < b[0] ? -1 : 1))) {
    const row = make("tr", wrote.has(name) ? "wrote" : "");
    row.append(named(make("td"), name), make("td", "", value));
    body.append(row);
  }
  for (const name of step.gone) {
    const row = make("tr", "gone");
    row.append(named(make("td"), name), make("td"));
    body.append(row);
  }
}

function showBeliefs(step) {
  const place = document.getElementById("beliefs");
  place.textContent = "";
  for (const belief of step.beliefs) {
    const law = make("div", "law");
    const bits = belief.bits > 0 ? `, ${belief.bits.toPrecision(3)} bits` : "";
    law.append(make("h2", "", `what this output could have been (${belief.method}${bits})`));
    for (const [probability, text, isShown] of belief.outcomes) {
      const row = make("div", isShown ? "shown" : ""), bar = make("i");
      bar.style.width = `${Math.max(0, Math.min(1, probability)) * 100}%`;
      row.append(bar, `${probability.toPrecision(4)}  ${text === "" ? "(nothing)" : text}`);
      law.append(row);
    }
    if (belief.others) law.append(make("div", "", `${belief.others} more outcomes`));
    place.append(law);
  }
}

function show(index) {
  rows[now].classList.remove("now");
  now = Math.max(0, Math.min(rows.length - 1, index));
  const row = rows[now], step = data.steps[now];
  row.classList.add("now");
  for (let box = row.parentElement; box !== session; box = box.parentElement) if (box.unfold) box.unfold();
  row.scrollIntoView({ block: "nearest" });
  slider.value = String(now + 1);
  const place = document.getElementById("place");
  place.textContent = "";
  named(place, `step ${now + 1} of ${rows.length}` + (step.path ? `, ${step.path}:${step.line}` : ""));
  showSource(step);
  showState(now);
  showBeliefs(step);
}

// Outputs that could have been other ones: the next after this step; behind the last one, the first.
function showUncertain(isForth) {
  const after = uncertain.find((each) => each.index > now), before = uncertain.findLast((each) => each.index < now);
  const found = isForth ? after || uncertain[0] : before || uncertain[uncertain.length - 1];
  if (!found) return;
  show(found.index);
  found.span.scrollIntoView({ block: "nearest" });
}
const next = document.getElementById("next");
next.hidden = !uncertain.length;
next.textContent = `next of ${uncertain.length} uncertain`;
next.addEventListener("click", () => showUncertain(true));

// Draws that were put into the program, with the author's lines and those that ran.
const edits = document.getElementById("edits");
edits.hidden = !data.edits.length;
if (data.edits.length) {
  const kinds = data.edits.map((edit) => edit.kind).join(", ");
  edits.append(make("summary", "", `edited before it ran: ${kinds}`));
  for (const edit of data.edits) {
    const law = edit.law.length ? ` with ${edit.law.map((p) => p.toPrecision(3)).map(Number).join(", ")}` : "";
    const text = make("pre");
    if (edit.before) text.append(make("span", "removed", edit.before.replace(/^/gm, "- ") + "\\n"));
    text.append(make("span", "added", edit.after.replace(/^/gm, "+ ")));
    edits.append(named(make("h2"), `${edit.kind}${law} ${edit.place}`), text);
  }
}

document.querySelector("main").classList.toggle("no-source", Object.keys(data.sources).length === 0);
slider.max = String(rows.length);
slider.addEventListener("input", () => show(Number(slider.value) - 1));
document.getElementById("back").addEventListener("click", () => show(now - 1));
document.getElementById("forth").addEventListener("click", () => show(now + 1));
document.getElementById("fold").addEventListener("click", () => {
  document.querySelectorAll(".call").forEach((box) => box.fold());
});
document.addEventListener("keydown", (event) => {
  if (event.key === "u" || event.key === "U") showUncertain(event.key === "u");
  if (event.target === slider) return;
  if (event.key === "ArrowDown" || event.key === "ArrowRight") { event.preventDefault(); show(now + 1); }
  if (event.key === "ArrowUp" || event.key === "ArrowLeft") { event.preventDefault(); show(now - 1); }
});
if (rows.length) show(0);
"""

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title><style>{style}</style></head>
<body><header><h1>{title}</h1></header>
<nav><button id="back" title="the step before (arrow keys)">◀</button>
<input id="slider" type="range" min="1" max="1" value="1" aria-label="step">
<button id="forth" title="the next step">▶</button>
<button id="next" title="the next output that could have been another one (key u; U: the one before)" hidden></button>
<output id="place"></output>
<button id="fold" title="show the calls alone">fold calls</button></nav>
<details id="edits" open hidden></details>
<main><section id="source"><h2 id="file"></h2><pre id="lines"></pre></section>
<section id="session"><h2>session</h2><pre id="steps">{session}</pre></section>
<section id="after"><h2>variables after this step</h2><table><tbody id="variables"></tbody></table>
<div id="beliefs"></div></section></main>
<footer>{footer}</footer>
<script id="data" type="application/json">{data}</script><script>{program}</script></body></html>
"""
