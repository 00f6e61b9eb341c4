"""LaTeX by id: the reverse process, the posterior, the targets, the losses. Data only."""

LATEX_REVERSE: dict[str, str] = {
    "reverse.mu_theta": (
        r"\boldsymbol\mu_\theta(\mathbf{x}_t,t) = \frac{1}{\sqrt{\alpha_t}}\Big(\mathbf{x}_t"
        r" - \frac{1-\alpha_t}{\sqrt{1-\bar\alpha_t}}"
        r"\,\boldsymbol\epsilon_\theta(\mathbf{x}_t,t)\Big)"
    ),
    "reverse.sigma_squared": (
        r"\boldsymbol\Sigma_\theta(\mathbf{x}_t,t) = \sigma_t^2\mathbf{I},"
        r" \quad \sigma_t^2 \in \{\beta_t, \tilde\beta_t\}"
    ),
    "reverse.learned_variance": (
        r"\boldsymbol\Sigma_\theta = \exp\big(v\log\beta_t + (1-v)\log\tilde\beta_t\big)"
    ),
    "reverse.p_step": (
        r"\mathbf{x}_{t-1} = \boldsymbol\mu_\theta(\mathbf{x}_t,t) + \sigma_t\mathbf{z}"
    ),
    "reverse.removed_fraction": r"\frac{\beta_t}{1-\bar\alpha_t}",
    "posterior.bayes": (
        r"-\tfrac12\Big(\frac{(\mathbf{x}_t-\sqrt{\alpha_t}\mathbf{x}_{t-1})^2}{\beta_t}"
        r" + \frac{(\mathbf{x}_{t-1}-\sqrt{\bar\alpha_{t-1}}\mathbf{x}_0)^2}{1-\bar\alpha_{t-1}}"
        r" - \frac{(\mathbf{x}_t-\sqrt{\bar\alpha_t}\mathbf{x}_0)^2}{1-\bar\alpha_t}\Big)"
    ),
    "posterior.expanded": (
        r"-\tfrac12\Big(\frac{\mathbf{x}_t^2 - 2\sqrt{\alpha_t}\mathbf{x}_t\mathbf{x}_{t-1}"
        r" + \alpha_t\mathbf{x}_{t-1}^2}{\beta_t}"
        r" + \frac{\mathbf{x}_{t-1}^2 - 2\sqrt{\bar\alpha_{t-1}}\mathbf{x}_0\mathbf{x}_{t-1}"
        r" + \bar\alpha_{t-1}\mathbf{x}_0^2}{1-\bar\alpha_{t-1}}"
        r" - \frac{(\mathbf{x}_t-\sqrt{\bar\alpha_t}\mathbf{x}_0)^2}{1-\bar\alpha_t}\Big)"
    ),
    "posterior.precision": (
        r"\frac{\alpha_t}{\beta_t} + \frac{1}{1-\bar\alpha_{t-1}} = \frac{1}{\tilde\beta_t}"
    ),
    "posterior.pull": (
        r"\frac{\sqrt{\alpha_t}}{\beta_t}\mathbf{x}_t"
        r" + \frac{\sqrt{\bar\alpha_{t-1}}}{1-\bar\alpha_{t-1}}\mathbf{x}_0"
    ),
    "posterior.collected": (
        r"-\tfrac12\Big(\Big(\frac{\alpha_t}{\beta_t}+\frac{1}{1-\bar\alpha_{t-1}}\Big)"
        r"\mathbf{x}_{t-1}^2 - \Big(\frac{2\sqrt{\alpha_t}}{\beta_t}\mathbf{x}_t"
        r"+\frac{2\sqrt{\bar\alpha_{t-1}}}{1-\bar\alpha_{t-1}}\mathbf{x}_0\Big)"
        r"\mathbf{x}_{t-1} + C(\mathbf{x}_t,\mathbf{x}_0)\Big)"
    ),
    "posterior.mu_tilde_from_pull": (
        r"\tilde{\boldsymbol\mu}_t = \Big(\frac{\sqrt{\alpha_t}}{\beta_t}\mathbf{x}_t"
        r" + \frac{\sqrt{\bar\alpha_{t-1}}}{1-\bar\alpha_{t-1}}\mathbf{x}_0\Big)"
        r" \Big/ \Big(\frac{\alpha_t}{\beta_t} + \frac{1}{1-\bar\alpha_{t-1}}\Big)"
    ),
    "posterior.mu_tilde": (
        r"\tilde{\boldsymbol\mu}_t(\mathbf{x}_t,\mathbf{x}_0)"
        r" = \frac{\sqrt{\alpha_t}(1-\bar\alpha_{t-1})}{1-\bar\alpha_t}\mathbf{x}_t"
        r" + \frac{\sqrt{\bar\alpha_{t-1}}\beta_t}{1-\bar\alpha_t}\mathbf{x}_0"
    ),
    "posterior.mu_tilde_from_eps": (
        r"\tilde{\boldsymbol\mu}_t = \frac{1}{\sqrt{\alpha_t}}\Big(\mathbf{x}_t"
        r" - \frac{1-\alpha_t}{\sqrt{1-\bar\alpha_t}}\boldsymbol\epsilon\Big)"
    ),
    "posterior.q_posterior": (
        r"q(\mathbf{x}_{t-1}|\mathbf{x}_t,\mathbf{x}_0) = \mathcal{N}(\mathbf{x}_{t-1};"
        r"\tilde{\boldsymbol\mu}_t(\mathbf{x}_t,\mathbf{x}_0),\tilde\beta_t\mathbf{I})"
    ),
    "targets.x_0_from_eps": (
        r"\hat{\mathbf{x}}_0 = \frac{\mathbf{x}_t"
        r" - \sqrt{1-\bar\alpha_t}\,\boldsymbol\epsilon_\theta(\mathbf{x}_t,t)"
        r"}{\sqrt{\bar\alpha_t}}"
    ),
    "targets.eps_from_x_0": (
        r"\boldsymbol\epsilon"
        r" = \frac{\mathbf{x}_t - \sqrt{\bar\alpha_t}\,\mathbf{x}_0}{\sqrt{1-\bar\alpha_t}}"
    ),
    "targets.eps_from_mu_tilde": (
        r"\boldsymbol\epsilon = \frac{\sqrt{1-\bar\alpha_t}}{\beta_t}"
        r"\big(\mathbf{x}_t - \sqrt{\alpha_t}\,\tilde{\boldsymbol\mu}_t\big)"
    ),
    "targets.v": (
        r"\mathbf{v}_t = \sqrt{\bar\alpha_t}\,\boldsymbol\epsilon - \sqrt{1-\bar\alpha_t}"
        r"\,\mathbf{x}_0"
    ),
    "targets.eps_from_v": (
        r"\boldsymbol\epsilon = \sqrt{1-\bar\alpha_t}\,\mathbf{x}_t + \sqrt{\bar\alpha_t}"
        r"\,\mathbf{v}_t"
    ),
    "targets.x_0_from_v": (
        r"\mathbf{x}_0 = \sqrt{\bar\alpha_t}\,\mathbf{x}_t - \sqrt{1-\bar\alpha_t}\,\mathbf{v}_t"
    ),
    "losses.L_simple": (
        r"L^{simple} = E_{t,\mathbf{x}_0,\boldsymbol\epsilon}"
        r"\big[\|\boldsymbol\epsilon - \boldsymbol\epsilon_\theta(\mathbf{x}_t,t)\|^2\big]"
    ),
    "losses.squared_norm": (
        r"\|\boldsymbol\epsilon - \boldsymbol\epsilon_\theta(\mathbf{x}_t,t)\|^2"
    ),
    "losses.weight": r"w_t = \frac{\beta_t^2}{2\sigma_t^2\alpha_t(1-\bar\alpha_t)}",
    "ddpm.algorithm_1": (
        r"\big\|\boldsymbol\epsilon - \boldsymbol\epsilon_\theta(\sqrt{\bar\alpha_t}\,\mathbf{x}_0"
        r" + \sqrt{1-\bar\alpha_t}\,\boldsymbol\epsilon, t)\big\|^2"
    ),
}
