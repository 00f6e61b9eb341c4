"""One sentence for the class on each slide: what to take home from it. Data only."""

from __future__ import annotations

from typing import NamedTuple

SENTENCES: dict[int, str] = {
    1: (
        "You need NumPy and a little calculus; every formula of this lecture is a function that "
        "you can run and stop in."
    ),
    2: (
        "A model of images is a way from any point of the box back into the cloud; here the "
        "cloud is known, so the way can be checked."
    ),
    3: (
        "A drop of ink spreads because each particle takes small random steps: the forward "
        "process does the same to each pixel."
    ),
    4: (
        "One step shrinks the image a little and adds a little noise, and needs nothing but the "
        "image before it."
    ),
    5: (
        "Gaussians add up, so one jump leads from the image to any time: no loop is needed to "
        "train."
    ),
    6: (
        "The way back is unknown because it needs the distribution of all images; a network "
        "learns an approximation."
    ),
    7: "Who knows x_0 can say where x_t came from: the posterior is a Gaussian.",
    8: (
        "Complete the square in x_{t-1}: the factor of its square is one over the variance, the "
        "factor of the rest gives the mean."
    ),
    9: (
        "To know the noise in x_t is to know x_0: so a network that predicts the noise gives "
        "the mean of the step."
    ),
    10: (
        "The network gives the mean; the variance is chosen, and both usual choices are limits "
        "of the true one."
    ),
    11: "We want the data to be probable under the model, and cannot compute that probability.",
    12: (
        "Adding a KL divergence, which is never negative, turns the unknown into something "
        "larger that can be computed."
    ),
    13: (
        "Bayes turns every step round, the sum telescopes, and what is left is one KL "
        "divergence for each step."
    ),
    14: (
        "With fixed variances each term is a weighted squared error of the noise; leaving out "
        "the weight gives L_simple."
    ),
    15: (
        "Three lines are the whole of DDPM: noise an image, predict the noise, take one step "
        "back."
    ),
    16: "The schedule is what makes every coefficient known before training begins.",
    17: (
        "Noise, image, mean and v are the same information with different weights; each is "
        "ill-conditioned somewhere."
    ),
    18: (
        "Algorithm 1: draw an image, a time and a noise, and make the prediction of the noise a "
        "little better."
    ),
    19: (
        "The training loop is Algorithm 1 with an optimizer; a step of it can be stopped at "
        "every line."
    ),
    20: (
        "Algorithm 2: remove a part of the predicted noise, add a little fresh noise, and "
        "repeat."
    ),
    21: "From noise to a digit in T steps; the image becomes clear late.",
    22: "DDIM needs no new training: only the way back is another.",
    23: (
        "The loss knows only the marginals, so every process with these marginals may use the "
        "same network."
    ),
    24: (
        "sigma is free: zero makes the way back a function, DDPM's value makes it DDPM, and "
        "times may be skipped."
    ),
    25: (
        "Same network, same loss: DDPM walks with noise and many steps, DDIM without and with "
        "few."
    ),
    26: (
        "The network takes an image and returns one of the same size, so down must be followed "
        "by up."
    ),
    27: (
        "Down: coarser and with more channels. Middle: everything sees everything. Up: the "
        "skips bring the details back."
    ),
    28: "The forward pass is a list of blocks and a stack of skip connections.",
    29: "Swish, GroupNorm and the time embedding: three small functions that every block uses.",
    30: (
        "A down block is a residual block and, at some levels, attention; then a strided "
        "convolution halves the image."
    ),
    31: (
        "At the lowest resolution attention is cheap and every pixel stands for a large part of "
        "the image."
    ),
    32: (
        "An up block takes the skip connection of its level by concatenation; then the image is "
        "doubled."
    ),
    33: (
        "Guidance bends the predicted noise towards a condition, by a classifier or by the "
        "difference of two predictions."
    ),
    34: (
        "Diffuse what an encoder made of the image, not the image: fewer numbers, the same "
        "mathematics."
    ),
    35: (
        "Each pixel asks the words which of them matters to it: queries from the image, keys "
        "and values from the text."
    ),
    36: (
        "A condition that has the shape of an image needs no attention: it is concatenated to "
        "the input."
    ),
    37: (
        "Phase 1 makes a small latent image; vector quantisation or a KL term keeps it "
        "well-behaved."
    ),
    38: (
        "Take the nearest code vector forwards, and pass the gradient straight through it "
        "backwards."
    ),
    39: "Codes can die: the perplexity counts how many are in use.",
    40: "Phase 2 is DDPM's loss on latents, with the words as a further input.",
    41: "The words become vectors once per prompt; the U-Net asks them at every step.",
    42: "Noise, a few guided steps in the latent space, and one pass through the decoder.",
}


class Part(NamedTuple):
    """A part of the lecture: the name of its plan, its title, its slides."""

    plan: str
    title: str
    slides: tuple[int, ...]


PARTS = (
    Part("forward", "The way forward", tuple(range(1, 6))),
    Part("reverse", "The way back and the bound", tuple(range(6, 22))),
    Part("ddim", "DDIM and guidance", (22, 23, 24, 25, 33)),
    Part("unet", "U-Net and autograd", tuple(range(26, 33))),
    Part("latent", "Latent diffusion", tuple(range(34, 43))),
    Part("kernels", "Kernels", ()),
)
