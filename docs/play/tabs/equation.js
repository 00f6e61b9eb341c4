// Equation: any formula of the deck with its code to edit, its numbers to change, its checks, and its bugs to find.

import { el, note, said, showCode } from "../parts.js";
import { showFormula } from "../formula.js";
import { colouredCode } from "../symbols.js";

export const title = "Equation";

let app, ui = {}, all = [], here = null, round = null, wanted = "forward.q_sample";

export async function mount(panel, application) {
  app = application;
  all = await app.python.call("equations.index");
  ui.pick = el("select", { "aria-label": "Equation", id: "equation-pick", onchange: () => open(ui.pick.value) });
  const groups = new Map();
  for (const item of all) {
    const name = item.id.split(".")[0];
    if (!groups.has(name)) groups.set(name, el("optgroup", { label: name }));
    const slides = item.slides.length ? `  · slide ${item.slides.join(", ")}` : "";
    groups.get(name).append(el("option", { value: item.id }, `${item.id}${slides}`));
  }
  ui.pick.append(...groups.values());
  ui.formula = el("div.formula");
  ui.about = el("p.quiet");
  ui.text = el("textarea", { spellcheck: "false", autocapitalize: "off", autocomplete: "off", wrap: "off", "aria-label": "Code of the equation", id: "equation-code", oninput: paint, onkeydown: keys });
  ui.text.addEventListener("scroll", () => { ui.shadow.style.transform = `translate(${-ui.text.scrollLeft}px, ${-ui.text.scrollTop}px)`; });
  ui.shadow = el("pre", { "aria-hidden": "true" });
  ui.run = el("button.main", { type: "button", title: "Ctrl+Enter", onclick: () => said(ui.say, runIt) }, "Run");
  ui.check = el("button", { type: "button", title: "Ctrl+Shift+Enter", onclick: () => said(ui.say, check) }, "Check");
  ui.reset = el("button", { type: "button", onclick: () => { round = null; open(here.id); } }, "Undo all");
  ui.bug = el("button", { type: "button", onclick: () => said(ui.say, nextBug) }, "Find the bug");
  ui.reveal = el("button", { type: "button", hidden: true, onclick: () => said(ui.say, reveal) }, "Show me");
  ui.say = el("div", { id: "equation-say", "aria-live": "polite" });
  ui.values = el("div.code", { id: "equation-values" });
  ui.result = el("p.place");
  ui.arguments = el("div.arguments");
  ui.errata = el("div");
  panel.append(
    el("h1", {}, "One equation, live"),
    el("p.lede", {}, "Change a number or the code and run it: each line shows its value. Check asks the tests that guard the package."),
    el("div.two", {},
      el("div", {}, el("div.finder", {}, ui.pick), ui.formula, ui.about,
        el("div.editor", {}, ui.shadow, ui.text),
        el("div.controls", {}, ui.run, ui.check, ui.reset, ui.bug, ui.reveal), ui.say, ui.errata),
      el("div", {}, el("h2", {}, "The value of each line"), ui.values, ui.result, el("h2", {}, "Arguments"), ui.arguments)),
  );
}

export async function show(state) {
  wanted = state.id || wanted;
  if (state.bug !== undefined) { await said(ui.say, () => openBug(Number(state.bug))); return; }
  await open(wanted, state);
}

async function open(id, state = {}) {
  ui.say.replaceChildren();
  round = null;
  ui.reveal.hidden = true;
  await said(ui.say, async () => {
    await load(id);
    if (state.code) setCode(state.code);
    for (const input of ui.arguments.querySelectorAll("input")) if (state[`a.${input.name}`]) input.value = state[`a.${input.name}`];
    await runIt();
  });
}

async function load(id) {
  here = await app.python.call("equations.open_equation", { id });
  wanted = id;
  ui.pick.value = id;
  showFormula(ui.formula, here.latex, here.summary);
  const slides = here.slides.length ? `slide ${here.slides.map(([n]) => n).join(", ")}` : "not on the deck";
  ui.about.title = here.slides.map(([n, name]) => `${n}: ${name}`).join("\n");
  ui.about.textContent = `${slides} · ${here.paper} · ${here.place}`;
  setCode(here.code);
  ui.arguments.replaceChildren();
  for (const argument of here.arguments) {
    ui.arguments.append(el("label", { for: `arg-${argument.name}`, html: colouredCode(argument.name) }));
    if (argument.fixed) ui.arguments.append(el("code", { title: argument.shown }, argument.shown));
    else {
      const input = el("input.field", { id: `arg-${argument.name}`, name: argument.name, spellcheck: "false", onchange: () => said(ui.say, runIt) });
      input.value = argument.text;
      ui.arguments.append(input);
    }
  }
  ui.errata.replaceChildren(...here.errata.map(([n, kind, text]) => el("details", {}, el("summary", {}, `Erratum ${n} (${kind})`), el("p", {}, text))));
}

function setCode(code) {
  ui.text.value = code;
  paint();
}

function paint() {
  ui.shadow.innerHTML = ui.text.value.split("\n").map(colouredCode).join("\n") + "\n ";
  ui.text.parentElement.style.height = "auto";
}

function keys(event) {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    said(ui.say, event.shiftKey ? check : runIt);
  }
}

function typed() {
  return Object.fromEntries([...ui.arguments.querySelectorAll("input")].map((input) => [input.name, input.value]));
}

function save() {
  const changed = {};
  for (const argument of here.arguments) {
    const value = typed()[argument.name];
    if (value !== undefined && value !== argument.text) changed[`a.${argument.name}`] = value;
  }
  const code = ui.text.value !== here.code && !round && ui.text.value.length < 3000 ? ui.text.value : "";
  app.remember(round ? { bug: round.number } : { id: here.id, ...changed, code });
}

async function runIt() {
  save();
  const reply = await app.python.call("equations.run_equation", { id: here.id, code: ui.text.value, arguments: typed() });
  showCode(ui.values, reply);
  ui.values.id = "equation-values";
  ui.result.textContent = `→ ${reply.result}`;
}

async function check() {
  save();
  ui.say.replaceChildren(note("Checking…"));
  const reply = await app.python.call("equations.check", { id: here.id, code: ui.text.value });
  if (reply.passed) {
    const won = round ? "Found and mended. " : "";
    ui.say.replaceChildren(note(`${won}Passed: ${reply.count} exact ${reply.count === 1 ? "check" : "checks"} of the package.`, "good"));
    return;
  }
  ui.say.replaceChildren(note(`Failed: ${reply.test}.`, "bad"),
    ...(reply.difference ? [el("p", {}, `On the small numbers: ${reply.difference}.`)] : []),
    el("details", {}, el("summary", {}, "What the test said"), el("p.place", {}, reply.why || "nothing more")));
}

async function nextBug() {
  await openBug(round ? round.number + 1 : Math.floor(Math.random() * 83));
}

async function openBug(number) {
  const bug = await app.python.call("equations.bug", { number });
  await load(bug.id);
  round = bug;
  setCode(bug.code);
  ui.reveal.hidden = false;
  await runIt().catch(() => {});
  ui.say.replaceChildren(note(`Round ${bug.number + 1} of ${bug.of}: one term of this code is wrong. Compare it with the formula, mend it, then press Check.`));
}

async function reveal() {
  const what = await app.python.call("equations.reveal", { number: round.number });
  ui.say.replaceChildren(note(`What is wrong: ${what}.`));
}
