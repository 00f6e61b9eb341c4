// Pieces that the tabs share: elements, sliders, code with values, notes.

import { classOf, colouredCode, escape } from "./symbols.js";

// el("div.card", {id: "a"}, "text", child)
export function el(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const node = document.createElement(name || "div");
  if (classes.length) node.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "html") node.innerHTML = value;
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value != null) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child != null && child !== false));
  return node;
}

export function slider(label, { min, max, step = 1, value, show = String, oninput, id }) {
  const out = el("output", { for: id }, show(value));
  const name = el("span", { html: label });
  const input = el("input", { type: "range", min, max, step, id, "aria-label": name.textContent });
  input.value = value;
  input.addEventListener("input", () => { out.textContent = show(Number(input.value)); oninput(Number(input.value)); });
  const node = el("div.slider", {}, el("label", { for: id }, name, " ", out), input);
  node.set = (number) => { input.value = number; out.textContent = show(number); };
  node.limit = (most) => { input.max = most; };
  return node;
}

export function select(label, options, value, onchange) {
  const input = el("select", { "aria-label": label, onchange: () => onchange(input.value) });
  for (const [key, text] of options) input.append(el("option", { value: key }, text));
  input.value = value;
  const node = el("label", {}, el("span.quiet", {}, label), input);
  node.set = (key) => { input.value = key; };
  return node;
}

export function segments(label, options, value, onchange) {
  const node = el("div.segments", { role: "group", "aria-label": label });
  const show = (key) => { for (const b of node.children) b.setAttribute("aria-pressed", b.dataset.key === key); };
  for (const [key, text] of options) {
    node.append(el("button", { type: "button", "data-key": key, onclick: () => { show(key); onchange(key); } }, text));
  }
  show(value);
  node.set = show;
  return node;
}

// How far in a line of code begins, for the stylesheet: where it is too long, it goes on further in.
export const indentOf = (text) => ` style="--indent: ${text.search(/\S|$/)}"`;

// lines: [{text, values: {name: text}}]; lit: a name whose line is to be marked
export function showCode(node, code, lit) {
  const lines = code.lines.map(({ text, values }) => {
    const shown = Object.entries(values).map(([name, value]) => {
      const label = name.replace(/^now\./, "");
      return `<span class="${classOf(name)}">${Object.keys(values).length > 1 ? `${escape(label)} ` : ""}<b>${escape(shortened(value))}</b></span>`;
    }).join("<br>");
    const is = lit && (lit in values || new RegExp(`^\\s*${lit}(, \\w+)* =|^\\s*(\\w+, )+${lit} =`).test(text));
    return `<div class="line${is ? " lit" : ""}"><span class="text"${indentOf(text)}>${colouredCode(text)}</span><span class="value">${shown}</span></div>`;
  });
  node.className = "code";
  node.innerHTML = lines.join("");
}

const shortened = (value) => value.replace(/\s+\((?:\d+,? ?)+\)$/, "").replace(/\b(float32|float64|int64)\s*$/, "").replace(/\[\[\s*(.*?)\s*\]\]/, "[$1]").trim();

export function number(value, digits = 3) {
  if (typeof value === "string") return value === "inf" ? "∞" : value === "nan" ? "not a number" : value;
  if (value === 0) return "0";
  if (Math.abs(value) >= 1000 && Math.abs(value) < 1e6) return Math.round(value).toLocaleString("en");
  return Math.abs(value) >= 1e4 || Math.abs(value) < 1e-3 ? value.toExponential(1) : value.toPrecision(digits);
}

export function figure(value, caption, kind = "") {
  return el("div.number", {}, el("b", { class: kind }, value), el("span", {}, caption));
}

export function note(text, kind = "") {
  return el("p.note", { class: `note ${kind}` }, text);
}

export function toast(text) {
  const node = document.getElementById("toast");
  node.textContent = text;
  node.classList.add("shown");
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => node.classList.remove("shown"), 3200);
}

// Runs an async action of a button: what goes wrong is said in `place`, never thrown at the console.
export async function said(place, action) {
  place.replaceChildren();
  try {
    await action();
  } catch (error) {
    place.replaceChildren(note(error.message, "bad"));
  }
}
