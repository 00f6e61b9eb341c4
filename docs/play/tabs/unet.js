// U-Net: the network of the shipped weights, drawn with the shapes that it has here; click a block to look inside.

import { el, figure, indentOf, number, said, select, slider } from "../parts.js";
import { drawOne } from "../picture.js";
import { colouredCode } from "../symbols.js";

export const title = "U-Net";

let app, ui = {}, s = { t: 300, digit: 3, block: "middle", parameter: "", index: 0 }, now = null, inside = null;

export async function mount(panel, application) {
  app = application;
  ui.t = slider("<i>t</i> =", { min: 1, max: 1000, value: 300, id: "unet-t", oninput: (t) => { s.t = t; look(); } });
  ui.digit = select("Digit", Array.from({ length: 10 }, (_, i) => [String(i), String(i)]), "3", (digit) => { s.digit = Number(digit); look(); });
  ui.pictures = el("div.gallery", { id: "unet-pictures" });
  ui.drawing = el("div", { id: "unet-drawing" });
  ui.say = el("div");
  ui.title = el("h2");
  ui.summary = el("p.quiet");
  ui.maps = el("div.maps", { id: "unet-maps" });
  ui.code = el("div.code");
  ui.place = el("p.place");
  ui.gradient = el("div");
  panel.append(
    el("h1", {}, "The network that predicts the noise"),
    el("p.lede", {}, "Click a block, or use the arrow keys: its feature maps for this image, its code, and the gradient of any one weight."),
    el("div.two", {},
      el("div", {}, ui.drawing, el("div.controls", {}, ui.digit), ui.t, ui.pictures, ui.say),
      el("div", {}, ui.title, ui.summary, ui.maps, ui.code, ui.place, ui.gradient)),
  );
}

export function redraw() {
  if (now && !document.getElementById("panel-unet").hidden) { draw(); said(ui.say, () => open(s.block)); }
}

export async function show(state) {
  s = { ...s, ...state };
  for (const key of ["t", "digit", "index"]) s[key] = Number(s[key]);
  ui.t.set(s.t);
  ui.digit.set(String(s.digit));
  await look();
}

async function look() {
  await said(ui.say, async () => {
    const reply = await app.python.newest("unet.run", "unet.run", { t: s.t, digit: s.digit });
    if (!reply) return;
    now = reply;
    ui.t.limit(now.T);
    const images = [["x_0", now.x_0, {}], ["x_t", now.x_t, {}], ["eps", now.eps, { diverging: true, high: 2 }], ["eps_hat", now.eps_hat, { diverging: true, high: 2 }], ["x_0_hat", now.x_0_hat, {}]];
    ui.pictures.replaceChildren();
    for (const [name, picture, options] of images) {
      const canvas = el("canvas", { role: "img", "aria-label": name });
      ui.pictures.append(el("div.term", { style: "cursor: default" }, canvas, el("span", { html: colouredCode(name) })));
      drawOne(canvas, picture, 0, options);
    }
    draw();
    await open(now.blocks.some((b) => b.name === s.block) ? s.block : "middle");
  });
}

function draw() {
  const sides = [...new Set(now.blocks.filter((b) => b.output.length === 3).map((b) => b.output[1]))].sort((a, b) => b - a);
  const level = (b) => sides.indexOf(b.output[1]);
  const down = now.blocks.filter((b) => b.name.startsWith("down") || b.name === "image_proj");
  const up = now.blocks.filter((b) => b.name.startsWith("up") || b.name === "norm" || b.name === "final");
  const narrow = ui.drawing.clientWidth < 480, W = narrow ? 372 : 620, row = narrow ? 46 : 42, parts = [], places = new Map();
  const depth = Math.max(down.length, up.length), width = narrow ? 112 : 196, height = narrow ? 36 : 32;
  const sideText = (b) => (b.output.length === 3 ? `${b.output[0]} × ${b.output[1]}²` : `${b.output[0]}`);
  const name = (b) => ({ image_proj: "image_proj", norm: "norm, swish", final: "final" })[b.name] || b.name;
  // name and shape: on one line where there is room, since a class reads them from the last row
  const labels = (x, y, name, shape) => (narrow
    ? `<text x="${x + 8}" y="${y + 15}" font-weight="600">${name}</text><text x="${x + 8}" y="${y + 30}">${shape}</text>`
    : `<text x="${x + 9}" y="${y + 21}" font-weight="600">${name}</text><text x="${x + width - 9}" y="${y + 21}" text-anchor="end">${shape}</text>`);
  const put = (b, x, y) => {
    places.set(b.name, { x, y });
    const attention = b.attention ? " +attn" : "";
    parts.push(`<g class="block" tabindex="-1" role="button" data-block="${b.name}" aria-pressed="false" aria-label="${b.name}, ${b.kind}, makes ${b.output.join(" by ")}"><rect x="${x}" y="${y}" width="${width}" height="${height}" rx="7"/>${labels(x, y, `${name(b)}${attention}`, sideText(b))}</g>`);
  };
  const indent = narrow ? 7 : 22;
  const bottom = 6 + depth * row;
  up.forEach((b, i) => put(b, W - width - 6 - level(b) * indent, bottom - row - i * row));
  // each output on the way down stands beside the block that takes it on the way up
  const takers = up.filter((b) => b.kind === "UpBlock");
  down.forEach((b, i) => {
    const taker = takers[down.length - 1 - i];
    put(b, 6 + level(b) * indent, taker ? places.get(taker.name).y : 6 + i * row);
  });
  const middle = now.blocks.find((b) => b.name === "middle");
  put(middle, (W - width) / 2, bottom + 14);
  const time = now.blocks.find((b) => b.name === "time_emb");
  put(time, narrow ? (W - width) / 2 : 6, 6);
  const lines = [];
  const edge = (a, b) => {
    const p = places.get(a), q = places.get(b);
    lines.push(`<path d="M${p.x + width / 2} ${p.y + height / 2}L${q.x + width / 2} ${q.y + height / 2}"/>`);
  };
  down.forEach((b, i) => { if (i) edge(down[i - 1].name, b.name); });
  edge(down[down.length - 1].name, "middle");
  edge("middle", up[0].name);
  up.forEach((b, i) => { if (i) edge(up[i - 1].name, b.name); });
  const kept = down.slice(); // each output is popped by one up block
  for (const b of up.filter((other) => other.kind === "UpBlock")) {
    const from = kept.pop();
    if (!from) break;
    const p = places.get(from.name), q = places.get(b.name);
    lines.push(`<path class="skip-way" d="M${p.x + width} ${p.y + height / 2}L${q.x} ${q.y + height / 2}"/>`);
  }
  ui.drawing.innerHTML = `<svg class="unet${narrow ? " narrow" : ""}" viewBox="0 0 ${W} ${bottom + row + 10}" role="group" aria-label="The blocks of the network">${lines.join("")}${parts.join("")}</svg>`;
  const order = now.blocks.map((b) => b.name);
  for (const g of ui.drawing.querySelectorAll(".block")) {
    g.addEventListener("click", () => said(ui.say, () => open(g.dataset.block)));
    g.addEventListener("keydown", (event) => {
      const at = order.indexOf(g.dataset.block);
      const to = { ArrowDown: at + 1, ArrowRight: at + 1, ArrowUp: at - 1, ArrowLeft: at - 1 }[event.key];
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); said(ui.say, () => open(g.dataset.block)); }
      if (to === undefined) return;
      event.preventDefault();
      const next = order[(to + order.length) % order.length];
      ui.drawing.querySelector(`[data-block="${next}"]`).focus();
      said(ui.say, () => open(next));
    });
  }
}

async function open(name) {
  s.block = name;
  for (const g of ui.drawing.querySelectorAll(".block")) {
    const mine = g.dataset.block === name;
    g.setAttribute("aria-pressed", String(mine));
    g.setAttribute("tabindex", mine ? "0" : "-1");
  }
  app.remember({ t: s.t, digit: s.digit, block: name });
  const reply = await app.python.newest("unet.block", "unet.block", { name });
  if (!reply) return;
  inside = reply;
  const facts = now.blocks.find((b) => b.name === name);
  ui.title.textContent = `${name}: ${inside.kind}, ${facts.parameters.toLocaleString("en")} parameters`;
  const shapes = facts.input.length ? `${facts.input.join(" × ")} → ${facts.output.join(" × ")}. ` : `→ ${facts.output.join(" × ")}. `;
  ui.summary.textContent = shapes + inside.summary;
  ui.maps.replaceChildren();
  if (inside.maps) {
    const [channels, height, width] = inside.maps.shape;
    for (let i = 0; i < channels; i++) {
      const canvas = el("canvas", { role: "img", "aria-label": `Feature map ${i + 1}`, title: `channel ${i}` });
      ui.maps.append(canvas);
      const part = inside.maps.data.subarray(i * height * width, (i + 1) * height * width);
      const most = part.reduce((a, v) => Math.max(a, Math.abs(v)), 1e-6);
      drawOne(canvas, inside.maps, i, { diverging: true, high: most });
    }
  } else if (inside.vector) {
    const canvas = el("canvas", { role: "img", "aria-label": "The vector of the time", style: "grid-column: 1 / -1; aspect-ratio: 16 / 1" });
    ui.maps.append(canvas);
    drawOne(canvas, { shape: [1, inside.vector.shape[0]], data: inside.vector.data }, 0, { diverging: true, high: 1.5 });
  }
  ui.code.innerHTML = inside.code.split("\n").map((line) => `<div class="line"><span class="text"${indentOf(line)}>${colouredCode(line)}</span></div>`).join("");
  ui.place.textContent = inside.place;
  gradientBox();
}

function gradientBox() {
  const options = inside.parameters.map((p) => [p.name, `${p.name}  (${p.shape.join(", ")})`]);
  if (!options.some(([key]) => key === s.parameter)) s.parameter = options[0][0];
  const out = el("div.numbers", { id: "unet-gradient" });
  const pick = select("Parameter", options, s.parameter, (value) => { s.parameter = value; });
  const index = el("input.field", { type: "number", min: 0, value: s.index, style: "width: 6.5rem", "aria-label": "Which number of it", onchange: () => { s.index = Number(index.value) || 0; } });
  const go = el("button.main", { type: "button", onclick: () => said(ui.say, async () => {
    s.index = Number(index.value) || 0;
    const g = await app.python.call("unet.gradient", { name: inside.name, parameter: s.parameter, index: s.index });
    out.replaceChildren(
      figure(number(g.gradient, 4), "d loss / d w, by the tape"), figure(number(g.difference, 4), `by moving w by ±${g.h}`),
      figure(number(g.weight, 4), `w${JSON.stringify(g.at)}`), figure(number(g.loss, 4), "loss"));
  }) }, "Its gradient");
  ui.gradient.replaceChildren(el("h2", {}, "The gradient of one weight"), el("div.controls", {}, pick, el("label", {}, el("span.quiet", {}, "number"), index), go), out);
}
