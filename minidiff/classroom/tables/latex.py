r"""The formulas of the equations as LaTeX, by id. Data only.

tests/classroom/test_latex.py evaluates them on numbers against the functions. Statements are
separated by \quad, \leftarrow is an assignment.
"""

from minidiff.classroom.tables.latex_after import LATEX_AFTER
from minidiff.classroom.tables.latex_bound import LATEX_BOUND

LATEX: dict[str, str] = {
    **LATEX_BOUND,
    **LATEX_AFTER,
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
        r" = \mathcal{N}(\mathbf{x}_t; \sqrt{\bar\alpha_t}\,\mathbf{x}_0, (1-\bar\alpha_t)\mathbf{I})"
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
        r" - \sqrt{1-\bar\alpha_t}\,\boldsymbol\epsilon_\theta(\mathbf{x}_t,t)}{\sqrt{\bar\alpha_t}}"
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
        r"\mathbf{v}_t = \sqrt{\bar\alpha_t}\,\boldsymbol\epsilon - \sqrt{1-\bar\alpha_t}\,\mathbf{x}_0"
    ),
    "targets.eps_from_v": (
        r"\boldsymbol\epsilon = \sqrt{1-\bar\alpha_t}\,\mathbf{x}_t + \sqrt{\bar\alpha_t}\,\mathbf{v}_t"
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
        r"\|p_\theta(\mathbf{x}_{t-1}|\mathbf{x}_t)) - \log p_\theta(\mathbf{x}_0|\mathbf{x}_1)\Big]"
    ),
    "vlb.log_likelihood": (
        r"p_\theta(\mathbf{x}_0) = \int p_\theta(\mathbf{x}_{0:T})\,d\mathbf{x}_{1:T}"
        r" = E_q\Big[\frac{p_\theta(\mathbf{x}_{0:T})}{q(\mathbf{x}_{1:T}|\mathbf{x}_0)}\Big],"
        r" \quad L = -\log p_\theta(\mathbf{x}_0)"
    ),
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
        r" + \sqrt{1-\bar\alpha_{\tau_{i+1}}}\,\boldsymbol\epsilon_\theta(\mathbf{x}_{\tau_i},\tau_i)"
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
    "vq.nearest": r"k = \arg\min_j \|\mathbf{z}_e(\mathbf{x}) - \mathbf{e}_j\|_2",
    "vq.straight_through": (
        r"\mathbf{z}_q = \mathbf{z}_e + \mathrm{sg}[\mathbf{e}_k - \mathbf{z}_e]"
    ),
    "vq.codebook_loss": r"\|\mathrm{sg}[\mathbf{z}_e(\mathbf{x})] - \mathbf{e}\|_2^2",
    "vq.commitment_loss": r"\beta\,\|\mathbf{z}_e(\mathbf{x}) - \mathrm{sg}[\mathbf{e}]\|_2^2",
    "vq.loss": (
        r"L = -\log p(\mathbf{x}|\mathbf{z}_q) + \|\mathrm{sg}[\mathbf{z}_e] - \mathbf{e}\|_2^2"
        r" + \beta\,\|\mathbf{z}_e - \mathrm{sg}[\mathbf{e}]\|_2^2"
    ),
    "vq.ema": (
        r"N_i \leftarrow \gamma N_i + (1-\gamma)n_i,"
        r" \quad \mathbf{m}_i \leftarrow \gamma\mathbf{m}_i + (1-\gamma)\sum_j \mathbf{z}_{i,j},"
        r" \quad \mathbf{e}_i = \mathbf{m}_i / N_i"
    ),
    "vq.perplexity": r"\exp\Big(-\sum_k p_k\log p_k\Big), \quad p_k = n_k / N",
    "vae.kl": (
        r"D_{KL}\big(\mathcal{N}(\boldsymbol\mu,\boldsymbol\sigma^2)\|\mathcal{N}(\mathbf{0},"
        r"\mathbf{I})\big) = \tfrac12\sum\big(\mu^2 + \sigma^2 - 1 - \log\sigma^2\big)"
    ),
    "ldm.scale": (
        r"\mathbf{z} \leftarrow \mathbf{z} / \hat\sigma,"
        r" \quad \hat\sigma^2 = \mathrm{Var}[\mathcal{E}(\mathbf{x})]"
    ),
    "ldm.projections": (
        r"Q = W_Q^{(i)}\cdot\varphi_i(z_t), \quad K = W_K^{(i)}\cdot\tau_\theta(y),"
        r" \quad V = W_V^{(i)}\cdot\tau_\theta(y)"
    ),
    "ldm.attention": (
        r"\mathrm{Attention}(Q,K,V) = \mathrm{softmax}\Big(\frac{QK^T}{\sqrt{d}}\Big)V"
    ),
    "ldm.loss": (
        r"L_{LDM} = E_{\mathcal{E}(x),y,\boldsymbol\epsilon,t}\big[\|\boldsymbol\epsilon"
        r" - \boldsymbol\epsilon_\theta(\mathbf{z}_t,t,\tau_\theta(y))\|_2^2\big]"
    ),
    "ldm.sample": (
        r"\mathbf{z}_T \sim \mathcal{N}(\mathbf{0},\mathbf{I}) \to \dots \to \mathbf{z}_0,"
        r" \quad \mathbf{x} = \mathcal{D}(\mathbf{z}_0 / s)"
    ),
    "oracle.marginal": (
        r"q(\mathbf{x}_t) = \int q(\mathbf{x}_t|\mathbf{x}_0)\,q(\mathbf{x}_0)\,d\mathbf{x}_0"
        r" = \sum_k w_k\,\mathcal{N}(\mathbf{x}_t;\sqrt{\bar\alpha_t}\,\mathbf{m}_k,"
        r"(\bar\alpha_t s_k^2 + 1-\bar\alpha_t)\mathbf{I})"
    ),
    "oracle.score": (
        r"\nabla\log q(\mathbf{x}_t) = \sum_k r_k(\mathbf{x}_t)"
        r"\,\frac{\sqrt{\bar\alpha_t}\,\mathbf{m}_k-\mathbf{x}_t}{\bar\alpha_t s_k^2+1-\bar\alpha_t}"
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
    "unet.swish": r"\mathrm{Swish}(x) = x \cdot \mathrm{sigmoid}(x)",
    "unet.group_norm": (
        r"\hat{x} = \frac{x-\mu_g}{\sqrt{\sigma_g^2+\epsilon}}, \quad y = \gamma\hat{x} + \beta"
    ),
    "unet.time_embedding": (
        r"PE_{t,i}^{(1)} = \sin\Big(\frac{t}{10000^{i/(d-1)}}\Big)"
        r" \quad PE_{t,i}^{(2)} = \cos\Big(\frac{t}{10000^{i/(d-1)}}\Big)"
    ),
}
