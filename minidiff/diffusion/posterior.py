"""The posterior q(x_{t-1} | x_t, x_0), derived as on the slide: Bayes, expand, collect, read off variance and mean.

The exponents divide by 1 - alpha_bar_{t-1} and so need t >= 2; the results (`mu_tilde`, `schedule.beta_tilde`) hold for t = 1, too.
"""

from __future__ import annotations

from minidiff.diffusion.elementwise import sqrt
from minidiff.diffusion.equation import equation
from minidiff.diffusion.reverse import mu_theta

SLIDE = "Reverse Diffusion Process"


@equation(
    "posterior.bayes",
    slide=SLIDE,
    paper="DDPM eq. 6",
    latex=r"-\tfrac12\Big(\frac{(\mathbf{x}_t-\sqrt{\alpha_t}\mathbf{x}_{t-1})^2}{\beta_t}"
    r" + \frac{(\mathbf{x}_{t-1}-\sqrt{\bar\alpha_{t-1}}\mathbf{x}_0)^2}{1-\bar\alpha_{t-1}}"
    r" - \frac{(\mathbf{x}_t-\sqrt{\bar\alpha_t}\mathbf{x}_0)^2}{1-\bar\alpha_t}\Big)",
)
def exponent_by_bayes(x_prev, x_t, x_0, t, schedule):
    """Exponent of q(x_t|x_{t-1}) q(x_{t-1}|x_0) / q(x_t|x_0).   x_prev, x_t, x_0: (B, ...); t: int or (B,) in 2..T -> (B, ...)."""
    alpha_bar_prev = schedule.alpha_bar(t - 1, like=x_t)
    step = (x_t - sqrt(schedule.alpha(t, like=x_t)) * x_prev) ** 2 / schedule.beta(t, like=x_t)
    prior = (x_prev - sqrt(alpha_bar_prev) * x_0) ** 2 / schedule.one_minus_alpha_bar(t - 1, like=x_t)
    evidence = (x_t - sqrt(schedule.alpha_bar(t, like=x_t)) * x_0) ** 2 / schedule.one_minus_alpha_bar(t, like=x_t)
    return -0.5 * (step + prior - evidence)


@equation(
    "posterior.expanded",
    slide=SLIDE,
    paper="DDPM eq. 6",
    latex=r"-\tfrac12\Big(\frac{\mathbf{x}_t^2 - 2\sqrt{\alpha_t}\mathbf{x}_t\mathbf{x}_{t-1} + \alpha_t\mathbf{x}_{t-1}^2}{\beta_t}"
    r" + \frac{\mathbf{x}_{t-1}^2 - 2\sqrt{\bar\alpha_{t-1}}\mathbf{x}_0\mathbf{x}_{t-1}"
    r" + \bar\alpha_{t-1}\mathbf{x}_0^2}{1-\bar\alpha_{t-1}}"
    r" - \frac{(\mathbf{x}_t-\sqrt{\bar\alpha_t}\mathbf{x}_0)^2}{1-\bar\alpha_t}\Big)",
)
def exponent_expanded(x_prev, x_t, x_0, t, schedule):
    """The squares multiplied out.   Arguments and result as `exponent_by_bayes`."""
    alpha_t = schedule.alpha(t, like=x_t)
    alpha_bar_prev = schedule.alpha_bar(t - 1, like=x_t)
    step = (x_t**2 - 2 * sqrt(alpha_t) * x_t * x_prev + alpha_t * x_prev**2) / schedule.beta(t, like=x_t)
    square = x_prev**2 - 2 * sqrt(alpha_bar_prev) * x_0 * x_prev + alpha_bar_prev * x_0**2
    prior = square / schedule.one_minus_alpha_bar(t - 1, like=x_t)
    evidence = (x_t - sqrt(schedule.alpha_bar(t, like=x_t)) * x_0) ** 2 / schedule.one_minus_alpha_bar(t, like=x_t)
    return -0.5 * (step + prior - evidence)


@equation(
    "posterior.precision",
    slide=SLIDE,
    paper="DDPM eq. 7",
    latex=r"\frac{\alpha_t}{\beta_t} + \frac{1}{1-\bar\alpha_{t-1}} = \frac{1}{\tilde\beta_t}",
)
def precision(t, schedule, like=None):
    """What multiplies x_{t-1}^2: precisions add.   t: int or (B,) in 2..T -> float, or (B, 1, ...) to multiply `like`."""
    of_the_step = schedule.alpha(t, like=like) / schedule.beta(t, like=like)
    of_the_prior = 1 / schedule.one_minus_alpha_bar(t - 1, like=like)
    return of_the_step + of_the_prior


@equation("posterior.precision_as_one_fraction", "DDPM eq. 7", slide=SLIDE)
def precision_as_one_fraction(t, schedule, like=None):
    """1 / beta_tilde_t = (alpha_t - alpha_bar_t + beta_t) / (beta_t (1 - alpha_bar_{t-1}))

    t: int or (B,) in 2..T -> float, or (B, 1, ...) to multiply `like`
    The numerator is 1 - alpha_bar_t, from which the last form of beta_tilde follows.
    """
    alpha, alpha_bar = schedule.alpha(t, like=like), schedule.alpha_bar(t, like=like)
    numerator = alpha - alpha_bar + schedule.beta(t, like=like)
    denominator = schedule.beta(t, like=like) * schedule.one_minus_alpha_bar(t - 1, like=like)
    fraction = numerator / denominator
    return fraction


@equation(
    "posterior.pull",
    slide=SLIDE,
    paper="DDPM eq. 7",
    latex=r"\frac{\sqrt{\alpha_t}}{\beta_t}\mathbf{x}_t + \frac{\sqrt{\bar\alpha_{t-1}}}{1-\bar\alpha_{t-1}}\mathbf{x}_0",
)
def pull(x_t, x_0, t, schedule):
    """What multiplies 2 x_{t-1}: each end pulls with its precision.   x_t, x_0: (B, ...); t: int or (B,) in 2..T -> (B, ...)."""
    towards_x_t = sqrt(schedule.alpha(t, like=x_t)) / schedule.beta(t, like=x_t) * x_t
    weight_x_0 = sqrt(schedule.alpha_bar(t - 1, like=x_t)) / schedule.one_minus_alpha_bar(t - 1, like=x_t)
    towards_x_0 = weight_x_0 * x_0
    return towards_x_t + towards_x_0


@equation(
    "posterior.collected",
    slide=SLIDE,
    paper="DDPM eq. 6",
    latex=r"-\tfrac12\Big(\Big(\frac{\alpha_t}{\beta_t}+\frac{1}{1-\bar\alpha_{t-1}}\Big)\mathbf{x}_{t-1}^2"
    r" - \Big(\frac{2\sqrt{\alpha_t}}{\beta_t}\mathbf{x}_t+\frac{2\sqrt{\bar\alpha_{t-1}}}{1-\bar\alpha_{t-1}}\mathbf{x}_0\Big)"
    r"\mathbf{x}_{t-1} + C(\mathbf{x}_t,\mathbf{x}_0)\Big)",
)
def exponent_collected(x_prev, x_t, x_0, t, schedule):
    """Collected by powers of x_{t-1}.   Arguments and result as `exponent_by_bayes`."""
    quadratic = precision(t, schedule, like=x_t) * x_prev**2
    linear = 2 * pull(x_t, x_0, t, schedule) * x_prev
    C = -2 * exponent_expanded(0 * x_prev, x_t, x_0, t, schedule)  # what does not contain x_{t-1}
    return -0.5 * (quadratic - linear + C)


@equation(
    "posterior.mu_tilde_from_pull",
    slide=SLIDE,
    paper="DDPM eq. 7",
    latex=r"\tilde\mu_t = \Big(\frac{\sqrt{\alpha_t}}{\beta_t}\mathbf{x}_t"
    r" + \frac{\sqrt{\bar\alpha_{t-1}}}{1-\bar\alpha_{t-1}}\mathbf{x}_0\Big)"
    r" \Big/ \Big(\frac{\alpha_t}{\beta_t} + \frac{1}{1-\bar\alpha_{t-1}}\Big)",
)
def mu_tilde_from_pull(x_t, x_0, t, schedule):
    """The top of the parabola: pull over precision.   x_t, x_0: (B, ...); t: int or (B,) in 2..T -> (B, ...)."""
    return pull(x_t, x_0, t, schedule) / precision(t, schedule, like=x_t)


@equation(
    "posterior.mu_tilde",
    slide=SLIDE,
    paper="DDPM eq. 7",
    latex=r"\tilde\mu_t(\mathbf{x}_t,\mathbf{x}_0) = \frac{\sqrt{\alpha_t}(1-\bar\alpha_{t-1})}{1-\bar\alpha_t}\mathbf{x}_t"
    r" + \frac{\sqrt{\bar\alpha_{t-1}}\beta_t}{1-\bar\alpha_t}\mathbf{x}_0",
)
def mu_tilde(x_t, x_0, t, schedule):
    """Mean of q(x_{t-1} | x_t, x_0).   x_t, x_0: (B, ...); t: int or (B,) in 1..T -> (B, ...)."""
    one_minus_alpha_bar_t = schedule.one_minus_alpha_bar(t, like=x_t)
    one_minus_alpha_bar_prev = schedule.one_minus_alpha_bar(t - 1, like=x_t, first=0)
    weight_x_t = sqrt(schedule.alpha(t, like=x_t)) * one_minus_alpha_bar_prev / one_minus_alpha_bar_t
    weight_x_0 = sqrt(schedule.alpha_bar(t - 1, like=x_t, first=0)) * schedule.beta(t, like=x_t) / one_minus_alpha_bar_t
    return weight_x_t * x_t + weight_x_0 * x_0


@equation(
    "posterior.mu_tilde_from_eps",
    slide=SLIDE,
    paper="DDPM eq. 10",
    latex=r"\tilde\mu_t = \frac{1}{\sqrt{\alpha_t}}\Big(\mathbf{x}_t - \frac{1-\alpha_t}{\sqrt{1-\bar\alpha_t}}\boldsymbol\epsilon\Big)",
    errata=(5,),
)
def mu_tilde_from_eps(x_t, eps, t, schedule):
    """The same mean from the noise in x_t: the formula of mu_theta with the true eps.   x_t, eps: (B, ...); t: 1..T -> (B, ...)."""
    return mu_theta(x_t, t, eps, schedule)


@equation(
    "posterior.q_posterior",
    slide=SLIDE,
    paper="DDPM eq. 6",
    latex=r"q(\mathbf{x}_{t-1}|\mathbf{x}_t,\mathbf{x}_0) ="
    r" \mathcal{N}(\mathbf{x}_{t-1};\tilde{\boldsymbol\mu}(\mathbf{x}_t,\mathbf{x}_0),\tilde\beta_t\mathbf{I})",
)
def q_posterior(x_t, x_0, t, schedule):
    """Mean and variance of q(x_{t-1} | x_t, x_0).   -> mean: (B, ...), variance: float or (B, 1, ...), 0 at t = 1."""
    mean = mu_tilde(x_t, x_0, t, schedule)
    variance = schedule.beta_tilde(t, like=x_t)
    return mean, variance
