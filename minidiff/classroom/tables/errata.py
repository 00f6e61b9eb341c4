"""What is right where the deck errs, by the number of the correction.

A: breaks code or numbers, B: misleading, C: notation, gap: the slide leaves it out.
"""

# fmt: off
ERRATA: dict[int, tuple[str, str]] = {
    1: ("B", "q(x_t | x_{t-1}) is N(sqrt(1 - beta_t) x_{t-1}, beta_t I); only the noise eps, and "
             "nearly x_T, is standard normal."),
    2: ("B", "The noise does not depend on the image; only its scale follows the schedule."),
    3: ("C", "beta_1..beta_T: there is no beta at t = 0, which is the data (alpha_bar_0 = 1)."),
    4: ("B", "x_T is only nearly N(0, I); how nearly depends on T and the schedule: "
             "schedule.check()."),
    5: ("B", "eps_{t-1} is the noise of one step; the network predicts the merged eps of the "
             "closed form."),
    6: ("A", "The cosine betas are clipped at 0.999, s = 0.008; the clip at 0.02 leaves 5.7 % of "
             "the signal (T = 1000), 63 % (T = 50)."),
    7: ("C", "x_{t-1} ~ N(...), or p_theta(x_{t-1} | x_t) = N(...); a sample does not equal a "
             "density."),
    8: ("B", "beta_tilde is the variance given x_0. It is right for a single point x_0, beta for "
             "x_0 ~ N(0, I). They are limits for data of unit variance, and on average: between "
             "two modes the true variance is 1.645 beta_t."),
    9: ("A", "The formula adds sqrt(beta_tilde) z, the code sqrt(beta) z. Choose one: the "
             "squares' ratio is 0 at t = 1, 0.45 at t = 2."),
    10: ("C/B", "The last line is E_q[KL_T + sum over t > 1 of KL_t - log p(x_0 | x_1)]: the "
                "last term stands outside the sum."),
    11: ("B", "L_0 is no minor term: the distortion is 1.97 of DDPM's 3.75 bits/dim. L_simple "
              "keeps t = 1."),
    12: ("caution", "L_T is constant, not zero: 2.9e-5 bits/dim for the linear schedule, 2.3e-3 "
                    "for the deck's cosine clip."),
    13: ("B", "The bound's sum runs over t = 2..T, L_simple over 1..T: its t = 1 stands for L_0."),
    14: ("A", "L_{t-1} = 1/(2 sigma_t^2) |mu_tilde - mu_theta|^2 + C. The squared spectral norm "
              "of Sigma would be sigma^4."),
    15: ("B", "The weight depends on t: 0.50 at t = 1, 0.0055 at t = 500. Leaving it out favours "
              "the noisy steps."),
    16: ("B", "Predicting eps instead of mu is a change of variables; L_simple is another, "
              "re-weighted loss."),
    17: ("caution", "The norm sums over pixels, nn.MSELoss averages: a factor D = C H W."),
    18: ("B", "Targets are eps, x_0, mu_tilde and v, equal up to weights; each is "
              "ill-conditioned at one end of the chain."),
    19: ("B", "What is maximised is p_theta of the data x_0."),
    20: ("C", "p(x_T) = N(0, I) has no parameters."),
    21: ("A", "One t per image, shaped (B, 1, 1, 1); t in 1..T must match the table's index."),
    22: ("A", "Sampling counts down: for t in range(T, 0, -1)."),
    23: ("A", "alpha, alpha_bar and beta are read at t, and x has a batch axis."),
    24: ("A", "`if i > 1` is right for t = 1..T; with i = 0..T-1 it must be `i > 0`, or t = 2 "
              "gets no noise."),
    25: ("A", "The fraction of the noise removed in a step is beta_t / (1 - alpha_bar_t); the "
              "slide gives the coefficient of eps_theta."),
    26: ("C", "The general form is DDIM's."),
    27: ("B", "The direction term has eps_theta(x_t, t), not a fresh eps_t."),
    28: ("A", "DDIM's alpha is DDPM's alpha_bar: see `notation('ddim')`. eps_t there is fresh "
              "noise."),
    29: ("B", "DDIM with eta = 1 is DDPM with beta_tilde; sigma^2 = beta lies outside of the "
              "family (negative radicand at t = 1, 2)."),
    30: ("B", "DDIM is a family of reverse processes; a function of x_t only at sigma = 0."),
    31: ("B", "q(x_{t-1} | x_t, x_0) is DDIM's reverse conditional; its forward step follows by "
              "Bayes."),
    32: ("B", "Fewer steps work because the loss needs only the marginals; DDPM can be strided, "
              "too."),
    33: ("B", "A skip connection concatenates encoder and decoder; a residual connection adds "
              "inside a block."),
    34: ("B", "The annotated code's attention has one head by default, and only where is_attn "
              "says so."),
    35: ("B", "GroupNorm does not depend on the batch size; it costs about what LayerNorm costs."),
    36: ("C", "Sines and cosines are concatenated and the exponent is i/(d-1); the transformer "
              "alternates them, with 2i/d_model."),
    37: ("A", "Channels per level are n_channels * mult; the slide's code multiplies "
              "cumulatively."),
    38: ("caution", "32 groups need channels that 32 divides."),
    39: ("A", "28 pixels can be halved twice, not three times (28-14-7-4 comes back as 8): three "
              "levels, or pad to 32."),
    40: ("caution", "Transposed convolution may leave a checkerboard; nearest neighbour and a "
                    "convolution does not."),
    41: ("C", "`forward` belongs to the class, and each level has one up block more than down "
              "blocks."),
    42: ("gap", "The slide has no formulas: a classifier's gradient shifts mu or eps; "
                "classifier-free mixes two predictions, s = 1 + w."),
    43: ("B", "LDM's first stage is a KL- or VQ-regularised autoencoder; Stable Diffusion's is "
              "KL, with latents times 0.18215."),
    44: ("B", "The nearest code is nearest by Euclidean distance."),
    45: ("gap", "VQ-VAE's losses: reconstruction, codebook, commitment (beta = 0.25), and the "
                "straight-through gradient."),
    46: ("B", "VQ-VAE avoids posterior collapse but its codebook can collapse: watch the "
              "perplexity."),
    47: ("B", "LDM diffuses the continuous z before quantisation, not the tokens."),
    48: ("B", "In LDM the text encoder is trained with the U-Net; Stable Diffusion's is a frozen "
              "CLIP."),
    49: ("gap", "Attention = softmax(Q K^T / sqrt(d)) V; with tokens as rows, Q = phi W_Q^T."),
    50: ("C", "eps ~ N(0, I)."),
    51: ("gap", "Sampling: z_T ~ N(0, I), DDIM with guidance on z, undo the scale, decode."),
    52: ("C", "Channels first, (3, 256, 256); VQ-VAE; the loop is over t."),
    53: ("C", "L_simple averages over t, so its symbol has no t."),
}
