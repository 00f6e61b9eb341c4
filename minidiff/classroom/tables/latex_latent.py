"""LaTeX by id: quantisation, latent diffusion, the parts of the U-Net. Data only."""

LATEX_LATENT: dict[str, str] = {
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
    "unet.swish": r"\mathrm{Swish}(x) = x \cdot \mathrm{sigmoid}(x)",
    "unet.group_norm": (
        r"\hat{x} = \frac{x-\mu_g}{\sqrt{\sigma_g^2+\epsilon}}, \quad y = \gamma\hat{x} + \beta"
    ),
    "unet.time_embedding": (
        r"PE_{t,i}^{(1)} = \sin\Big(\frac{t}{10000^{i/(d-1)}}\Big)"
        r" \quad PE_{t,i}^{(2)} = \cos\Big(\frac{t}{10000^{i/(d-1)}}\Big)"
    ),
}
