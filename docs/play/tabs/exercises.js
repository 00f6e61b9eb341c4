// Exercises: a function of the package without its body; what is written is graded number by number.

import { el, note, said } from "../parts.js";
import { showFormula } from "../formula.js";
import { colouredCode } from "../symbols.js";

export const title = "Exercises";

let app, ui = {}, all = [], here = null, hints = 0, s = { name: "q_sample" };
const written = {}, done = new Set(); // of this visit

export async function mount(panel, application) {
  app = application;
  all = await app.python.call("exercises.exercises");
  ui.list = el("nav.exercise-list", { "aria-label": "Exercises" });
  for (const item of all) {
    ui.list.append(el("button", { type: "button", "data-name": item.name, title: item.summary, onclick: () => open(item.name) },
      el("span.mark", { "aria-hidden": "true" }), el("span", {}, item.name), el("small", {}, item.slides.length ? `slide ${item.slides[0]}` : "")));
  }
  ui.list.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const nodes = [...ui.list.children], at = nodes.indexOf(document.activeElement);
    nodes[(at + by + nodes.length) % nodes.length].focus();
  });
  ui.title = el("h2", { id: "exercise-title" });
  ui.formula = el("div.formula");
  ui.task = el("p", { id: "exercise-task" });
  ui.text = el("textarea", { spellcheck: "false", autocapitalize: "off", autocomplete: "off", wrap: "off", "aria-label": "Your code", id: "exercise-code", oninput: typed, onkeydown: keys });
  ui.text.addEventListener("scroll", () => { ui.shadow.style.transform = `translate(${-ui.text.scrollLeft}px, ${-ui.text.scrollTop}px)`; });
  ui.shadow = el("pre", { "aria-hidden": "true" });
  ui.check = el("button.main", { type: "button", title: "Ctrl+Enter", onclick: () => said(ui.say, check) }, "Check");
  ui.hint = el("button", { type: "button", onclick: () => said(ui.hinted, hint) }, "Hint");
  ui.reset = el("button", { type: "button", onclick: reset }, "Begin anew");
  ui.next = el("button", { type: "button", onclick: () => open(here.next) }, "Next ▶");
  ui.say = el("div", { id: "exercise-say", "aria-live": "polite" });
  ui.hinted = el("div", { id: "exercise-hints", "aria-live": "polite" });
  panel.append(
    el("h1", {}, "Exercises"),
    el("p.lede", {}, "Write the body. Your numbers are compared with the package's own: the first that differs is shown, with what it suggests."),
    el("div.exercise-grid", {}, ui.list,
      el("div", {}, ui.title, ui.formula, ui.task, el("div.editor", {}, ui.shadow, ui.text),
        el("div.controls", {}, ui.check, ui.hint, ui.reset, ui.next), ui.say, ui.hinted)),
  );
}

export async function show(state) {
  const name = all.some((item) => item.name === state.name) ? state.name : s.name;
  if (state.code) written[name] = state.code;
  if (here && here.name === name && !state.code) { save(); return; }
  await open(name);
}

async function open(name) {
  s.name = name;
  ui.say.replaceChildren();
  ui.hinted.replaceChildren();
  hints = 0;
  await said(ui.say, async () => {
    here = await app.python.call("exercises.open_exercise", { name });
    for (const node of ui.list.children) node.setAttribute("aria-current", node.dataset.name === name);
    const current = ui.list.querySelector("[aria-current=true]");
    ui.list.scrollTop = current.offsetTop - ui.list.offsetTop - 60;
    const slides = here.slides.length ? ` · slide ${here.slides.join(", ")}` : "";
    ui.title.textContent = `${here.number} of ${here.of}: ${here.name}${slides}`;
    if (here.latex) showFormula(ui.formula, here.latex, here.summary);
    else ui.formula.replaceChildren();
    ui.task.textContent = here.task;
    ui.task.hidden = !here.task;
    ui.hint.disabled = false;
    ui.hint.textContent = `Hint (${here.hints})`;
    setCode(written[name] ?? here.code);
  });
}

function setCode(code) {
  ui.text.value = code;
  paint();
  save();
}

function paint() {
  ui.shadow.innerHTML = ui.text.value.split("\n").map(colouredCode).join("\n") + "\n ";
}

function typed() {
  written[here.name] = ui.text.value;
  paint();
  save();
}

function save() {
  const code = ui.text.value !== here.code && ui.text.value.length < 3000 ? ui.text.value : "";
  app.remember({ name: here.name, code });
}

function reset() {
  delete written[here.name];
  ui.say.replaceChildren();
  setCode(here.code);
  ui.text.focus();
}

function keys(event) {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    said(ui.say, check);
  } else if (event.key === "Enter" && !event.shiftKey) { // the next line begins where this one did
    const before = ui.text.value.slice(0, ui.text.selectionStart).split("\n").pop();
    const indent = before.match(/^ */)[0] + (before.trimEnd().endsWith(":") ? "    " : "");
    event.preventDefault();
    ui.text.setRangeText(`\n${indent}`, ui.text.selectionStart, ui.text.selectionEnd, "end");
    typed();
  }
}

async function check() {
  const name = here.name;
  ui.say.replaceChildren(note("Checking…"));
  const reply = await app.python.call("exercises.check", { name, code: ui.text.value });
  if (reply.right) {
    done.add(name);
    ui.list.querySelector(`[data-name="${name}"] .mark`).textContent = "✓";
  }
  if (name === here.name) ui.say.replaceChildren(note(reply.right ? `R${reply.text.slice(1)}` : reply.text, reply.right ? "good" : "bad"));
}

async function hint() {
  hints = Math.min(hints + 1, here.hints);
  const told = [];
  for (let i = 1; i <= hints; i++) told.push(note(await app.python.call("exercises.hint", { name: here.name, number: i })));
  ui.hint.disabled = hints === here.hints;
  ui.hinted.replaceChildren(...told);
}
