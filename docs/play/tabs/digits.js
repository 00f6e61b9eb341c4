import { el } from "../parts.js";
export const title = "digits";
export async function mount(panel) { panel.append(el("h1", {}, "digits")); }
export async function show() {}
