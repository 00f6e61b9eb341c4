"""The equations of diffusion models on plain arrays.

Networks come in as callables `eps_theta(x_t, t)`. One index rule holds everywhere:
t = 1..T are the noisy steps, t = 0 is the data, and a batch carries one t per image."""

from minidiff.diffusion.ddim import ddim_sample, ddim_steps, make_tau
from minidiff.diffusion.ddpm import ddpm_sample, ddpm_steps
from minidiff.diffusion.forward import forward_steps, q_mean_variance, q_sample
from minidiff.diffusion.guidance import (
    guide_with_classifier,
    guide_without_classifier,
    shift_mean,
)  # fmt: skip
from minidiff.diffusion.inversion import ddim_invert, slerp
from minidiff.diffusion.losses import L_simple, draw_training_noise, training_terms
from minidiff.diffusion.noise_prediction import predict_noise
from minidiff.diffusion.oracle import GaussianMixture
from minidiff.diffusion.schedule import Schedule, make_schedule, respace
from minidiff.diffusion.step import Step
from minidiff.diffusion.vlb import vlb_steps

__all__ = [
    "GaussianMixture", "L_simple", "Schedule", "Step", "ddim_invert", "ddim_sample",
    "ddim_steps", "ddpm_sample", "ddpm_steps", "draw_training_noise", "forward_steps",
    "guide_with_classifier", "guide_without_classifier", "make_schedule", "make_tau",
    "predict_noise", "q_mean_variance", "q_sample", "respace", "shift_mean", "slerp",
    "training_terms", "vlb_steps",
]  # fmt: skip
