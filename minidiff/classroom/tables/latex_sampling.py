"""LaTeX by id: Algorithm 2, DDIM, guidance, the exact predictor of a mixture. Data only."""

LATEX_SAMPLING: dict[str, str] = {
    "sampling.clip_x_0": (
        r"\hat{\mathbf{x}}_0 \leftarrow \mathrm{clip}(\hat{\mathbf{x}}_0, -c, c), \quad"
        r" \boldsymbol\epsilon \leftarrow"
        r" \frac{\mathbf{x}_t - \sqrt{\bar\alpha_t}\,\hat{\mathbf{x}}_0}{\sqrt{1-\bar\alpha_t}}"
    ),
    "ddpm.algorithm_2": (
        r"\mathbf{x}_{t-1} = \frac{1}{\sqrt{\alpha_t}}\Big(\mathbf{x}_t"
        r" - \frac{1-\alpha_t}{\sqrt{1-\bar\alpha_t}}"
        r"\,\boldsymbol\epsilon_\theta(\mathbf{x}_t,t)\Big) + \sigma_t\mathbf{z},"
        r" \quad t = T, \dots, 1"
    ),
    "ddim.tau": (
        r"\tau = \{\tau_1, \dots, \tau_S\} \subseteq \{1, \dots, T\}, \quad \tau_S = T"
    ),
    "ddim.sigma": (
        r"\sigma_{\tau_i} = \eta\sqrt{\frac{1-\bar\alpha_{\tau_{i-1}}}{1-\bar\alpha_{\tau_i}}}"
        r"\sqrt{1-\frac{\bar\alpha_{\tau_i}}{\bar\alpha_{\tau_{i-1}}}}"
    ),
    "ddim.sigma_hat": (
        r"\hat\sigma_{\tau_i} = \sqrt{1-\frac{\bar\alpha_{\tau_i}}{\bar\alpha_{\tau_{i-1}}}}"
    ),
    "ddim.direction": (
        r"\sqrt{1-\bar\alpha_{t-1}-\sigma_t^2}\,\boldsymbol\epsilon_\theta(\mathbf{x}_t,t)"
    ),
    "ddim.step": (
        r"\mathbf{x}_{t-1} = \sqrt{\bar\alpha_{t-1}}\,\hat{\mathbf{x}}_0"
        r" + \sqrt{1-\bar\alpha_{t-1}-\sigma_t^2}\,\boldsymbol\epsilon_\theta(\mathbf{x}_t,t)"
        r" + \sigma_t\mathbf{z}"
    ),
    "ddim.inversion_step": (
        r"\mathbf{x}_{\tau_{i+1}} = \sqrt{\bar\alpha_{\tau_{i+1}}}\,\hat{\mathbf{x}}_0"
        r" + \sqrt{1-\bar\alpha_{\tau_{i+1}}}"
        r"\,\boldsymbol\epsilon_\theta(\mathbf{x}_{\tau_i},\tau_i)"
    ),
    "ddim.slerp": (
        r"\mathbf{x}_T = \frac{\sin((1-a)\theta)}{\sin\theta}\mathbf{x}_T^{(0)}"
        r" + \frac{\sin(a\theta)}{\sin\theta}\mathbf{x}_T^{(1)}, \quad \cos\theta"
        r" = \frac{\mathbf{x}_T^{(0)}\cdot\mathbf{x}_T^{(1)}}"
        r"{\|\mathbf{x}_T^{(0)}\|\|\mathbf{x}_T^{(1)}\|}"
    ),
    "guidance.classifier_mean": (
        r"\mathbf{x}_{t-1} \sim \mathcal{N}\big(\boldsymbol\mu"
        r" + s\,\boldsymbol\Sigma\,\nabla_{\mathbf{x}_t}\log p_\phi(y|\mathbf{x}_t),"
        r" \boldsymbol\Sigma\big)"
    ),
    "guidance.classifier_eps": (
        r"\hat{\boldsymbol\epsilon} = \boldsymbol\epsilon_\theta(\mathbf{x}_t,t)"
        r" - s\,\sqrt{1-\bar\alpha_t}\,\nabla_{\mathbf{x}_t}\log p_\phi(y|\mathbf{x}_t)"
    ),
    "guidance.classifier_free_w": (
        r"\tilde{\boldsymbol\epsilon} = (1+w)\,\boldsymbol\epsilon_\theta(\mathbf{x}_t,t,y)"
        r" - w\,\boldsymbol\epsilon_\theta(\mathbf{x}_t,t)"
    ),
    "guidance.classifier_free_s": (
        r"\tilde{\boldsymbol\epsilon} = \boldsymbol\epsilon_\theta(\mathbf{x}_t,t)"
        r" + s\,\big(\boldsymbol\epsilon_\theta(\mathbf{x}_t,t,y)"
        r" - \boldsymbol\epsilon_\theta(\mathbf{x}_t,t)\big), \quad s = 1 + w"
    ),
    "guidance.drop_condition": (
        r"y \leftarrow \varnothing \text{ with probability } p_{uncond}"
    ),
    "oracle.marginal": (
        r"q(\mathbf{x}_t) = \int q(\mathbf{x}_t|\mathbf{x}_0)\,q(\mathbf{x}_0)\,d\mathbf{x}_0"
        r" = \sum_k w_k\,\mathcal{N}(\mathbf{x}_t;\sqrt{\bar\alpha_t}\,\mathbf{m}_k,"
        r"(\bar\alpha_t s_k^2 + 1-\bar\alpha_t)\mathbf{I})"
    ),
    "oracle.score": (
        r"\nabla\log q(\mathbf{x}_t) = \sum_k r_k(\mathbf{x}_t)"
        r"\,\frac{\sqrt{\bar\alpha_t}\,\mathbf{m}_k-\mathbf{x}_t"
        r"}{\bar\alpha_t s_k^2+1-\bar\alpha_t}"
    ),
    "oracle.eps": (
        r"\boldsymbol\epsilon^*(\mathbf{x}_t,t) = E[\boldsymbol\epsilon|\mathbf{x}_t]"
        r" = -\sqrt{1-\bar\alpha_t}\,\nabla\log q(\mathbf{x}_t)"
    ),
    "oracle.bayes": (
        r"q(\mathbf{x}_{t-1}|\mathbf{x}_t)"
        r" = q(\mathbf{x}_t|\mathbf{x}_{t-1})\,q(\mathbf{x}_{t-1})\,/\,q(\mathbf{x}_t)"
    ),
    "oracle.classifier": (
        r"\log p(y|\mathbf{x}_t) = \log p(y)\,q(\mathbf{x}_t|y) - \log q(\mathbf{x}_t)"
    ),
    "oracle.classifier_gradient": (
        r"\nabla\log p(y|\mathbf{x}_t) = \nabla\log q(\mathbf{x}_t|y) - \nabla\log q(\mathbf{x}_t)"
    ),
}
