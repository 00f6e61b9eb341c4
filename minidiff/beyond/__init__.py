"""Beyond the deck: what a course teaches next, on a floor of its own above diffusion/.

Score and ODE, solvers, flow matching, weights of the loss, schedules that end in pure
noise, what guidance samples, consistency functions, and holes to fill. It uses the deck's
equations, and none of them needs it. The mixture of `diffusion/oracle.py` gives each of
these an exact answer."""

from minidiff.beyond.consistency import consistency_steps, exact_consistency
from minidiff.beyond.exact_flow import flow_map
from minidiff.beyond.flow_matching import exact_velocity, flow_steps, time_and_scale
from minidiff.beyond.flow_ode import likelihood_steps
from minidiff.beyond.inpainting import given, repaint_steps
from minidiff.beyond.loss_weights import (
    SCHEMES,
    prediction_weight,
    weighted_training_terms,
)
from minidiff.beyond.pairs import PREDICTIONS, predict_pair, to_pair
from minidiff.beyond.sa_solver import sa_steps
from minidiff.beyond.schedules import any_schedule, straight_schedule, zero_terminal
from minidiff.beyond.solvers import (
    dpm_pp_steps,
    heun_steps,
    inner_times,
    log_snr_times,
    pair_ddim_steps,
)
from minidiff.beyond.tilted import guide_by_worse, guide_in_interval

__all__ = [
    "PREDICTIONS", "SCHEMES", "any_schedule", "consistency_steps", "dpm_pp_steps",
    "exact_consistency", "exact_velocity", "flow_map", "flow_steps", "given",
    "guide_by_worse", "guide_in_interval", "heun_steps", "inner_times",
    "likelihood_steps", "log_snr_times", "pair_ddim_steps", "predict_pair",
    "prediction_weight", "repaint_steps", "sa_steps", "straight_schedule",
    "time_and_scale", "to_pair", "weighted_training_terms", "zero_terminal",
]  # fmt: skip
