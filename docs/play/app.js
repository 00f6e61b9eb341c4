// The shell: loading, tabs, the address, light and dark. Each tab is a module with {title, mount(panel, app), show(state)}.

import { Python } from "./python.js";
import { el, note, toast } from "./parts.js";
import * as points from "./tabs/points.js";
import * as digits from "./tabs/digits.js";
import * as equation from "./tabs/equation.js";
import * as unet from "./tabs/unet.js";
import * as broken from "./tabs/broken.js";
import * as lab from "./tabs/lab.js";
import * as exercises from "./tabs/exercises.js";

const TABS = { points, digits, equation, unet, broken, lab, exercises };
const $ = (id) => document.getElementById(id);
const SIZES = { "pyodide.asm.wasm": "Python", "python_stdlib.zip": "Python's library", "minidiff.zip": "minidiff and its weights", numpy: "NumPy" };

const app = {
  python: null,
  // the state of the tab on the screen, as in the address: #points?t=40
  state() {
    const [, query = ""] = location.hash.slice(1).split("?");
    return Object.fromEntries(new URLSearchParams(query));
  },
  tab() {
    const name = location.hash.slice(1).split("?")[0];
    return name in TABS ? name : "points";
  },
  // remembers settings in the address without a new entry in the history
  remember(settings) {
    const query = new URLSearchParams();
    for (const [key, value] of Object.entries(settings)) if (value !== "" && value != null) query.set(key, value);
    history.replaceState(null, "", `#${app.tab()}?${query}`);
  },
};
window.minidiff = app; // for the tests, and for the curious

function makeTabs() {
  for (const [name, module] of Object.entries(TABS)) {
    $("tabs").append(el("button", {
      type: "button", role: "tab", id: `tab-${name}`, "aria-controls": `panel-${name}`,
      onclick: () => { location.hash = name; },
    }, module.title));
    $("panels").append(el("section", { role: "tabpanel", id: `panel-${name}`, "aria-labelledby": `tab-${name}`, hidden: true }));
  }
  $("tabs").addEventListener("keydown", (event) => {
    const names = Object.keys(TABS), at = names.indexOf(app.tab());
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: names.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    location.hash = names[(to + names.length) % names.length];
    $(`tab-${names[(to + names.length) % names.length]}`).focus();
  });
  document.querySelector(".brand").addEventListener("click", (event) => {
    event.preventDefault(); // the page stays loaded
    location.hash = "points";
  });
  // Ctrl and a number, or Alt and an arrow, from anywhere
  document.addEventListener("keydown", (event) => {
    const names = Object.keys(TABS);
    if ((event.ctrlKey || event.altKey) && event.key >= "1" && event.key <= String(names.length)) {
      event.preventDefault();
      location.hash = names[Number(event.key) - 1];
    }
  });
}

const mounted = new Set();

function showChosenTab() { $(`tab-${app.tab()}`).scrollIntoView({ block: "nearest", inline: "center" }); }

async function showTab() {
  const name = app.tab(), panel = $(`panel-${name}`);
  for (const other of Object.keys(TABS)) {
    const on = other === name;
    $(`panel-${other}`).hidden = !on;
    $(`tab-${other}`).setAttribute("aria-selected", on);
    $(`tab-${other}`).tabIndex = on ? 0 : -1;
    if (!on && mounted.has(other)) TABS[other].leave?.();
  }
  document.title = `minidiff: ${TABS[name].title}`;
  showChosenTab();
  panel.setAttribute("aria-busy", "true");
  try {
    if (!mounted.has(name)) { mounted.add(name); await TABS[name].mount(panel, app); }
    await TABS[name].show(app.state());
  } catch (error) {
    panel.append(note(error.message, "bad"));
  }
  panel.removeAttribute("aria-busy");
}

function showLoading() {
  const lines = {}, order = ["pyodide.asm.wasm", "python_stdlib.zip", "numpy", "minidiff.zip"];
  for (const key of order) $("loading-steps").append((lines[key] = el("li", {}, el("span", {}, SIZES[key]), el("span"))));
  let done = 0;
  const words = { python: "Starting Python…", numpy: "Loading NumPy…", minidiff: "Importing minidiff…" };
  return ({ what, got, total }) => {
    if (lines[what] && got !== undefined) {
      const size = `${(got / 1e6).toFixed(1)}${total ? ` of ${(total / 1e6).toFixed(1)}` : ""} MB`;
      lines[what].lastChild.textContent = size;
      $("loading-what").textContent = `Loading ${SIZES[what]}: ${size}`;
      const at = order.indexOf(what) / 5;
      done = Math.max(done, at + (total ? got / total / 5 : 0.1));
      if (total && got >= total) lines[what].classList.add("done");
    } else {
      $("loading-what").textContent = words[what] || "Starting…";
      const finished = { python: ["pyodide.asm.wasm", "python_stdlib.zip"], minidiff: ["numpy", "minidiff.zip"] }[what] || [];
      for (const key of finished) lines[key].classList.add("done");
      done = Math.max(done, { python: 0.45, numpy: 0.6, minidiff: 0.9 }[what] || 0);
    }
    $("loading-bar").value = done;
  };
}

function theme() {
  const next = { auto: "dark", dark: "light", light: "auto" };
  $("theme").addEventListener("click", () => {
    const root = document.documentElement;
    root.dataset.theme = next[root.dataset.theme];
    localStorage.setItem("minidiff-theme", root.dataset.theme);
    toast({ auto: "As the system: light or dark", dark: "Dark", light: "Light" }[root.dataset.theme]);
    if (mounted.has(app.tab())) TABS[app.tab()].redraw?.();
  });
  $("share").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      toast("The address of exactly this is in the clipboard");
    } catch {
      toast(location.href);
    }
  });
}

async function main() {
  makeTabs();
  theme();
  let config;
  try {
    config = await (await fetch("config.json", { cache: "no-cache" })).json();
  } catch {
    config = null;
  }
  if (!config) throw new Error("config.json is missing here: start the page by `python -m minidiff play`");
  const absolute = (path) => new URL(path, location.href).href;
  app.python = new Python({ ...config, pyodide: absolute(config.pyodide), package: absolute(config.package) }, showLoading());
  await app.python.ready;
  $("loading").hidden = true;
  $("panels").hidden = false;
  window.addEventListener("hashchange", showTab);
  window.addEventListener("resize", () => { TABS[app.tab()].redraw?.(); showChosenTab(); });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => TABS[app.tab()].redraw?.());
  await showTab();
  document.documentElement.dataset.ready = "yes";
}

main().catch((error) => {
  $("loading-what").replaceChildren(note(`The page could not start: ${error.message}`, "bad"));
  $("loading-bar").hidden = true;
});
