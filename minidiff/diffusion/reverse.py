"""One step of the reverse process p_theta(x_{t-1} | x_t): its mean, and the choices for its variance."""

from __future__ import annotations

from minidiff.diffusion.elementwise import exp, log, sqrt
from minidiff.diffusion.equation import equation

VARIANCES = ("beta", "beta_tilde")


@equation(
    "reverse.mu_theta",
    slide="Reverse Diffusion Process",
    paper="DDPM eq. 11",
    latex=r"\boldsymbol\mu_\theta(\mathbf{x}_t,t) = \frac{1}{\sqrt{\alpha_t}}"
    r"\Big(\mathbf{x}_t - \frac{1-\alpha_t}{\sqrt{1-\bar\alpha_t}}\,\boldsymbol\epsilon_\theta(\mathbf{x}_t,t)\Big)",
    errata=(5,),
)
def mu_theta(x_t, t, eps_hat, schedule):
    """Mean of p_theta(x_{t-1} | x_t).   x_t, eps_hat: (B, ...); t: int or (B,) in 1..T -> mu: (B, ...)."""
    beta_t = schedule.beta(t, like=x_t)
    one_minus_alpha_bar_t = schedule.one_minus_alpha_bar(t, like=x_t)
    removed = beta_t / sqrt(one_minus_alpha_bar_t) * eps_hat
    mu = (x_t - removed) / sqrt(schedule.alpha(t, like=x_t))
    return mu


@equation(
    "reverse.sigma_squared",
    slide="Reverse Diffusion Process",
    paper="DDPM sec. 3.2",
    latex=r"\boldsymbol\Sigma_\theta(\mathbf{x}_t,t) = \sigma_t^2\mathbf{I}, \quad \sigma_t^2 = \beta_t \text{ or } \tilde\beta_t",
    errata=(8, 9),
)
def sigma_squared(t, schedule, variance="beta_tilde", like=None):
    """The fixed variance of p_theta.   t: int or (B,) in 1..T -> float, or (B, 1, ...) to multiply `like`.

    "beta" is the variance of the true step for x_0 ~ N(0, I), "beta_tilde" that for a single point x_0.
    For data of unit variance the true one lies between them on average, and at single x_t outside:
    see `oracle.reverse_variance`.
    Raises ValueError for another name.
    """
    if variance not in VARIANCES:
        raise ValueError(f"sigma_squared: variance must be one of {', '.join(VARIANCES)}, got {variance!r}")
    return schedule.beta(t, like=like) if variance == "beta" else schedule.beta_tilde(t, like=like)


@equation(
    "reverse.learned_variance",
    slide="Reverse Diffusion Process",
    paper="improved DDPM eq. 15",
    latex=r"\boldsymbol\Sigma_\theta = \exp\big(v\log\beta_t + (1-v)\log\tilde\beta_t\big)",
)
def learned_variance(v, t, schedule):
    """A variance between beta_tilde (v = 0) and beta (v = 1), in the log domain.   v: (B, ...); t: int or (B,) in 1..T -> (B, ...).

    beta_tilde_1 = 0 has no logarithm: t = 1 takes beta_tilde_2, see `beta_tilde_clipped`.
    """
    log_beta = log(schedule.beta(t, like=v))
    log_beta_tilde = log(beta_tilde_clipped(t, schedule, like=v))
    log_variance = v * log_beta + (1 - v) * log_beta_tilde
    variance = exp(log_variance)
    return variance


@equation(
    "reverse.p_step",
    slide="Reverse Diffusion Process",
    paper="DDPM Algorithm 2, line 4",
    latex=r"\mathbf{x}_{t-1} = \frac{1}{\sqrt{\alpha_t}}\Big(\mathbf{x}_t - \frac{1-\alpha_t}{\sqrt{1-\bar\alpha_t}}"
    r"\,\boldsymbol\epsilon_\theta(\mathbf{x}_t,t)\Big) + \sigma_t\mathbf{z}",
    errata=(7, 9, 22, 23, 24),
)
def p_step(x_t, t, eps_hat, z, schedule, variance="beta_tilde"):
    """Sample p_theta(x_{t-1} | x_t).   x_t, eps_hat, z: (B, ...); z ~ N(0, I), zeros at t = 1 -> x_prev: (B, ...)."""
    mu = mu_theta(x_t, t, eps_hat, schedule)
    sigma_t = sqrt(sigma_squared(t, schedule, variance, like=x_t))
    x_prev = mu + sigma_t * z
    return x_prev


@equation(
    "reverse.removed_fraction",
    slide="Diffusion Sampling Process",
    paper="DDPM eq. 11",
    latex=r"\frac{\beta_t}{1-\bar\alpha_t}",
    errata=(25,),
)
def removed_fraction(t, schedule):
    """Part of the predicted noise, sqrt(1 - alpha_bar_t) eps_theta, that one step takes out of x_t.   t: in 1..T -> (0, 1]."""
    fraction = schedule.beta(t) / schedule.one_minus_alpha_bar(t)
    return fraction


@equation("reverse.beta_tilde_clipped", "code of DDPM and improved DDPM", errata=9)
def beta_tilde_clipped(t, schedule, like=None):
    """beta_tilde_t, and beta_tilde_2 at t = 1: beta_tilde_1 = 0 has no logarithm

    t: int or (B,) in 1..T -> float, or (B, 1, ...) to multiply `like`
    Raises: ValueError if T = 1, where there is no beta_tilde_2.
    """
    if schedule.T == 1:
        raise ValueError("beta_tilde_clipped: T = 1 has no beta_tilde_2: take variance 'beta'")
    t_clipped = schedule.index(t).clip(2)
    beta_tilde = schedule.beta_tilde(t_clipped, like=like)
    return beta_tilde


def likelihood_variance(t, schedule, variance="beta", like=None):
    """sigma_t^2 > 0 of p_theta where its density counts.   Arguments and result as `sigma_squared`.

    variance: "beta", "beta_tilde" (with beta_tilde_2 at t = 1), or an array of variances, which stays.
    """
    if not isinstance(variance, str):
        return variance
    if variance == "beta_tilde":
        return beta_tilde_clipped(t, schedule, like=like)
    return sigma_squared(t, schedule, variance, like=like)
