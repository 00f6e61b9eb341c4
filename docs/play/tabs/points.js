// Points: noise and data in the plane, where the exact answer is known.

import { el, figure, number, said, segments, select, showCode, slider } from "../parts.js";
import { drawCurves, drawPlane } from "../picture.js";
import { showFormula } from "../formula.js";

export const title = "Points";

const DATA = [["roll", "Swiss roll"], ["moons", "Two moons"], ["clusters", "Three clusters"], ["four", "Four clusters"], ["drawn", "Draw your own"]];
const defaults = { data: "roll", schedule: "cosine", T: 100, t: 30, arrows: "exact", sampler: "ddpm", S: 20, eta: 0, spacing: "uniform", mode: "forward" };
const FORMULAS = {
  forward: "\\mathbf{x}_t = \\sqrt{\\bar\\alpha_t}\\,\\mathbf{x}_0 + \\sqrt{1-\\bar\\alpha_t}\\,\\boldsymbol\\epsilon",
  ddpm: "\\mathbf{x}_{t-1} = \\frac{1}{\\sqrt{\\alpha_t}}\\Big(\\mathbf{x}_t - \\frac{\\beta_t}{\\sqrt{1-\\bar\\alpha_t}}\\,\\boldsymbol\\epsilon_\\theta(\\mathbf{x}_t,t)\\Big) + \\sigma_t\\mathbf{z}",
  ddim: "\\mathbf{x}_{t-1} = \\sqrt{\\bar\\alpha_{t-1}}\\,\\hat{\\mathbf{x}}_0 + \\sqrt{1-\\bar\\alpha_{t-1}-\\sigma_t^2}\\,\\boldsymbol\\epsilon_\\theta(\\mathbf{x}_t,t) + \\sigma_t\\mathbf{z}",
  heun: "\\mathbf{x}_{t-1} = \\sqrt{\\bar\\alpha_{t-1}}\\Big(\\frac{\\mathbf{x}_t}{\\sqrt{\\bar\\alpha_t}} + (\\sigma_{t-1}-\\sigma_t)\\frac{\\boldsymbol\\epsilon_\\theta(\\mathbf{x}_t,t)+\\boldsymbol\\epsilon_\\theta(\\hat{\\mathbf{x}}_{t-1},t-1)}{2}\\Big)",
  "dpm++": "\\mathbf{x}_{t-1} = \\frac{\\sqrt{1-\\bar\\alpha_{t-1}}}{\\sqrt{1-\\bar\\alpha_t}}\\,\\mathbf{x}_t - \\sqrt{\\bar\\alpha_{t-1}}\\,(\\exp(-h_t)-1)\\,\\mathbf{D}_t",
  sa: "\\mathbf{x}_{t-1} = \\frac{\\sqrt{1-\\bar\\alpha_{t-1}}}{\\sqrt{1-\\bar\\alpha_t}}\\,\\exp(-\\eta h_t)\\,\\mathbf{x}_t + \\sqrt{\\bar\\alpha_{t-1}}\\,(1-\\exp(-(1+\\eta)h_t))\\,\\mathbf{D}_t + \\sqrt{1-\\bar\\alpha_{t-1}}\\,\\sqrt{1-\\exp(-2\\eta h_t)}\\,\\mathbf{z}",
  "flow-euler": "\\mathbf{z}_r = \\mathbf{z}_s + (r-s)\\,\\mathbf{u}_\\theta(\\mathbf{z}_s,s)",
  "flow-heun": "\\mathbf{z}_r = \\mathbf{z}_s + (r-s)\\frac{\\mathbf{u}_\\theta(\\mathbf{z}_s,s)+\\mathbf{u}_\\theta(\\hat{\\mathbf{z}}_r,r)}{2}",
  train: "L = \\big\\|\\boldsymbol\\epsilon - \\boldsymbol\\epsilon_\\theta(\\sqrt{\\bar\\alpha_t}\\,\\mathbf{x}_0 + \\sqrt{1-\\bar\\alpha_t}\\,\\boldsymbol\\epsilon, t)\\big\\|^2",
};
const SAMPLERS = [["ddpm", "DDPM"], ["ddim", "DDIM"], ["heun", "Heun"], ["dpm++", "DPM-Solver++(2M)"], ["sa", "SA-Solver"], ["flow-euler", "Flow, Euler"], ["flow-heun", "Flow, Heun"]];
const LEDES = {
  forward: "Drag t: every point goes from data to noise in one jump. The arrows are the score: they point to where the data are.",
  reverse: "Press play: pure noise walks back to the data, step by step. Of four clusters the exact way is known.",
  train: "Press train: a small network learns the arrows from examples. The exact ones are known, so its distance to them is a number.",
};

let app, s, ui = {}, view = {}, drawn = [], run = 0, losses = [];

export async function mount(panel, application) {
  app = application;
  ui.canvas = el("canvas.square", { role: "img", "aria-label": "Points in the plane", tabindex: 0 });
  ui.code = el("div.code");
  ui.formula = el("div.formula");
  ui.say = el("div");
  ui.numbers = el("div.numbers");
  ui.curve = el("canvas", { style: "height: 9.5rem", role: "img", "aria-label": "The loss of each training step" });
  ui.t = slider("<i>t</i> =", { min: 0, max: 100, value: 30, id: "points-t", oninput: (t) => { s.t = t; forward(); } });
  ui.T = select("T", [["20", "20"], ["50", "50"], ["100", "100"], ["200", "200"]], "100", (T) => { s.T = Number(T); s.t = Math.min(s.t, s.T); changed(); });
  ui.data = select("Data", DATA, "roll", (data) => { s.data = data; changed(); });
  ui.schedule = select("Schedule", [["cosine", "cosine"], ["linear", "linear"]], "cosine", (value) => { s.schedule = value; changed(); });
  ui.mode = segments("What to see", [["forward", "Forward"], ["reverse", "Reverse"], ["train", "Train"]], "forward", (mode) => { s.mode = mode; stop(); layout(); forward(); });
  ui.arrows = select("Arrows", [["exact", "exact score"], ["network", "the network's"], ["none", "none"]], "exact", (value) => { s.arrows = value; forward(); });
  ui.sampler = select("Sampler", SAMPLERS, "ddpm", (value) => { s.sampler = value; stop(); layout(); });
  ui.S = slider("<i>S</i> =", { min: 2, max: 50, value: 20, id: "points-s", oninput: (value) => { s.S = value; save(); } });
  ui.eta = slider("η =", { min: 0, max: 1, step: 0.05, value: 0, id: "points-eta", show: (v) => v.toFixed(2), oninput: (value) => { s.eta = value; save(); } });
  ui.spacing = select("Steps equal in", [["uniform", "t"], ["log-snr", "log SNR"], ["inner", "log SNR, inner part"]], "uniform", (value) => { s.spacing = value; save(); });
  ui.by = select("Noise by", [["exact", "exact formula"], ["network", "trained network"]], "exact", (value) => { s.by = value; });
  ui.play = el("button.main", { type: "button", onclick: () => said(ui.say, play) }, "▶ Play");
  ui.train = el("button.main", { type: "button", onclick: () => said(ui.say, train) }, "Train");
  ui.clear = el("button", { type: "button", onclick: () => { drawn = []; view = {}; redraw(); } }, "Clear");
  ui.forwardBox = el("div", {}, ui.t);
  ui.reverseBox = el("div", {}, el("div.controls", {}, ui.sampler, ui.spacing, ui.by), ui.S, ui.eta, el("div.controls", {}, ui.play));
  ui.trainBox = el("div", {}, el("div.controls", {}, ui.train), ui.curve);
  ui.lede = el("p.lede");
  panel.append(
    el("h1", {}, "Points in the plane"), ui.lede,
    el("div.two", {},
      el("div", {}, ui.canvas, el("p.quiet", { id: "points-caption" })),
      el("div", {}, el("div.controls", {}, ui.mode), el("div.controls", {}, ui.data, ui.schedule, ui.T, ui.clear), ui.formula, ui.forwardBox, ui.reverseBox, ui.trainBox, el("div.row", {}, ui.numbers, ui.arrows), ui.say, ui.code, ui.place = el("p.place"))),
  );
  ui.canvas.addEventListener("pointerdown", draw);
  ui.canvas.addEventListener("pointermove", draw);
  ui.canvas.addEventListener("pointerup", () => { if (s.data === "drawn" && drawn.length > 2) changed(); });
}

export async function show(state) {
  s = { ...defaults, by: "exact", ...state };
  for (const key of ["T", "t", "S", "eta"]) s[key] = Number(s[key]);
  if (state.drawn) drawn = state.drawn.split("_").map((p) => p.split(",").map(Number));
  stop();
  layout();
  await said(ui.say, forward);
}

export function leave() { stop(); }

export function redraw() {
  if (!ui.canvas) return;
  drawPlane(ui.canvas, { ...view, drawn: s.data === "drawn" && !view.cloud ? drawn : null });
  if (s.mode === "train" && losses.length > 1) drawLosses();
}

function save() {
  const { data, schedule, T, t, arrows, sampler, S, eta, spacing, mode, by } = s;
  const points = data === "drawn" && drawn.length < 150 ? drawn.map((p) => p.map((v) => v.toFixed(2)).join(",")).join("_") : "";
  app.remember({ mode, data, schedule, T, ...(mode === "forward" ? { t, arrows } : mode === "reverse" ? { sampler, ...(sampler === "ddpm" ? {} : { S, spacing }), ...(hasEta() ? { eta } : {}), by } : {}), drawn: points });
}

const hasEta = () => s.sampler === "ddim" || s.sampler === "sa";

function layout() {
  ui.mode.set(s.mode); ui.data.set(s.data); ui.schedule.set(s.schedule); ui.T.set(String(s.T)); ui.arrows.set(s.arrows); ui.sampler.set(s.sampler); ui.by.set(s.by); ui.spacing.set(s.spacing);
  ui.t.limit(s.T); ui.t.set(s.t); ui.S.limit(s.T); ui.S.set(Math.min(s.S, s.T)); ui.eta.set(s.eta);
  ui.forwardBox.hidden = ui.arrows.hidden = s.mode !== "forward"; ui.reverseBox.hidden = s.mode !== "reverse"; ui.trainBox.hidden = s.mode !== "train";
  ui.S.hidden = ui.spacing.hidden = s.sampler === "ddpm"; ui.eta.hidden = !hasEta();
  ui.code.hidden = ui.place.hidden = s.mode !== "forward";
  ui.clear.hidden = s.data !== "drawn";
  ui.curve.style.visibility = losses.length > 1 ? "visible" : "hidden";
  ui.lede.textContent = s.data === "drawn" && drawn.length < 3 ? "Draw a shape with the mouse or a finger on the picture. It becomes the data." : LEDES[s.mode];
  showFormula(ui.formula, s.mode === "reverse" ? FORMULAS[s.sampler] : FORMULAS[s.mode]);
  ui.numbers.replaceChildren();
  document.getElementById("points-caption").textContent = { forward: "", reverse: "The data.", train: `The data with noise, as the network gets them: x_t at t = ${trainedAt()}.` }[s.mode];
  save();
}

const trainedAt = () => Math.round(s.T * 0.3); // the t at which the arrows of a training are shown
const world = () => ({ data: s.data, schedule: s.schedule, T: s.T, drawn: s.data === "drawn" ? drawn : null });

async function changed() {
  stop();
  layout();
  await said(ui.say, forward);
}

async function forward() {
  save();
  if (s.data === "drawn" && drawn.length < 3) { view = {}; redraw(); return; }
  const t = s.mode === "reverse" ? 0 : s.mode === "train" ? trainedAt() : s.t;
  const arrows = s.mode === "train" ? "none" : s.arrows;
  const reply = await app.python.newest("points", "points.forward", { ...world(), t, arrows });
  if (!reply) return;
  view = { cloud: reply.cloud, places: reply.places, arrows: reply.arrows, limit: reply.limit, family: t === 0 ? "data" : "noisy" };
  redraw();
  if (s.mode !== "forward") return;
  document.getElementById("points-caption").textContent = t === 0 ? "x_0: the data" : `${reply.cloud.shape[0]} points x_t at t = ${t}. ${reply.check}`;
  if (reply.code) { showCode(ui.code, reply.code); ui.place.textContent = `${reply.code.place}, run here for the first of the points`; }
  ui.numbers.replaceChildren(figure(t ? number(Math.sqrt(reply.alpha_bar)) : "1", "of the data is left"), figure(t ? number(Math.sqrt(1 - reply.alpha_bar)) : "0", "of noise"));
}

function stop() { run++; if (ui.play) { ui.play.textContent = "▶ Play"; ui.train.textContent = "Train"; } }

async function play() {
  if (ui.play.textContent.includes("Stop")) { stop(); return; }
  stop();
  const mine = run;
  ui.play.textContent = "■ Stop";
  ui.numbers.replaceChildren();
  const start = await app.python.call("points.reverse_start", { ...world(), sampler: s.sampler, S: s.S, eta: s.eta, spacing: s.spacing, network: s.by === "network" });
  const ghost = (await app.python.call("points.forward", { ...world(), t: 0, arrows: "none" })).cloud;
  view = { cloud: start.cloud, ghost, limit: start.limit };
  const caption = document.getElementById("points-caption");
  for (;;) {
    const more = await app.python.call("points.reverse_more", { count: s.sampler === "ddpm" ? Math.max(1, Math.round(s.T / 50)) : 1 });
    if (mine !== run) return;
    if (more.clouds.length) {
      view.cloud = more.clouds[more.clouds.length - 1];
      view.family = more.done ? "data" : "noisy";
      redraw();
      const t = more.times[more.times.length - 1];
      caption.textContent = more.done ? "x_0: every point arrived. Pale: the data." : `t = ${t}. Pale: the data, which the sampler never sees.`;
    }
    ui.numbers.replaceChildren(...distances(start, more));
    if (more.done) break;
    await new Promise((resolve) => setTimeout(resolve, s.sampler === "ddpm" ? 20 : 90));
  }
  stop();
}

// What is measured: each point against where the exact map brings it, while they walk; the two clouds at the end.
function distances(start, more) {
  const shown = [];
  if (more.map_distance !== undefined) shown.push(figure(number(more.map_distance), "from the exact map, each point (root mean square)"));
  if (more.done) shown.push(figure(number(more.distance), "distance to the exact distribution (energy distance)"), figure(number(more.exact_distance), "what exact draws have"), figure(String(start.calls), "calls of the noise predictor"));
  return shown;
}

async function train() {
  if (ui.train.textContent === "Stop") { stop(); return; }
  stop();
  const mine = run, t = trainedAt();
  ui.train.textContent = "Stop";
  losses = [];
  let report = await app.python.call("points.train_start", world());
  const from = report.distance;
  const exact = await app.python.call("points.forward", { ...world(), t, arrows: "exact" });
  view = { ...exact, arrows: null, under: exact.arrows, family: "noisy" };
  document.getElementById("points-caption").textContent = `Blue: the network's arrows at t = ${t}, while it learns. Green: the exact score.`;
  while (mine === run) {
    report = await app.python.call("points.train_more", { seconds: 0.3, t });
    if (mine !== run) break;
    losses.push(...report.losses);
    view.arrows = report.arrows;
    ui.numbers.replaceChildren(
      figure(number(report.distance), "distance to the exact score", report.distance < from / 2 ? "good" : ""),
      figure(number(from), "before training"), figure(String(report.steps), "steps"), figure(`${report.seconds.toFixed(0)} s`, "of training"));
    ui.numbers.dataset.distance = report.distance;
    ui.numbers.dataset.first = from;
    ui.curve.style.visibility = "visible";
    redraw();
  }
}

function drawLosses() {
  const width = Math.max(1, Math.floor(losses.length / 120)), x = [], y = [];
  for (let i = 0; i + width <= losses.length; i += width) {
    x.push(i + width / 2);
    y.push(losses.slice(i, i + width).reduce((a, b) => a + b) / width);
  }
  if (x.length > 1) drawCurves(ui.curve, [{ x, y, name: "noise", label: "loss" }], { zero: true, xLabel: "steps" });
}

function draw(event) {
  if (s.data !== "drawn" || (event.type === "pointermove" && !event.buttons)) return;
  const box = ui.canvas.getBoundingClientRect(), limit = 2.6;
  const x = ((event.clientX - box.left) / box.width) * 2 * limit - limit, y = limit - ((event.clientY - box.top) / box.height) * 2 * limit;
  if (event.type === "pointerdown") { ui.canvas.setPointerCapture(event.pointerId); if (view.cloud) { view = {}; } }
  const last = drawn[drawn.length - 1];
  if (!last || Math.hypot(last[0] - x, last[1] - y) > 0.06) drawn.push([x, y]);
  view = {};
  redraw();
}
