"""Slides 6 to 10: the posterior and the reverse process. Data only."""

# fmt: off
from minidiff.classroom.tables.slide import Slide, formula

REVERSE = "Reverse Diffusion Process"

POSTERIOR = formula("the posterior", r"q(x_t-1|x_t,x_0)=N(x_t-1;\mu(x_t,x_0),\beta_tI)",
    "posterior.q_posterior")
X_0 = formula("x_0 from the noise", r"x_0=\frac1\sqrt\alpha_t(x_t-\sqrt1-\alpha_t\epsilon_t)",
    "targets.x_0_from_eps")
MU_THETA = formula(
    "mu_theta",
    r"\mu_\theta(x_t,t)=\frac1\sqrt\alpha_t(x_t-\frac1-\alpha_t\sqrt1-\alpha_t\epsilon_\theta",
    "reverse.mu_theta")
REVERSE_STEP = formula(
    "one reverse step", r"x_t-1=\frac1\sqrt\alpha_t(x_t-\frac1-\alpha_t\sqrt1-\alpha_t",
    "reverse.mu_theta", "reverse.p_step")

SLIDES_REVERSE = (
    Slide(6, REVERSE, (
        formula("the start", r"x_T\simN(0,I)",
                "ddpm.algorithm_2", "vlb.L_T", "schedule.L_T_of_unit_pixel"),
        formula("Bayes' theorem", "q(x_t-1|x_t)=q(x_t|x_t-1)*q(x_t-1)/q(x_t)", "oracle.bayes"),
        formula("the marginal", r"q(x_t)=\intq(x_t|x_0)q(x_0)dx_0",
                "oracle.marginal", "oracle.score"),
        formula("the true reverse step", None,
                "oracle.reverse_variance", "oracle.x_0", "oracle.bayes"),
        formula("the model", r"p_\theta(x_t-1|x_t)=N(x_t-1;\mu_\theta(x_t,t),",
                "reverse.p_step", "reverse.learned_variance"),
    )),
    Slide(7, REVERSE, (
        POSTERIOR,
    )),
    Slide(8, REVERSE, (
        formula("Bayes for the posterior", r"=q(x_t|x_t-1,x_0)\fracq(x_t-1|x_0)q(x_t|x_0)",
                "posterior.bayes"),
        formula("the exponent", r"\propto\exp(-\frac12(\frac(x_t-\sqrt\alpha_tx_t-1)^2\beta_t",
                "posterior.bayes", "gaussian.log_density"),
        formula("expanded", r"=\exp(-\frac12(\fracx_t^2-2\sqrt\alpha_tx_tx_t-1",
                "posterior.expanded"),
        formula("collected", r"=\exp(-\frac12((\frac\alpha_t\beta_t+\frac11-\alpha_t-1)x_t-1^2",
                "posterior.collected"),
        formula("beta_tilde", r"\beta_t=1/(\frac\alpha_t\beta_t+\frac11-\alpha_t-1)=1/",
                "posterior.precision",
                "posterior.precision_as_one_fraction", "posterior.beta_tilde"),
        formula("its top", r"\mu_t(x_t,x_0)=(\frac\sqrt\alpha_t\beta_tx_t",
                "posterior.mu_tilde_from_pull", "posterior.pull"),
        formula("times beta_tilde", r"x_0)\frac1-\alpha_t-11-\alpha_t\cdot\beta_t",
                "posterior.pull", "posterior.beta_tilde"),
        formula("mu_tilde", r"=\frac\sqrt\alpha_t(1-\alpha_t-1)1-\alpha_tx_t+",
                "posterior.mu_tilde"),
        POSTERIOR,
    )),
    Slide(9, REVERSE, (
        X_0,
        formula("x_0 put into mu_tilde", r"\mu_t=\frac\sqrt\alpha_t(1-\alpha_t-1)",
                "posterior.mu_tilde", "targets.x_0_from_eps"),
        formula("mu_tilde from eps",
                r"=\frac1\sqrt\alpha_t(x_t-\frac1-\alpha_t\sqrt1-\alpha_t\epsilon_t)",
                "posterior.mu_tilde_from_eps"),
        MU_THETA,
        formula("what about this?", None,
                "reverse.learned_variance", "learned.L_hybrid", "learned.bits", "oracle.v"),
        formula("the model's step", r"x_t-1=N(x_t-1;\frac1\sqrt\alpha_t(x_t",
                "reverse.mu_theta", "reverse.p_step"),
    )),
    Slide(10, REVERSE, (
        POSTERIOR,
        formula("the step with beta_tilde", r"x_t-1=N(x_t-1;\frac1\sqrt\alpha_t(x_t",
                "reverse.mu_theta", "reverse.p_step"),
        formula("the fixed variance", r"\Sigma_\theta(x_t,t)=\sigma_t^2I", "reverse.sigma_squared"),
        formula("its two choices", r"\sigma_t^2=\beta_t",
                "reverse.sigma_squared", "reverse.beta_tilde_clipped", "oracle.reverse_variance"),
        MU_THETA, REVERSE_STEP,
        formula("fresh noise", r"z\simN(0,I)", "ddpm.algorithm_2"),
    )),
)
