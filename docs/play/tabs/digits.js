// Digits: one image's way from noise by the shipped weights; every term of each step as a picture, and how it was made.

import { el, number, said, segments, showCode, slider } from "../parts.js";
import { drawOne } from "../picture.js";
import { showFormula } from "../formula.js";
import { classOf } from "../symbols.js";

export const title = "Digits";

const defaults = { mode: "one", sampler: "ddim", S: 20, eta: 0, guidance: 2, seed: 0, prompt: "a thick three", at: "", term: "x_prev" };
const DIVERGING = new Set(["eps_hat", "direction", "z", "mu", "x_t", "x_prev"]);
let app, ui = {}, s, facts, steps = [], at = 0, run = 0;

export async function mount(panel, application) {
  app = application;
  facts = await app.python.call("digits.about");
  ui.mode = segments("What to draw", [["one", "One digit"], ["ten", "Ten digits"], ["words", "From words"]], "one", (mode) => { s.mode = mode; begin(); });
  ui.sampler = segments("Sampler", [["ddim", "DDIM"], ["ddpm", "DDPM"]], "ddim", (sampler) => { s.sampler = sampler; begin(); });
  ui.S = slider("<i>S</i> =", { min: 4, max: 60, value: 20, id: "digits-s", show: (v) => `${v} steps`, oninput: (v) => { s.S = v; later(); } });
  ui.eta = slider("η =", { min: 0, max: 1, step: 0.05, value: 0, id: "digits-eta", show: (v) => v.toFixed(2), oninput: (v) => { s.eta = v; later(); } });
  ui.guidance = slider("guidance <i>s</i> =", { min: 0, max: 6, step: 0.25, value: 2, id: "digits-guidance", show: (v) => v.toFixed(2), oninput: (v) => { s.guidance = v; later(); } });
  ui.prompt = el("input.field", { id: "digits-prompt", "aria-label": "What to draw, in words", spellcheck: "false", onchange: () => { s.prompt = ui.prompt.value.trim(); begin(); } });
  ui.go = el("button.main", { type: "button", onclick: begin }, "Draw again");
  ui.more = el("button", { type: "button", onclick: () => { s.seed = Number(s.seed) + 1; begin(); } }, "Other noise");
  ui.say = el("div");
  ui.big = el("div.grid10", { id: "digits-images" });
  ui.strip = el("div.strip", { role: "group", "aria-label": "The steps, from noise to image" });
  ui.terms = el("div.gallery", { role: "group", "aria-label": "The terms of this step" });
  ui.formula = el("div.formula");
  ui.loop = el("div.code");
  ui.code = el("div.code");
  ui.place = el("p.place");
  ui.step = slider("step", { min: 0, max: 0, value: 0, id: "digits-step", show: () => "", oninput: (v) => choose(v) });
  ui.wordsBox = el("div.words", {}, ui.prompt);
  ui.known = el("p.quiet", {}, `It knows: ${facts.adjectives.filter((w) => w !== "a" && w !== "an").join(", ")}; ${facts.nouns.join(", ")}.`);
  ui.about = el("p.quiet", {}, "");
  panel.append(
    el("h1", {}, "A digit comes out of noise"),
    el("p.lede", {}, "Each picture is a term of one step of the sampler. Choose a step, then a term: its formula, and the line that made it."),
    el("div.two.wide-right", {},
      el("div", {}, el("div.controls", {}, ui.mode), ui.wordsBox, ui.known, ui.big, el("div.controls", {}, ui.go, ui.more, ui.sampler), ui.S, ui.eta, ui.guidance, ui.say, ui.about),
      ui.right = el("div", {}, ui.step, ui.strip, ui.terms, ui.formula, ui.loop, ui.code, ui.place)),
  );
  ui.strip.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    choose(Math.max(0, Math.min(steps.length - 1, at + step)));
    ui.strip.children[at].focus();
  });
}

export async function show(state) {
  s = { ...defaults, ...state };
  for (const key of ["S", "eta", "guidance", "seed"]) s[key] = Number(s[key]);
  await begin();
}

export function leave() { run++; }

let timer;
function later() { clearTimeout(timer); timer = setTimeout(begin, 250); }

function save() {
  const words = s.mode === "words" ? { prompt: s.prompt, guidance: s.guidance } : {};
  app.remember({ mode: s.mode, sampler: s.sampler, S: s.S, eta: s.eta, seed: s.seed, ...words, at: at || "", term: s.term });
}

function layout() {
  ui.mode.set(s.mode); ui.sampler.set(s.sampler); ui.S.set(s.S); ui.eta.set(s.eta); ui.guidance.set(s.guidance); ui.prompt.value = s.prompt;
  ui.eta.hidden = s.sampler !== "ddim";
  ui.guidance.hidden = ui.wordsBox.hidden = ui.known.hidden = s.mode !== "words";
  const n = s.mode === "words" ? facts.text_parameters : facts.parameters;
  const kind = s.mode === "words" ? `a latent model of ${n.toLocaleString("en")} parameters, on latents ${facts.latent_shape.join("×")}` : `a U-Net of ${n.toLocaleString("en")} parameters, trained on ${facts.made.data}`;
  ui.about.textContent = `Drawn by the weights that come with minidiff: ${kind}. T = ${facts.T}.`;
}

async function begin() {
  const mine = ++run, wantedStep = s.at;
  layout();
  steps = [];
  at = 0;
  ui.strip.replaceChildren(); ui.terms.replaceChildren(); ui.formula.replaceChildren(); ui.loop.replaceChildren(); ui.code.replaceChildren(); ui.place.textContent = "";
  const n = s.mode === "ten" ? 10 : 1;
  ui.big.replaceChildren(...Array.from({ length: n }, (_, i) => el("canvas", { role: "img", "aria-label": `Image ${i + 1}` })));
  ui.big.style.gridTemplateColumns = n === 1 ? "minmax(0, 14rem)" : "repeat(5, minmax(0, 1fr))";
  ui.big.dataset.done = "";
  await said(ui.say, async () => {
    const prompt = s.mode === "words" ? s.prompt : "";
    await app.python.call("digits.start", { sampler: s.sampler, S: s.S, eta: s.eta, seed: s.seed, n, prompt, guidance: s.guidance });
    for (;;) {
      if (mine !== run) return;
      const reply = await app.python.call("digits.more", { count: 1 });
      if (mine !== run) return;
      for (const step of reply.steps) {
        steps.push(step);
        thumbnail(step, steps.length - 1);
      }
      if (reply.images) [...ui.big.children].forEach((canvas, i) => drawOne(canvas, reply.images, i));
      if (reply.steps.length) pictures(steps.length - 1);
      if (reply.done) break;
    }
    ui.big.dataset.done = "yes";
    ui.step.limit(steps.length - 1);
    await choose(wantedStep === "" || wantedStep === undefined ? Math.floor(steps.length / 2) : Math.min(Number(wantedStep), steps.length - 1));
  });
}

function thumbnail(step, index) {
  const canvas = el("canvas");
  ui.strip.append(el("button", { type: "button", title: `t = ${step.t}`, "aria-label": `Step at t = ${step.t}`, "aria-pressed": "false", onclick: () => choose(index) }, canvas));
  drawOne(canvas, step.terms.x_prev, 0, s.mode === "words" ? { low: -2, high: 2 } : {});
  ui.strip.scrollLeft = ui.strip.scrollWidth;
}

function pictures(index) {
  const step = steps[index];
  ui.terms.replaceChildren();
  const add = (name, picture, options, label = name) => {
    const canvas = el("canvas", { role: "img", "aria-label": label });
    ui.terms.append(el("button.term", { type: "button", "data-term": name, "aria-pressed": String(name === s.term), onclick: () => explain(name) }, canvas, el("span", { class: classOf(name) }, label)));
    drawOne(canvas, picture, 0, options);
  };
  for (const name of step.names) {
    const value = step.terms[name], blank = value?.shape && value.data.every((x) => x === value.data[0]);
    if (value?.shape && !blank) {
      const wide = DIVERGING.has(name) && name !== "x_t" && name !== "x_prev" && name !== "mu";
      add(name, value, wide ? { diverging: true, high: 2 } : s.mode === "words" ? { low: -2, high: 2 } : {});
    } else if (name !== "t_prev") {
      ui.terms.append(el("button.term", { type: "button", "data-term": name, "aria-pressed": String(name === s.term), onclick: () => explain(name) }, el("b", { style: "font-size: 1.15rem; margin: auto" }, number(blank ? value.data[0] : value)), el("span", { class: classOf(name) }, name)));
    }
  }
  if (step.decoded) add("x_0_hat", step.decoded, {}, "decoded");
}

async function choose(index) {
  at = index;
  ui.step.set(index);
  ui.step.querySelector("output").textContent = `${index + 1} of ${steps.length}, t = ${steps[index].t}`;
  [...ui.strip.children].forEach((node, i) => { node.setAttribute("aria-pressed", String(i === index)); node.tabIndex = i === index ? 0 : -1; });
  const chosen = ui.strip.children[index];
  ui.strip.scrollLeft = chosen.offsetLeft - ui.strip.clientWidth / 2;
  pictures(index);
  if (!steps[index].names.includes(s.term)) s.term = "x_prev";
  await explain(s.term);
}

async function explain(name) {
  s.term = name;
  for (const node of ui.terms.children) node.setAttribute("aria-pressed", String(node.dataset.term === name));
  save();
  await said(ui.say, async () => {
    const reply = await app.python.newest("digits.term", "digits.term", { index: at, name });
    if (!reply) return;
    showFormula(ui.formula, reply.latex, name);
    showCode(ui.loop, { lines: reply.loop }, name === "x_t" ? "x_t" : name);
    const lit = ui.loop.querySelector(".lit");
    if (lit) ui.loop.scrollTop = lit.offsetTop - ui.loop.offsetTop - 40;
    ui.code.hidden = !reply.code;
    if (reply.code) showCode(ui.code, reply.code);
    ui.place.textContent = reply.code ? `${reply.code.place}, run here on the arrays of this step` : "";
  });
}
