// Broken on purpose: each class A erratum of the deck as a switch.

import { el, figure, note, number, said, segments } from "../parts.js";
import { drawCurves, drawOne, drawPlane } from "../picture.js";
import { escape } from "../symbols.js";

export const title = "Broken on purpose";

let app, ui = {}, all = [], s = { erratum: 28, broken: false, on: "points" }, result = null, draws = 0;

export async function mount(panel, application) {
  app = application;
  all = await app.python.call("broken.switches");
  ui.switches = el("div.switches", { role: "group", "aria-label": "Errata of the deck" });
  for (const item of all) {
    ui.switches.append(el("button.switch", {
      type: "button", role: "switch", "aria-checked": "false", "data-erratum": item.erratum, title: item.says,
      onclick: () => flip(item.erratum),
    }, el("span.knob"), el("span", {}, item.title), el("small", {}, `slide ${item.slide}`)));
  }
  ui.switches.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const nodes = [...ui.switches.children], at = nodes.indexOf(document.activeElement);
    nodes[(at + step + nodes.length) % nodes.length].focus();
  });
  ui.on = segments("What is drawn", [["points", "Points"], ["digit", "Digits"]], s.on, (on) => { s.on = on; runIt(); });
  ui.title = el("h2");
  ui.diff = el("div.diff");
  ui.watch = el("p");
  ui.stage = el("div", { id: "broken-stage" });
  ui.numbers = el("div.numbers", { id: "broken-numbers" });
  ui.say = el("div");
  panel.append(
    el("h1", {}, "Broken on purpose"),
    el("p.lede", {}, "Flip a switch: a slide's form runs in place of the right one. The noise predictor is exact, so the formula alone is to blame."),
    el("div.three", {}, ui.switches, ui.stage,
      el("div", {}, ui.title, ui.diff, ui.watch, ui.numbers, el("div.controls", {}, ui.on), ui.say)),
  );
}

export async function show(state) {
  s = { ...s, ...state, erratum: Number(state.erratum || s.erratum), broken: state.broken !== undefined ? state.broken === "yes" : s.broken };
  await runIt();
}

export function redraw() { if (result) paint(); }

async function flip(erratum) {
  s.broken = s.erratum === erratum ? !s.broken : true;
  s.erratum = erratum;
  await runIt();
}

async function runIt() {
  const item = all.find((other) => other.erratum === s.erratum) || all[0];
  app.remember({ erratum: item.erratum, broken: s.broken ? "yes" : "no", on: s.on });
  for (const node of ui.switches.children) {
    const mine = Number(node.dataset.erratum) === item.erratum;
    node.setAttribute("aria-checked", mine && s.broken);
    node.classList.toggle("current", mine);
  }
  ui.on.hidden = item.kind !== "samples";
  ui.on.set(s.on);
  ui.title.textContent = `Erratum ${item.erratum}: ${item.title}, slide ${item.slide}`;
  ui.diff.innerHTML = `<div class="right ${s.broken ? "off" : "on"}">right   ${escape(item.right)}</div><div class="wrong ${s.broken ? "on" : "off"}">slide   ${escape(item.printed)}</div>`;
  ui.watch.textContent = item.watch;
  const mine = ++draws;
  ui.stage.setAttribute("aria-busy", "true");
  await said(ui.say, async () => {
    const reply = await app.python.call("broken.flip", { erratum: item.erratum, broken: s.broken, on: s.on });
    if (mine !== draws) return;
    result = reply;
    paint();
  });
  ui.stage.removeAttribute("aria-busy");
}

function paint() {
  const r = result;
  ui.numbers.replaceChildren();
  ui.stage.replaceChildren();
  if (r.refused) ui.stage.append(note(`It does not even run. ${r.refused}.`, "bad"));
  if (r.samples && s.on === "points") {
    const canvas = el("canvas.square", { role: "img", "aria-label": "The samples" });
    ui.stage.append(canvas);
    drawPlane(canvas, { cloud: r.samples, limit: r.limit, family: s.broken ? "noise" : "data" });
  } else if (r.samples) {
    const grid = el("div.grid10", { style: "grid-template-columns: repeat(4, minmax(0, 1fr))" });
    ui.stage.append(grid);
    for (let i = 0; i < Math.min(12, r.samples.shape[0]); i++) {
      const canvas = el("canvas", { role: "img", "aria-label": `Sample ${i + 1}` });
      grid.append(canvas);
      drawOne(canvas, r.samples, i);
    }
  }
  if (r.distance !== undefined) {
    const far = r.distance === "inf" || Math.abs(r.distance - r.exact) > 0.35 * Math.max(r.exact, 0.02);
    ui.numbers.append(figure(number(r.distance), r.measure, s.broken && far ? "bad" : s.broken ? "" : "good"), figure(number(r.exact), r.beside));
    ui.numbers.dataset.distance = r.distance;
  }
  if (r.kind === "curves") {
    const canvas = el("canvas", { style: "height: 20rem", role: "img", "aria-label": "Both forms over t" });
    ui.stage.append(canvas);
    drawCurves(canvas, [{ x: r.t.data, y: r.right.data, name: "data", label: "right", faint: s.broken }, { x: r.t.data, y: r.printed.data, name: "noise", label: "as the slide has it", faint: !s.broken }], { logX: true, logY: true, xLabel: "t" });
    const y = (s.broken ? r.printed : r.right).data;
    ui.numbers.append(figure(number(y[0]), "at t = 1", s.broken ? "bad" : "good"), figure(number(y[y.length - 1]), "at t = 1000"), figure(number(r.right.data[0]), "right at t = 1"));
  }
  if (r.kind === "channels") {
    ui.numbers.append(...r.levels.map((channels, i) => figure(String(channels), `level ${i + 1}`, s.broken ? "bad" : "good")), figure(r.parameters.toLocaleString("en"), `parameters with ${r.small.join(", ")} channels`));
    bars(r.levels);
  }
  if (r.kind === "sizes") {
    ui.numbers.append(...r.down.map((side) => figure(String(side), "down")), ...r.up.map((side, i) => figure(String(side), "up", side === r.down[r.down.length - 2 - i] ? "good" : "bad")));
  }
}

function bars(levels) {
  const most = 1024;
  ui.stage.append(...levels.map((channels, i) => el("div", { style: `height: 1.6rem; margin: .3rem 0; border-radius: .4rem; width: ${Math.max(2, (channels / most) * 100)}%; background: var(--${s.broken ? "noise" : "data"})`, role: "img", "aria-label": `level ${i + 1}: ${channels} channels` })));
}
