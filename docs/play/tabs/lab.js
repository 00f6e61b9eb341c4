// Bug lab: a bug runs in the package, only its consequence is shown, and the student names it.

import { el, note, number, said } from "../parts.js";
import { drawCurves, drawPlane } from "../picture.js";
import { colouredCode, escape } from "../symbols.js";

export const title = "Bug lab";

let app, ui = {}, all = [], s = { round: "r1" }, round = null, hints = 0, tries = 0, opened = 0;
const COLOURS = ["noise", "noisy", "abar"], RIGHT = ["data", "noisy", "abar"];

export async function mount(panel, application) {
  app = application;
  all = await app.python.call("lab.rounds");
  ui.pick = el("select", { "aria-label": "Round", id: "lab-pick", onchange: () => go(ui.pick.value) });
  const groups = { history: "Bugs that slides and programs had", mutant: "One wrong term" };
  for (const [kind, label] of Object.entries(groups)) {
    ui.pick.append(el("optgroup", { label }, ...all.filter((r) => r.kind === kind).map((r) => el("option", { value: r.code }, `${r.code} · ${r.title}`))));
  }
  ui.title = el("h2.lab-title", { id: "lab-title" });
  ui.about = el("p.quiet");
  ui.symptom = el("div", { id: "lab-symptom" });
  ui.pictures = el("div", { id: "lab-pictures" });
  ui.question = el("div", { id: "lab-question" });
  ui.answer = el("button.main", { type: "button", onclick: () => said(ui.say, answer) }, "Answer");
  ui.hint = el("button", { type: "button", onclick: () => said(ui.hinted, hint) }, "Hint");
  ui.reveal = el("button", { type: "button", onclick: () => said(ui.revealed, reveal) }, "Reveal");
  ui.tries = el("span.tries", { id: "lab-tries" });
  ui.say = el("div", { id: "lab-say", "aria-live": "polite" });
  ui.hinted = el("div", { id: "lab-hints", "aria-live": "polite" });
  ui.revealed = el("div", { id: "lab-revealed", "aria-live": "polite" });
  panel.append(
    el("h1", {}, "Bug lab"),
    el("p.lede", {}, "A bug runs inside the package, and you see only what it does. A wrong answer is run, too: which number does it not explain?"),
    el("div.lab-bar", {}, ui.pick,
      el("button", { type: "button", title: "The round before", onclick: () => step(-1) }, "◀"),
      el("button", { type: "button", title: "The next round", id: "lab-next", onclick: () => step(1) }, "Next ▶"),
      el("button", { type: "button", onclick: () => go(all[Math.floor(Math.random() * all.length)].code) }, "Any")),
    el("div.lab-grid", {},
      el("div", {}, ui.title, ui.about, ui.symptom, ui.pictures),
      el("div", {}, ui.question, el("div.controls", {}, ui.answer, ui.hint, ui.reveal, ui.tries), ui.say, ui.hinted, ui.revealed)),
  );
}

export async function show(state) {
  const known = all.some((r) => r.code === state.round);
  if (round && round.code === s.round && (!known || state.round === s.round)) return;
  await go(known ? state.round : s.round);
}

// Another tab needs Python now; the round goes on from there when this tab is back.
export function leave() { opened++; }

export function redraw() { if (round) paint(); }

function step(by) {
  const at = all.findIndex((r) => r.code === s.round);
  return go(all[(at + by + all.length) % all.length].code);
}

async function go(code) {
  s.round = code;
  app.remember({ round: code });
  ui.pick.value = code;
  const item = all.find((r) => r.code === code), mine = ++opened;
  for (const place of [ui.say, ui.hinted, ui.revealed, ui.pictures, ui.question]) place.replaceChildren();
  ui.title.textContent = `${item.code}: ${item.title}`;
  ui.about.textContent = "";
  ui.tries.textContent = "";
  ui.symptom.replaceChildren(note("Running the experiment with the bug and without…"));
  hints = tries = 0;
  ui.hint.disabled = ui.reveal.disabled = ui.answer.disabled = true;
  await said(ui.say, async () => {
    if (item.slow && !(await worked(ui.symptom, item, { code }, () => mine === opened))) return;
    const reply = await app.python.call("lab.open_round", { code });
    if (mine !== opened) return;
    round = reply;
    ui.about.textContent = round.about;
    ui.hint.disabled = ui.reveal.disabled = ui.answer.disabled = false;
    ui.answer.hidden = Boolean(round.lines);
    ui.hint.textContent = `Hint (${round.hints})`;
    ask();
    paint();
  });
}

// A training takes seconds: it is done in pieces, between which the page does other things, and its progress is shown.
// Resolves to false if nobody waits for it any more; what is done by then is kept.
async function worked(place, item, args, wanted) {
  const bar = el("progress", { max: 1, value: 0, "aria-label": "How far it is" }), words = el("span");
  place.replaceChildren(el("div.note.working", {}, words, bar));
  for (;;) {
    const state = await app.python.call("lab.prepare", args);
    if (!wanted()) return false;
    if (state.done) return true;
    words.textContent = `${item.about}, ${state.what}: ${Math.round(100 * state.share)} %`;
    bar.value = state.share;
  }
}

function paint() {
  ui.symptom.replaceChildren();
  if (round.failed) ui.symptom.append(note(`It does not run. ${round.failed}.`, "bad"));
  else {
    const rows = round.rows.map((row) => el(row.shows ? "tr.shows" : "tr", {}, el("td", {}, row.name), el("td", {}, number(row.here, 4)), el("td", {}, number(row.right, 4))));
    ui.symptom.append(el("table.symptom", {}, el("thead", {}, el("tr", {}, el("th"), el("th", { scope: "col" }, "here"), el("th", { scope: "col" }, "right"))), el("tbody", {}, ...rows)));
  }
  ui.pictures.replaceChildren();
  for (const picture of round.pictures) {
    const box = el("div.pair", { class: `pair ${picture.kind}` }, el("h3", {}, picture.title));
    ui.pictures.append(box);
    for (const side of ["here", "right"]) {
      const canvas = el(picture.kind === "cloud" ? "canvas.square" : "canvas.curve", { role: "img", "aria-label": `${picture.title}, ${side}` });
      const far = picture.kind === "cloud" ? outside(picture[side]) : 0;
      const caption = `${side === "here" ? "with the bug" : "right"}${far ? `; ${far} of ${picture[side].shape[0]} points are outside` : ""}`;
      box.append(el("figure", { class: side }, canvas, el("figcaption", {}, caption)));
      if (picture.kind === "cloud") drawPlane(canvas, { cloud: picture[side], limit: round.limit, family: side === "here" ? "noise" : "data" });
      else drawCurves(canvas, curvesOf(picture[side], side === "here" ? COLOURS : RIGHT, picture.log), { logY: picture.log });
    }
  }
}

function outside(cloud) {
  let count = 0;
  for (let i = 0; i < cloud.data.length; i += 2) count += !(Math.abs(cloud.data[i]) <= round.limit && Math.abs(cloud.data[i + 1]) <= round.limit);
  return count;
}

// Without what a logarithm can't show.
function curvesOf(curves, colours, log) {
  return curves.map((curve, i) => {
    const keep = Array.from(curve.y.data, (y) => Number.isFinite(y) && (!log || y > 0));
    return { x: Array.from(curve.x.data).filter((_, k) => keep[k]), y: Array.from(curve.y.data).filter((_, k) => keep[k]), name: colours[i % 3], label: curve.label };
  }).filter((curve) => curve.x.length);
}

function ask() {
  if (round.choices) {
    ui.question.replaceChildren(el("h2", {}, "What is wrong?"), el("fieldset.causes", { "aria-label": "Causes" },
      ...round.choices.map(({ letter, text }) => el("label", {}, el("input", { type: "radio", name: "lab-cause", value: letter, onkeydown: enter }), el("span", { html: colouredCauses(text) })))));
    return;
  }
  const fieldset = el("fieldset.suspects", { "aria-label": "Lines of code" });
  let id = "";
  for (const line of round.lines) {
    if (line.id !== id) fieldset.append(el("h3", {}, (id = line.id)));
    if (!line.number) fieldset.append(el("div.head", { html: colouredCode(line.text) }));
    else fieldset.append(el("label", {}, el("input", { type: "radio", name: "lab-line", value: line.number, onchange: () => terms(line) }), el("code", { html: colouredCode(line.text.replace(/ {2}#.*/, "")) })));
  }
  ui.terms = el("div", { id: "lab-terms", "aria-live": "polite" });
  ui.question.replaceChildren(el("h2", {}, "One term of these lines was another one. Which?"), fieldset, ui.terms);
}

// Names of the code in their colours; other words stay words.
const colouredCauses = (text) => text.split("`").map((part, i) => (i % 2 ? `<code>${colouredCode(part)}</code>` : part.split(/(\b\w+_\w+\b)/).map((word, k) => (k % 2 ? colouredCode(word) : escape(word))).join(""))).join("");

function terms(line) {
  ui.terms.replaceChildren(el("p.quiet", {}, `Which term of line ${line.number}?`),
    el("div.terms", {}, ...line.terms.map((term) => el("button", { type: "button", onclick: () => said(ui.say, () => grade(`${line.number} ${term}`)) }, term))));
}

function enter(event) {
  if (event.key === "Enter") { event.preventDefault(); said(ui.say, answer); }
}

async function answer() {
  const chosen = ui.question.querySelector("input:checked");
  if (!chosen) throw new Error("Choose a cause first.");
  await grade(chosen.value, chosen);
}

async function grade(text, chosen) {
  const code = round.code, item = all.find((r) => r.code === code);
  ui.say.replaceChildren(note("Running that…"));
  if (item.slow && !(await worked(ui.say, item, { code, answer: text }, () => code === round.code && ui.answer.isConnected))) return;
  const reply = await app.python.call("lab.answer", { code, answer: text });
  if (code !== round.code) return;
  tries += 1;
  ui.tries.textContent = `${tries} ${tries === 1 ? "answer" : "answers"}`;
  if (!reply.right) chosen?.closest("label").classList.add("was-wrong");
  ui.say.replaceChildren(note(reply.text, reply.right ? "good" : "bad"));
}

async function hint() {
  hints = Math.min(hints + 1, round.hints);
  const told = [];
  for (let i = 1; i <= hints; i++) told.push(note(await app.python.call("lab.hint", { code: round.code, number: i })));
  ui.hint.disabled = hints === round.hints;
  ui.hinted.replaceChildren(...told);
}

async function reveal() {
  ui.revealed.replaceChildren(note("Running the tests on it…"));
  const lines = await app.python.call("lab.reveal", { code: round.code });
  ui.revealed.replaceChildren(el("div.revealed", {}, lines.join("\n")));
}
