"""Where each correction stands on the deck and what the slide says there. Data only.

What is right is in `errata`, the difference in numbers in `minidiff/classroom/difference.py`.
"""

from __future__ import annotations

from typing import NamedTuple


class Printed(NamedTuple):
    """What the deck prints: the slides on which it stands, and its words or formula."""

    slides: tuple[int, ...]
    says: str


PRINTED: dict[int, Printed] = {
    1: Printed((4,), "q(x_t | x_{t-1}) is a standard normal distribution."),
    2: Printed((4,), "The noise is derived from the structure of the original image."),
    3: Printed((5,), "The linear schedule begins with 0.0001 at timestep 0."),
    4: Printed((4, 5), "After T steps the image is pure noise."),
    5: Printed((5, 9, 14, 17), "eps_{t-1}, eps_t and eps are one noise: that of timestep t."),
    6: Printed((5,), "The cosine betas are clipped to [0.0001, 0.02]; s has no value."),
    7: Printed((9, 10), "x_{t-1} = N(x_{t-1}; ...): a sample equals a density."),
    8: Printed((10,), "beta_tilde corresponds to the true posterior variance."),
    9: Printed(
        (10, 20),
        "The formula adds sqrt(beta_tilde) z, the code sqrt(beta) z, the box sigma_t z.",
    ),
    10: Printed(
        (13,),
        "-log p(x_0 | x_1) stands inside the sum over t, and E_q holds the first term only.",
    ),
    11: Printed((14,), "L_0 is minor, and results are better without it."),
    12: Printed((14,), "L_T can be ignored since it is constant."),
    13: Printed((14,), "The bound sums over t = 2..T, the simple loss draws t from [1, T]."),
    14: Printed((14,), "The weight has 1 / (2 ||Sigma||_2^2), L_t for L_{t-1}, and no constant."),
    15: Printed((14,), "The factor before the squared error is constant."),
    16: Printed((17,), "The loss on the noise is mathematically equivalent."),
    17: Printed((14, 18), "The squared norm and nn.MSELoss are the same."),
    18: Printed(
        (17,),
        "The noise is the easier target regardless of t; mean and image are one alternative.",
    ),
    19: Printed(
        (11,),
        "The likelihood of the generated sample belonging to the data is maximised.",
    ),
    20: Printed((13, 14), "p_theta(x_T): the first distribution of the way back has parameters."),
    21: Printed(
        (18,),
        "t = sample_timesteps(0, MAX_STEPS) for a whole batch, and alpha_hat[t] without a shape.",
    ),
    22: Printed((20,), "for i in range(noise_steps): sampling counts upwards."),
    23: Printed(
        (20,),
        "t is not defined, alpha, alpha_hat and beta have no index, x has no batch axis.",
    ),
    24: Printed((20,), "Noise is added if i > 1."),
    25: Printed((20,), "The removed fraction is beta / sqrt(alpha (1 - alpha_bar))."),
    26: Printed((23,), "DDPM proposed the general form."),
    27: Printed((23,), "The direction term has eps_t."),
    28: Printed((24,), "The formula has alpha where the deck's other slides have alpha_bar."),
    29: Printed((24,), "DDPM is a subset of DDIM."),
    30: Printed((23, 25), "DDIM's way back is an implicit function x_{t-1} = f(x_t, t)."),
    31: Printed((25,), "DDIM's forward step is q(x_{t-1} | x_t, x_0)."),
    32: Printed((22, 24), "Fewer steps are possible because the Markov chain is dropped."),
    33: Printed((26,), "Residual and skip connection are one thing."),
    34: Printed((26, 30), "The U-Net has multi-head attention."),
    35: Printed((29,), "GroupNorm is for images of varying size and cheaper than LayerNorm."),
    36: Printed((29,), "The time embedding is the same as the transformer's."),
    37: Printed((30,), "out_channels = in_channels * ch_mults[i]."),
    38: Printed((29,), "GroupNorm(8) at the end, 32 groups in the blocks."),
    39: Printed((30, 32), "Four resolutions, for every image."),
    40: Printed((32,), "The image is scaled up by a transposed convolution."),
    41: Printed((32,), "forward stands inside of __init__; the number of up blocks is not said."),
    42: Printed((33,), "(The slide has only pictures.)"),
    43: Printed((34, 37), "Stable Diffusion's first phase is a VQ-VAE."),
    44: Printed((38,), "The nearest code by Euclidean distance or edit distance."),
    45: Printed((38,), "(No loss is given.)"),
    46: Printed((39,), "VQ-VAE avoids collapse; a VAE is fuzzier."),
    47: Printed((39,), "The diffusion runs over the discrete tokens."),
    48: Printed((35,), "A language model such as BERT turns the text into vectors."),
    49: Printed((35, 40), "Only Q, K and V are given."),
    50: Printed((40,), "eps ~ N(0, 1)."),
    51: Printed((42,), "(The slide has only a picture.)"),
    52: Printed((4, 20, 39), "(3, 256, 256) and 256x256x3; VQ-VQE; timestep {0, ..., X_{t-1}}."),
    53: Printed((14,), "L_t^simple has a t, and averages over t."),
}
