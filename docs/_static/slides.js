// A slide's page: one formula at a time, chosen by its address, the list, or a presenter's remote control. Without this script all are shown.
"use strict";

function slidePage() {
  const slide = document.querySelector(".slide");
  if (!slide) return;
  const panels = [...slide.querySelectorAll(".panel")];
  const steps = [...slide.querySelectorAll(".step")];
  document.documentElement.classList.add("js");

  // the panel that an address means: by its own name, or by the id of its equation
  function wanted() {
    const name = decodeURIComponent(location.hash.slice(1));
    if (name === "last") return panels.length - 1;
    const place = panels.findIndex((panel) => panel.id === name || panel.dataset.equation === name);
    return place >= 0 ? place : 0;
  }

  function show(place) {
    panels.forEach((panel, i) => panel.classList.toggle("current", i === place));
    steps.forEach((step, i) => {
      step.classList.toggle("current", i === place);
      if (i === place) { step.setAttribute("aria-current", "true"); step.scrollIntoView({ block: "nearest" }); }
      else step.removeAttribute("aria-current");
    });
  }

  const current = () => panels.findIndex((panel) => panel.classList.contains("current"));

  function go(place) {
    history.replaceState(null, "", "#" + panels[place].id);
    show(place);
    window.scrollTo(0, 0);
  }

  function leave(which, hash = "") {
    const link = document.querySelector(".slide-bar ." + which);
    if (link) location.href = link.href + hash;
  }

  steps.forEach((step, i) => step.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    go(i);
  }));
  addEventListener("hashchange", () => { if (!location.hash.startsWith("#erratum")) show(wanted()); });
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    if (event.target.closest("input, textarea, select")) return;
    const at = current();
    if (event.key === "ArrowRight") leave("next");
    else if (event.key === "ArrowLeft") leave("previous");
    else if (event.key === "PageDown") at + 1 < panels.length ? go(at + 1) : leave("next");
    else if (event.key === "PageUp") at > 0 ? go(at - 1) : leave("previous", "#last");
    else return;
    event.preventDefault();
  });
  show(wanted());
  if (!location.hash.startsWith("#erratum")) window.scrollTo(0, 0);
}

slidePage();
