import { el } from "../parts.js";
export const title = "unet";
export async function mount(panel) { panel.append(el("h1", {}, "unet")); }
export async function show() {}
