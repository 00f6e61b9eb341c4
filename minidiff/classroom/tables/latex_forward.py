"""LaTeX by id: the schedule, the forward process, Gaussians. Data only."""

LATEX_FORWARD: dict[str, str] = {
    "schedule.linear": r"\beta_t = \beta_1 + \frac{t-1}{T-1}(\beta_T - \beta_1)",
    "schedule.cosine": (
        r"\beta_t = \mathrm{clip}\Big(1 - \frac{\bar\alpha_t}{\bar\alpha_{t-1}},"
        r" \beta_{min}, \beta_{max}\Big)"
        r" \quad \bar\alpha_t = \frac{f(t)}{f(0)}"
        r" \quad f(t) = \cos\Big(\frac{t/T + s}{1 + s} \cdot \frac{\pi}{2}\Big)^2"
    ),
    "schedule.alpha_bar": r"\alpha_t = 1 - \beta_t \quad \bar\alpha_t = \prod_{i=1}^t \alpha_i",
    "schedule.one_minus_alpha_bar": (
        r"1 - \bar\alpha_t = \alpha_t (1 - \bar\alpha_{t-1}) + \beta_t"
    ),
    "posterior.beta_tilde": (
        r"\tilde\beta_t = \frac{1-\bar\alpha_{t-1}}{1-\bar\alpha_t}\cdot\beta_t"
    ),
    "schedule.L_T_of_unit_pixel": (
        r"D_{KL}\big(\mathcal{N}(\sqrt{\bar\alpha_T}\,x_0, 1-\bar\alpha_T)\|\mathcal{N}(0,1)\big)"
        r" = -\tfrac12\log(1-\bar\alpha_T) \quad x_0 = \pm 1"
    ),
    "forward.q_step": (
        r"q(\mathbf{x}_t|\mathbf{x}_{t-1})"
        r" = \mathcal{N}(\mathbf{x}_t; \sqrt{1-\beta_t}\,\mathbf{x}_{t-1}, \beta_t\mathbf{I})"
    ),
    "forward.q_sample": (
        r"\mathbf{x}_t = \sqrt{\bar\alpha_t}\,\mathbf{x}_0"
        r" + \sqrt{1-\bar\alpha_t}\,\boldsymbol\epsilon"
    ),
    "forward.q_mean_variance": (
        r"q(\mathbf{x}_t|\mathbf{x}_0)"
        r" = \mathcal{N}(\mathbf{x}_t; \sqrt{\bar\alpha_t}\,\mathbf{x}_0"
        r", (1-\bar\alpha_t)\mathbf{I})"
    ),
    "forward.merge_gaussians": (
        r"\sqrt{\alpha_t}\,\sqrt{1-\alpha_{t-1}}\,\boldsymbol\epsilon_{t-2}"
        r" + \sqrt{1-\alpha_t}\,\boldsymbol\epsilon_{t-1}"
        r" = \sqrt{1-\alpha_t\alpha_{t-1}}\,\bar{\boldsymbol\epsilon}_{t-2}"
    ),
    "forward.q_chain": (
        r"q(\mathbf{x}_{1:T}|\mathbf{x}_0) = \prod_{t=1}^T q(\mathbf{x}_t|\mathbf{x}_{t-1})"
    ),
    "gaussian.log_density": (
        r"\log\mathcal{N}(x;\mu,\sigma^2)"
        r" = -\tfrac12\Big(\log 2\pi\sigma^2 + \frac{(x-\mu)^2}{\sigma^2}\Big)"
    ),
    "gaussian.kl": (
        r"D_{KL}\big(\mathcal{N}(\mu_1,\sigma_1^2)\|\mathcal{N}(\mu_2,\sigma_2^2)\big)"
        r" = \tfrac12\Big(\log\frac{\sigma_2^2}{\sigma_1^2} + \frac{\sigma_1^2}{\sigma_2^2} - 1"
        r" + \frac{(\mu_1-\mu_2)^2}{\sigma_2^2}\Big)"
    ),
    "gaussian.discretised": (
        r"p_\theta(x_0|\mathbf{x}_1)"
        r" = \int_{x_0-\frac{1}{255}}^{x_0+\frac{1}{255}}\mathcal{N}(x;\mu,\sigma^2)\,dx,"
        r" \quad \text{open at } \pm 1"
    ),
    "gaussian.bits_per_dim": r"\text{bits/dim} = \frac{\text{nats}}{D \log 2}",
}
