// One colour for each symbol, the same in formula, code and value, and the same as on the site.

import { NAMES } from "./names.js";

// the symbol that a name of the code means, or ""; now.alpha_bar is alpha_bar
export const symbolOf = (name) => NAMES[name.replace(/^.*\./, "")] || "";

export const classOf = (name) => {
  const symbol = symbolOf(name);
  return symbol ? `sym s-${symbol}` : "";
};

export const escape = (text) => String(text).replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);

const KEYWORDS = new Set(["def", "return", "for", "in", "if", "else", "range", "yield", "is", "None", "not", "raise", "while", "True", "False", "and", "or", "lambda", "from", "import", "with", "as"]);

// A line of Python with its symbols in colour.
export function colouredCode(line) {
  let out = "", rest = line;
  const token = /^(#.*|f?"[^"]*"|f?'[^']*'|[A-Za-z_][\w]*(?:\.[A-Za-z_]\w*)*|\d[\d_.e-]*|\s+|.)/;
  while (rest) {
    const text = token.exec(rest)[0];
    rest = rest.slice(text.length);
    if (text[0] === "#") out += `<span class="comment">${escape(text)}</span>`;
    else if (/^f?["']/.test(text)) out += `<span class="string">${escape(text)}</span>`;
    else if (KEYWORDS.has(text)) out += `<span class="keyword">${text}</span>`;
    else if (/^[A-Za-z_]/.test(text)) {
      const cls = rest[0] === "(" ? "" : classOf(text);
      out += cls ? `<span class="${cls}">${escape(text)}</span>` : escape(text);
    } else out += escape(text);
  }
  return out;
}
