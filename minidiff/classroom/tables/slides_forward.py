"""Slides 1 to 5: the forward process and its schedule. Data only."""

# fmt: off
from minidiff.classroom.tables.slide import Slide, formula

FORWARD = "Forward Diffusion Process"

STEP = formula("one forward step", r"q(x_t|x_t-1)=N(x_t;\sqrt1-\beta_tx_t-1,\beta_tI)",
    "forward.q_step")
CHAIN = formula("the Markov chain", r"q(x_1:T|x_0)=\prod_t=1^Tq(x_t|x_t-1)", "forward.q_chain")
CLOSED = formula("the closed form", r"q(x_t|x_0)=N(x_t;\sqrt\alpha_tx_0,(1-\alpha_t)I)",
    "forward.q_mean_variance", "forward.q_sample")

SLIDES_FORWARD = (
    Slide(
        1,
        "Before We Start",
        code=("minidiff.diffusion.gaussian.kl_gaussians", "minidiff.functional.conv2d.conv2d"),
    ),
    Slide(2, "Diffusion High Level", code=("minidiff.diffusion.oracle.GaussianMixture",)),
    Slide(3, "Inspired By Diffusion In Physics", code=(
        "minidiff.diffusion.forward.forward_steps",
    )),
    Slide(4, FORWARD, (
        STEP, CHAIN,
        formula("the diffusion rate", r"\beta_t\in(0,1)", "schedule.linear", "schedule.cosine"),
    ), code=("minidiff.diffusion.schedule.make_schedule",)),
    Slide(5, FORWARD, (
        formula("alpha and alpha_bar", r"\alpha_t=1-\beta_t\quad\alpha_t=\prod_i=1^t\alpha_i",
                "schedule.alpha_bar"),
        formula("one step, reparametrised", r"x_t=\sqrt\alpha_tx_t-1+\sqrt1-\alpha_t\epsilon_t-1",
                "forward.q_step"),
        formula("two Gaussians merged", r"\sqrt1-\alpha_t\alpha_t-1\epsilon_t-2",
                "forward.q_two_steps", "forward.merge_gaussians", "schedule.one_minus_alpha_bar"),
        formula("x_t in one jump", r"=\sqrt\alpha_tx_0+\sqrt1-\alpha_t\epsilon",
                "forward.q_sample"),
        CLOSED,
        formula("the linear schedule", None, "schedule.linear"),
        formula("the cosine schedule", r"\beta_t=clip(1-\frac\alpha_t\alpha_t-1,0.0001,0.02)",
                "schedule.cosine", "schedule.alpha_bar"),
    ), code=(
        "minidiff.diffusion.schedule.make_schedule",
        "minidiff.diffusion.schedule_check.TerminalCheck",
    )),
)
