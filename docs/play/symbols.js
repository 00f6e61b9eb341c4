// One colour for each symbol, the same in formula, code and value.

const FAMILIES = [
  [/^(x_0|x_0_hat|z_0|x_hat|image|signal)$/, "data"],
  [/^(x_t|z_t|x_T|x_1|x)$/, "noisy"],
  [/^(x_prev|x_prev_prev|x_next)$/, "prev"],
  [/^(eps|eps_hat|eps_theta|eps_step|eps_y|eps_uncond|eps_merged|noise|predicted_noise)$/, "noise"],
  [/^(alpha_bar|one_minus_alpha_bar|alpha_bar_t|alpha_hat|alpha_bar_prev|alpha_bar_T)$/, "abar"],
  [/^(alpha|alpha_t|alpha_prev)$/, "alpha"],
  [/^(beta|beta_tilde|beta_t|variance_t)$/, "beta"],
  [/^(mu|mu_tilde|mu_theta|mean|mean_q|mean_p)$/, "mean"],
  [/^(sigma_t|sigma|sigma_t_squared|variance)$/, "sigma"],
  [/^(z|random_noise)$/, "fresh"],
  [/^(score|direction|gradient|v|v_hat)$/, "field"],
];

export function familyOf(name) {
  const last = name.replace(/^.*\./, "");
  const found = FAMILIES.find(([pattern]) => pattern.test(last));
  return found ? found[1] : "";
}

export const classOf = (name) => {
  const family = familyOf(name);
  return family ? `sym sym-${family}` : "";
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
