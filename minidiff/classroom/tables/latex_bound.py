"""LaTeX by id: slides 12 to 14, the learned variance, the true reverse variance. Data only."""

_P_T = r"-\log p(\mathbf{x}_T)"
_P_STEP = r"p_\theta(\mathbf{x}_{t-1}|\mathbf{x}_t)"
_Q_STEP = r"q(\mathbf{x}_t|\mathbf{x}_{t-1})"
_Q_POSTERIOR = r"q(\mathbf{x}_{t-1}|\mathbf{x}_t,\mathbf{x}_0)"
_Q_CHAIN, _P_CHAIN = r"q(\mathbf{x}_{1:T}|\mathbf{x}_0)", r"p_\theta(\mathbf{x}_{0:T})"
_FIRST = r"\log\frac{q(\mathbf{x}_1|\mathbf{x}_0)}{p_\theta(\mathbf{x}_0|\mathbf{x}_1)}"
_EVIDENCE = r"-\log p_\theta(\mathbf{x}_0)"
_MARGINALS = r"\frac{q(\mathbf{x}_t|\mathbf{x}_0)}{q(\mathbf{x}_{t-1}|\mathbf{x}_0)}"
_STEPS = r"\sum_{t=2}^T\log\frac{" + _Q_POSTERIOR + "}{" + _P_STEP + "}"

LATEX_BOUND: dict[str, str] = {
    "forward.q_two_steps": (
        r"\mathbf{x}_t = \sqrt{\alpha_t\alpha_{t-1}}\,\mathbf{x}_{t-2}"
        r" + \sqrt{1-\alpha_t\alpha_{t-1}}\,\bar{\boldsymbol\epsilon}_{t-2}"
    ),
    "posterior.precision_as_one_fraction": (
        r"\frac{1}{\tilde\beta_t}"
        r" = \frac{\alpha_t-\bar\alpha_t+\beta_t}{\beta_t(1-\bar\alpha_{t-1})}"
    ),
    "reverse.beta_tilde_clipped": r"\tilde\beta_{\max(t,2)}",
    "reverse.p_chain": (
        rf"{_P_CHAIN} = p(\mathbf{{x}}_T)\prod_{{t=1}}^T {_P_STEP}"
    ),
    "vlb.with_kl": (
        rf"{_EVIDENCE} + \log\frac{{{_Q_CHAIN}}}{{p_\theta(\mathbf{{x}}_{{1:T}}|\mathbf{{x}}_0)}}"
    ),
    "vlb.kl_written_out": (
        rf"{_EVIDENCE} + \log\frac{{{_Q_CHAIN}}}{{{_P_CHAIN}/p_\theta(\mathbf{{x}}_0)}}"
    ),
    "vlb.evidence_taken_out": (
        rf"{_EVIDENCE} + \Big(\log\frac{{{_Q_CHAIN}}}{{{_P_CHAIN}}}"
        r" + \log p_\theta(\mathbf{x}_0)\Big)"
    ),
    "vlb.of_chain": rf"\log\frac{{{_Q_CHAIN}}}{{{_P_CHAIN}}}",
    "vlb.two_products": (
        rf"\log\frac{{\prod_{{t=1}}^T {_Q_STEP}}}{{p(\mathbf{{x}}_T)\prod_{{t=1}}^T {_P_STEP}}}"
    ),
    "vlb.sum_of_logarithms": rf"{_P_T} + \sum_{{t=1}}^T\log\frac{{{_Q_STEP}}}{{{_P_STEP}}}",
    "vlb.t_1_apart": rf"{_P_T} + \sum_{{t=2}}^T\log\frac{{{_Q_STEP}}}{{{_P_STEP}}} + {_FIRST}",
    "vlb.bayes_in_every_term": (
        rf"{_P_T} + \sum_{{t=2}}^T\log\Big(\frac{{{_Q_POSTERIOR}}}{{{_P_STEP}}}\cdot"
        rf"{_MARGINALS}\Big) + {_FIRST}"
    ),
    "vlb.two_sums": (
        rf"{_P_T} + {_STEPS} + \sum_{{t=2}}^T\log"
        rf"{_MARGINALS} + {_FIRST}"
    ),
    "vlb.telescoped": (
        rf"{_P_T} + {_STEPS}"
        r" + \log\frac{q(\mathbf{x}_T|\mathbf{x}_0)}{q(\mathbf{x}_1|\mathbf{x}_0)}"
        rf" + {_FIRST}"
    ),
    "vlb.of_chain_by_posterior": (
        rf"\log\frac{{q(\mathbf{{x}}_T|\mathbf{{x}}_0)}}{{p(\mathbf{{x}}_T)}} + {_STEPS}"
        r" - \log p_\theta(\mathbf{x}_0|\mathbf{x}_1)"
    ),
    "losses.weighted": (
        r"\frac{(1-\alpha_t)^2}{2\alpha_t(1-\bar\alpha_t)\sigma_t^2}"
        r"\|\boldsymbol\epsilon - \boldsymbol\epsilon_\theta(\mathbf{x}_t,t)\|^2"
    ),
    "learned.bits": r"E_{t,\mathbf{x}_0,\boldsymbol\epsilon}\big[L_{t-1}\big] / (D\log 2)",
    "learned.L_hybrid": r"L_{hybrid} = L_{simple} + \lambda L_{vlb}",
    "oracle.x_0": (
        r"\boldsymbol\mu_k = \mathbf{m}_k"
        r" + \frac{\sqrt{\bar\alpha_t}s_k^2}{\bar\alpha_ts_k^2+1-\bar\alpha_t}"
        r"(\mathbf{x}_t-\sqrt{\bar\alpha_t}\,\mathbf{m}_k)"
        r" \quad v_k = \frac{s_k^2(1-\bar\alpha_t)}{\bar\alpha_ts_k^2+1-\bar\alpha_t}"
        r" \quad \bar{\boldsymbol\mu} = \sum_k r_k\boldsymbol\mu_k"
        r" \quad \mathrm{Var}[\mathbf{x}_0|\mathbf{x}_t]"
        r" = \sum_k r_k\big(v_k + (\boldsymbol\mu_k-\bar{\boldsymbol\mu})^2\big)"
    ),
    "oracle.reverse_variance": (
        r"\mathrm{Var}[\mathbf{x}_{t-1}|\mathbf{x}_t] = \tilde\beta_t"
        r" + \Big(\frac{\sqrt{\bar\alpha_{t-1}}\beta_t}{1-\bar\alpha_t}\Big)^2"
        r" \mathrm{Var}[\mathbf{x}_0|\mathbf{x}_t]"
    ),
    "oracle.v": (
        r"v = \frac{\log\mathrm{Var}[\mathbf{x}_{t-1}|\mathbf{x}_t] - \log\tilde\beta_t}"
        r"{\log\beta_t - \log\tilde\beta_t}"
    ),
    "vlb.L_T": r"L_T = D_{KL}\big(q(\mathbf{x}_T|\mathbf{x}_0)\|p(\mathbf{x}_T)\big)",
    "vlb.L_t_minus_1": (
        r"L_{t-1} = D_{KL}\big(q(\mathbf{x}_{t-1}|\mathbf{x}_t,\mathbf{x}_0)"
        r"\|p_\theta(\mathbf{x}_{t-1}|\mathbf{x}_t)\big)"
    ),
    "vlb.L_t_minus_1_of_means": (
        r"L_{t-1} - C = \frac{1}{2\sigma_t^2}\|\tilde{\boldsymbol\mu}_t(\mathbf{x}_t,\mathbf{x}_0)"
        r"-\boldsymbol\mu_\theta(\mathbf{x}_t,t)\|^2"
    ),
    "vlb.L_0": r"L_0 = -\log p_\theta(\mathbf{x}_0|\mathbf{x}_1)",
    "vlb.total": (
        r"L_{VLB} = E_q\Big[D_{KL}(q(\mathbf{x}_T|\mathbf{x}_0)\|p(\mathbf{x}_T))"
        r" + \sum_{t>1}D_{KL}(q(\mathbf{x}_{t-1}|\mathbf{x}_t,\mathbf{x}_0)"
        r"\|p_\theta(\mathbf{x}_{t-1}|\mathbf{x}_t)) - "
        r"\log p_\theta(\mathbf{x}_0|\mathbf{x}_1)\Big]"
    ),
    "vlb.log_likelihood": (
        r"p_\theta(\mathbf{x}_0) = \int p_\theta(\mathbf{x}_{0:T})\,d\mathbf{x}_{1:T}"
        r" = E_q\Big[\frac{p_\theta(\mathbf{x}_{0:T})}{q(\mathbf{x}_{1:T}|\mathbf{x}_0)}\Big],"
        r" \quad L = -\log p_\theta(\mathbf{x}_0)"
    ),
}
