"""After the deck: chapters of what a course teaches next, in the form of the slides' index.

A chapter's number has an A before it. Nothing of it is on a slide, so no formula has a mark.
"""

from __future__ import annotations

from minidiff.classroom.tables.slide import Formula, Slide
from minidiff.classroom.tables.slides import SLIDES


def _f(name: str, *equations: str) -> Formula:
    return Formula(name, None, equations)


AFTER = (
    Slide(
        "A1",
        "Score And ODE",
        (
            _f("the score and the noise", "score.from_eps", "score.conditional"),
            _f("two losses, one minimum", "score.explicit_loss", "score.denoising_loss"),
            _f("the forward process as an SDE", "ode.clock", "ode.sde_step"),
            _f("the ODE with the same densities", "ode.drift"),
            _f("DDIM is its Euler step", "ode.edm_sigma", "ode.euler_step"),
            _f("its solution on a line", "flow_map.map"),
            _f("shares to the left", "flow_map.distribution", "flow_map.quantile"),
            _f("the exact likelihood", "ode.log_likelihood", "ode.divergence"),
        ),
        code=("minidiff.beyond.flow_ode.likelihood_steps",),
    ),
    Slide(
        "A2",
        "Fewer Steps",
        (
            _f("the image and the noise together", "pair.from_v"),
            _f("Heun's method", "solver.heun_step"),
            _f("half the logarithm of the SNR", "solver.half_log_snr"),
            _f("DPM-Solver++(2M)", "solver.data_2m", "solver.dpm_pp_step"),
            _f("times uniform in it", "solver.log_snr_times"),
            _f("SA-Solver: with a corrector, and with noise", "solver.sa_step"),
        ),
        code=(
            "minidiff.beyond.solvers.heun_steps",
            "minidiff.beyond.solvers.dpm_pp_steps",
            "minidiff.beyond.sa_solver.sa_steps",
            "minidiff.sampling.solvers.sampler_steps",
        ),
    ),
    Slide(
        "A3",
        "Flow Matching",
        (
            _f("a straight path", "flow.path", "flow.target"),
            _f("the same path as diffusion's", "flow.time_and_scale", "flow.straight_schedule"),
            _f("one network for both", "flow.velocity_from_v", "pair.from_velocity"),
            _f("the best velocity", "flow.oracle_velocity"),
            _f("following it", "flow.euler_step", "flow.heun_step"),
        ),
        code=("minidiff.beyond.flow_matching.flow_steps",),
    ),
    Slide(
        "A4",
        "Weights Of The Loss",
        (
            _f("min-SNR", "weights.min_snr"),
            _f("P2 and EDM", "weights.p2", "weights.edm"),
            _f("one error in four units", "weights.of_error"),
            _f("three forms, one number", "weights.of_prediction"),
            _f("the weighted loss", "weights.loss"),
        ),
        code=("minidiff.beyond.loss_weights.weighted_training_terms",),
    ),
    Slide(
        "A5",
        "Ending In Pure Noise",
        (_f("zero terminal SNR", "zero_snr.rescale"), _f("no division", "pair.from_v")),
        code=("minidiff.beyond.schedules.zero_terminal",),
    ),
    Slide(
        "A6",
        "What Guidance Samples",
        (
            _f("the density that one would like", "tilted.log_density"),
            _f("the score that guidance follows", "tilted.score"),
            _f("the score that would lead there", "tilted.noisy_score"),
            _f("guidance in an interval", "tilted.interval"),
        ),
    ),
    Slide(
        "A7",
        "In One Call",
        (
            _f("where a path ends", "consistency.function"),
            _f("what a network is trained on", "consistency.loss"),
        ),
        code=("minidiff.beyond.consistency.consistency_steps",),
    ),
    Slide(
        "A8",
        "Filling Holes",
        (
            _f("the known part put back", "inpaint.replace"),
            _f("the exact answer on a mixture", "inpaint.weights"),
        ),
        code=("minidiff.beyond.inpainting.repaint_steps",),
    ),
)

SENTENCES = {
    "A1": (
        "A network that predicts noise knows the score, and the score drives an ODE without noise "
        "whose solution, on a line, is a formula."
    ),
    "A2": (
        "A method of second order gets four times nearer with twice the steps; DDIM, which is of "
        "first order, twice."
    ),
    "A3": (
        "The straight line from image to noise is diffusion's path at other times and in another "
        "scale, so one network serves both."
    ),
    "A4": (
        "Errors of eps, of v and of x_0 are one error in three units: a weight must be converted, "
        "and a program that many used forgot it."
    ),
    "A5": (
        "A schedule that leaves some signal in x_T is asked to start from noise that it has never "
        "seen, and the exact map says what that costs."
    ),
    "A6": (
        "Guidance samples another density than the one that is usually written down for it, and "
        "here both are known."
    ),
    "A7": (
        "All points of a path end in one image: a network that knows in which samples in one call, "
        "and the best noise predictor does not."
    ),
    "A8": (
        "Putting the known part back after each step looks right and samples the wrong thing; "
        "rounds of noise and step mend it slowly."
    ),
}
"""One for the class on each chapter: what to take home from it."""

EVERYTHING = (*SLIDES, *AFTER)
