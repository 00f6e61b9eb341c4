"""Slides 18 to 25: training, sampling, DDIM. Data only."""

# fmt: off
from minidiff.classroom.tables.slide import Slide, formula
from minidiff.classroom.tables.slides_forward import CLOSED
from minidiff.classroom.tables.slides_reverse import X_0

TRAINING = "Diffusion Training Process"
SAMPLING = "Diffusion Sampling Process"

FUNCTION = formula("an implicit function", "x_t-1=f(x_t,t)", "ddim.step")

SLIDES_SAMPLING = (
    Slide(18, TRAINING, (
        CLOSED,
        formula("Algorithm 1", r"\nabla_\theta\|\epsilon-\epsilon_\theta(\sqrt\alpha_tx_0+",
                "ddpm.algorithm_1", "losses.L_simple"),
    ), code=("minidiff.diffusion.losses.training_terms", "minidiff.training.trainer.Trainer")),
    Slide(19, TRAINING, code=("minidiff.training.run.run",)),
    Slide(20, SAMPLING, (
        formula("one step", r"x_t-1=\frac1\sqrt\alpha_t(x_t-\frac\beta_t\sqrt1-\alpha_t",
                "reverse.mu_theta", "reverse.p_step"),
        formula("the removed fraction", r"\frac\beta_t\sqrt\alpha_t(1-\alpha_t)",
                "reverse.removed_fraction"),
        formula("Algorithm 2", r"x_t-1=\frac1\sqrt\alpha_t(x_t-\frac1-\alpha_t\sqrt1-\alpha_t",
                "ddpm.algorithm_2", "sampling.clip_x_0"),
    ), code=("minidiff.diffusion.ddpm.ddpm_sample",)),
    Slide(21, SAMPLING, code=("minidiff.diffusion.ddpm.ddpm_steps",)),
    Slide(22, "DDPM vs DDIM", code=(
        "minidiff.diffusion.ddim.ddim_sample", "minidiff.diffusion.schedule.respace",
    )),
    Slide(23, "DDIM Details", (
        CLOSED,
        formula("the scale of the noise", r"\sqrt1-\alpha_t",
                "schedule.one_minus_alpha_bar", "ddim.step"),
        FUNCTION, X_0,
        formula("the predicted x_0",
                r"x_0=\fracx_t-\sqrt1-\alpha_t\epsilon_\theta(x_t,t)\sqrt\alpha_t",
                "targets.x_0_from_eps"),
        formula("the general form",
                r"x_t-1=\sqrt\alpha_t-1x_0+\sqrt1-\alpha_t-1-\sigma_t^2\epsilon_t",
                "ddim.step", "ddim.direction"),
    )),
    Slide(24, "DDIM Details", (
        formula("DDIM's eq. 12",
                r"x_t-1=\sqrt\alpha_t-1(\fracx_t-\sqrt1-\alpha_t\epsilon_\theta^(t)(x_t)",
                "ddim.step", "ddim.direction"),
        formula("deterministic", r"\sigma_t=0", "ddim.sigma", "ddim.inversion_step", "ddim.slerp"),
        formula("a sub-sequence of times", r"\tau_1,\dots,\tau_S", "ddim.tau"),
        formula("DDPM's noise", r"\sigma_t^2=\frac1-\alpha_t-11-\alpha_t\beta_t",
                "ddim.sigma", "ddim.sigma_hat", "posterior.beta_tilde"),
    ), code=("minidiff.classroom.notation.notation", "minidiff.diffusion.inversion.ddim_invert")),
    Slide(25, "DDIM Summary", (
        FUNCTION,
        formula("no noise", r"\sigma_t=0", "ddim.sigma"),
    )),
)
