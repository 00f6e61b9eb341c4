// The formulas of the deck, LaTeX to MathML, which browsers draw themselves. Symbols get the colour that they have in code.

import { symbolOf } from "./symbols.js";

const LETTERS = {
  alpha: "α", beta: "β", gamma: "γ", epsilon: "ϵ", eta: "η", theta: "θ", lambda: "λ", mu: "μ", pi: "π", sigma: "σ", tau: "τ",
  phi: "ϕ", varphi: "φ", Sigma: "Σ", Phi: "Φ", varnothing: "∅",
  chi: "χ", delta: "δ", rho: "ρ", omega: "ω", psi: "ψ", Omega: "Ω", Delta: "Δ", Gamma: "Γ", Psi: "Ψ", infty: "∞", ell: "ℓ", partial: "∂",
};
const OPERATORS = {
  cdot: "·", sim: "∼", in: "∈", leftarrow: "←", to: "→", pm: "±", "|": "‖", "{": "{", "}": "}", subseteq: "⊆", nabla: "∇", dots: "…", le: "≤", ge: "≥", approx: "≈", times: "×", neq: "≠", propto: "∝",
};
const BIG = { sum: "∑", prod: "∏", int: "∫" };
const NAMED = new Set(["log", "exp", "sin", "cos", "max", "min", "arg"]);
const ACCENTS = { bar: "¯", tilde: "~", hat: "^", dot: "˙" };
const SIZES = { Big: "1.6em", big: "1.25em" };

const mo = (text, more = "") => `<mo${more}>${text === "<" ? "&lt;" : text === "&" ? "&amp;" : text}</mo>`;

class Reader {
  constructor(latex) {
    this.tokens = latex.match(/\\[A-Za-z]+|\\.|[{}^_]|\d+(?:\.\d+)?|\s+|./g) || [];
    this.at = 0;
  }

  peek() { while (/^\s+$/.test(this.tokens[this.at] || "")) this.at++; return this.tokens[this.at]; }
  next() { const token = this.peek(); this.at++; return token; }

  // up to the closing brace or the end, with its symbols coloured
  row(end) {
    const out = [];
    while (this.peek() !== undefined && this.peek() !== end) out.push(this.scripted());
    if (end) this.next();
    return out.join("");
  }

  // {...} as raw tokens, or the next token
  raw() {
    if (this.peek() !== "{") return this.next();
    let depth = 0, text = "";
    do {
      const token = this.tokens[this.at++];
      depth += token === "{" ? 1 : token === "}" ? -1 : 0;
      text += token;
    } while (depth);
    return text.slice(1, -1);
  }

  group() {
    if (this.peek() === "{") { this.next(); return `<mrow>${this.row("}")}</mrow>`; }
    return this.atom().html;
  }

  scripted() {
    const base = this.atom();
    let sub = "", sup = "", subText = "";
    while (this.peek() === "_" || this.peek() === "^") {
      if (this.next() === "_") { const at = this.at; subText = this.raw(); this.at = at; sub = this.group(); } else sup = this.group();
    }
    const [low, high, both] = base.limits ? ["munder", "mover", "munderover"] : ["msub", "msup", "msubsup"];
    // a large fence keeps its size only outside of its scripts, which stand at a strut of its height
    let html = base.fence && (sub || sup) ? '<mspace width="0" height="1.05em" depth="0.35em"/>' : base.html;
    if (sub && sup) html = `<${both}>${html}${sub}${sup}</${both}>`;
    else if (sub) html = `<${low}>${html}${sub}</${low}>`;
    else if (sup) html = `<${high}>${html}${sup}</${high}>`;
    if (base.fence && html !== base.html) html = base.html + html;
    const symbol = base.name ? symbolOf(symbolName(base.name, subText)) : "";
    return symbol ? `<mrow class="sym s-${symbol}">${html}</mrow>` : html;
  }

  atom() {
    const token = this.next();
    if (token === undefined) return { html: "" };
    if (token === "{") return { html: `<mrow>${this.row("}")}</mrow>` };
    if (/^\d/.test(token)) return { html: `<mn>${token}</mn>` };
    if (token[0] !== "\\") return letter(token);
    const name = token.slice(1);
    if (name in LETTERS) return { html: `<mi>${LETTERS[name]}</mi>`, name };
    if (name in OPERATORS) return { html: mo(OPERATORS[name]) };
    if (name in BIG) return { html: mo(BIG[name], ' largeop="true" movablelimits="false"'), limits: name !== "int" };
    if (NAMED.has(name)) return { html: `<mi mathvariant="normal">${name}</mi><mspace width="0.12em"/>`, limits: name === "min" || name === "max" };
    if (name in ACCENTS) {
      const inner = this.peek() === "{" ? new Reader(this.raw()).atom() : this.atom();
      return { html: `<mover accent="true">${inner.html}<mo stretchy="false">${ACCENTS[name]}</mo></mover>`, name: `${inner.name}|${name}` };
    }
    if (name in SIZES) {
      const what = this.next();
      const text = what === "\\|" ? "‖" : what === "\\{" ? "{" : what === "\\}" ? "}" : what;
      return { html: mo(text, ` stretchy="true" symmetric="true" minsize="${SIZES[name]}" maxsize="${SIZES[name]}"`), fence: true };
    }
    switch (name) {
      case "frac": case "tfrac": {
        const a = this.group(), b = this.group();
        const html = `<mfrac>${a}${b}</mfrac>`;
        return { html: name === "tfrac" ? `<mstyle displaystyle="false" scriptlevel="0">${html}</mstyle>` : html };
      }
      case "sqrt": return { html: `<msqrt>${this.group()}</msqrt>` };
      case "mathbf": case "boldsymbol": {
        const raw = this.raw();
        const text = raw[0] === "\\" ? LETTERS[raw.slice(1)] || "" : raw;
        return { html: `<mi class="bold" mathvariant="normal">${text}</mi>`, name: raw.replace("\\", "") };
      }
      case "mathcal": return { html: `<mi class="script">${this.raw()}</mi>` };
      case "mathrm": return { html: `<mi mathvariant="normal">${this.raw()}</mi>` };
      case "text": return { html: `<mtext>${this.raw()}</mtext>` };
      case "quad": return { html: '<mspace width="1.4em"/>' };
      case ",": return { html: '<mspace width="0.17em"/>' };
      default: return { html: `<merror><mtext>${token}</mtext></merror>` };
    }
  }
}

function letter(token) {
  if (/[A-Za-z]/.test(token)) return { html: `<mi>${token}</mi>`, name: token };
  if (token === "-") return { html: mo("−") };
  if (token === "|") return { html: mo("|", ' stretchy="false" lspace="0.15em" rspace="0.15em"') };
  if ("()[]".includes(token)) return { html: mo(token, ' stretchy="false"') };
  if (token === "/") return { html: mo("/", ' lspace="0.1em" rspace="0.1em"') };
  return { html: mo(token) };
}

// alpha|bar with t -> alpha_bar; x with t-1 -> x_prev; epsilon with theta -> eps_theta
function symbolName(name, sub) {
  const [base, accent] = name.split("|");
  const plain = { epsilon: "eps" }[base] || base;
  const under = sub.replace(/[\\{}\s]/g, "");
  if (plain === "alpha" && accent === "bar") return "alpha_bar";
  if (accent === "hat" && plain === "x" && under === "0") return "x_0_hat";
  if (plain === "x" || plain === "z") {
    if (under === "0") return `${plain}_0`;
    if (under === "t-1") return "x_prev";
    if (under === "t" || under === "T") return `${plain}_t`;
    return under ? "" : plain === "z" ? "z" : "";
  }
  if (plain === "eps") return accent === "hat" || accent === "tilde" || under.startsWith("theta") ? "eps_theta" : "eps";
  if (plain === "beta" && accent === "tilde") return "beta_tilde";
  if (plain === "v") return under === "t" ? "v" : "";
  if (plain === "sigma") return "sigma_t";
  return plain;
}

// Draws into a node, and makes the letters smaller where the formula is wider than its place.
export function showFormula(node, latex, label) {
  node.innerHTML = latex ? formula(latex, label) : "";
  const math = node.firstElementChild;
  if (!math) return;
  for (const size of [1.35, 1.2, 1.05, 0.95, 0.85]) {
    math.style.fontSize = `${size}rem`;
    if (node.scrollWidth <= node.clientWidth) break;
  }
}

export function formula(latex, label) {
  const html = new Reader(latex).row();
  const spoken = label ? ` aria-label="${label.replace(/"/g, "&quot;")}"` : "";
  return `<math display="block"${spoken}>${html}</math>`;
}
