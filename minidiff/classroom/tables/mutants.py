"""The mutants: one wrong term each, of the kinds that people get wrong."""

from __future__ import annotations

from typing import NamedTuple


class Mutant(NamedTuple):
    """In the source of equation `id`, `old` becomes `new`; `what` says it in words."""

    id: str
    what: str
    old: str
    new: str


MUTANTS = (
    Mutant("schedule.linear", "exponent upside down", "(1000 / T)", "(T / 1000)"),
    Mutant("schedule.cosine", "index off by one", "(t / T + s)", "((t - 1) / T + s)"),
    Mutant("schedule.cosine", "missing square", "** 2", ""),
    Mutant("schedule.alpha_bar", "extra square root", "np.cumprod(alpha)", "np.cumprod(np.sqrt(alpha))"),
    Mutant("schedule.one_minus_alpha_bar", "old noise not shrunk", "(1 - beta[t]) * variance[t - 1]", "variance[t - 1]"),
    Mutant("schedule.L_T_of_unit_pixel", "sign", "-0.5", "0.5"),
    Mutant("forward.q_step", "missing square root", "sqrt(1 - now.beta)", "(1 - now.beta)"),
    Mutant("forward.q_step", "beta for sqrt(beta)", "sqrt(now.beta) * eps_step", "now.beta * eps_step"),
    Mutant("forward.q_sample", "alpha for alpha_bar", "now.alpha_bar", "now.alpha"),
    Mutant("forward.q_sample", "missing square root", "sqrt(now.one_minus_alpha_bar)", "now.one_minus_alpha_bar"),
    Mutant("forward.q_sample", "sign", "signal + noise", "signal - noise"),
    Mutant("forward.merge_gaussians", "older noise not scaled", "alpha_t * (1 - alpha_prev)", "(1 - alpha_prev)"),
    Mutant("forward.q_chain", "first step left out", "range(1, schedule.T + 1)", "range(2, schedule.T + 1)"),
    Mutant("gaussian.log_density", "factor 2 pi missing", "log(2 * math.pi * variance)", "log(variance)"),
    Mutant("gaussian.kl", "sign of the logarithm", "ratio - 1 - log(ratio)", "ratio - 1 + log(ratio)"),
    Mutant("gaussian.discretised", "256 bins for 255", "1 / (levels - 1)", "1 / levels"),
    Mutant("reverse.mu_theta", "sign", "x_t - removed", "x_t + removed"),
    Mutant("reverse.mu_theta", "missing square root", "now.beta / sqrt(now.one_minus_alpha_bar)", "now.beta / now.one_minus_alpha_bar"),
    Mutant("reverse.mu_theta", "alpha_bar for alpha", "sqrt(now.alpha)", "sqrt(now.alpha_bar)"),
    Mutant("reverse.sigma_squared", "beta for beta_tilde", "now.beta_tilde", "now.beta"),
    Mutant("reverse.p_step", "variance for sigma", "sigma_t * z", "sigma_t**2 * z"),
    Mutant("reverse.removed_fraction", "the slide's fraction", "/ now.one_minus_alpha_bar", "/ now.one_minus_alpha_bar ** 0.5"),
    Mutant("posterior.beta_tilde", "beta for beta_tilde", "one_minus_alpha_bar[:-1] / one_minus_alpha_bar[1:] * beta[1:]", "beta[1:]"),
    Mutant("posterior.precision", "index off by one", "prev.one_minus_alpha_bar", "now.one_minus_alpha_bar"),
    Mutant("posterior.pull", "missing square root", "sqrt(now.alpha)", "now.alpha"),
    Mutant("posterior.mu_tilde", "index off by one", "sqrt(prev.alpha_bar)", "sqrt(now.alpha_bar)"),
    Mutant("posterior.mu_tilde", "alpha_bar for alpha", "sqrt(now.alpha)", "sqrt(now.alpha_bar)"),
    Mutant("posterior.collected", "factor 2 missing", "2 * pull(", "pull("),
    Mutant("targets.x_0_from_eps", "missing square root", "/ sqrt(now.alpha_bar)", "/ now.alpha_bar"),
    Mutant("targets.v", "sign", "from_noise - from_image", "from_noise + from_image"),
    Mutant("losses.L_simple", "sum for mean", ".mean()", ".sum()"),
    Mutant("losses.weight", "factor 2 missing", "2 * sigma_t_squared", "sigma_t_squared"),
    Mutant("losses.weight", "alpha_bar for alpha", "now.alpha *", "now.alpha_bar *"),
    Mutant("vlb.L_T", "variance of the step", "mean, variance, 0.0, 1.0", "mean, schedule.beta(schedule.T), 0.0, 1.0"),
    Mutant("vlb.L_t_minus_1", "KL the other way round", "mean_q, variance_q, mean_p, variance_p", "mean_p, variance_p, mean_q, variance_q"),
    Mutant("vlb.L_0", "beta of another step", "schedule.beta(1)", "schedule.beta(2)"),
    Mutant("vlb.total", "sign", "total + step.L", "total - step.L"),
    Mutant("vlb.of_chain_by_posterior", "L_0 inside the sum", "range(2, schedule.T + 1)", "range(1, schedule.T + 1)"),
    Mutant("sampling.clip_x_0", "eps not re-derived", "eps_hat = eps_from_x_0(x_t, t, x_0_hat, schedule)", "eps_hat = eps_hat"),
    Mutant("ddpm.algorithm_2", "last step noisy", "if t > 1 else", "if t > 0 else"),
    Mutant("ddpm.algorithm_2", "t = 1 left out", "range(schedule.T, 0, -1)", "range(schedule.T, 1, -1)"),
    Mutant("ddim.tau", "starts at 0", "1 + distinct", "distinct"),
    Mutant("ddim.sigma", "missing square root", "sqrt(variance_left)", "variance_left"),
    Mutant("ddim.direction", "sigma not taken off", " - sigma_t**2\n", "\n"),
    Mutant("ddim.step", "no direction term", "predicted_x_0 + direction + random_noise", "predicted_x_0 + random_noise"),
    Mutant("ddim.step", "missing square root", "sqrt(schedule.at(t_prev, first=0).alpha_bar)", "schedule.at(t_prev, first=0).alpha_bar"),
    Mutant("ddim.inversion_step", "index off by one", "schedule.at(t_next)", "schedule.at(max(t, 1))"),
    Mutant("guidance.classifier_eps", "sign", "eps_hat - shift", "eps_hat + shift"),
    Mutant("guidance.classifier_eps", "missing square root", "s * sqrt(now.", "s * (now."),
    Mutant("guidance.classifier_mean", "no variance", "s * variance * gradient", "s * gradient"),
    Mutant("guidance.classifier_free_w", "w for 1 + w", "(1 + w) * eps_y - w", "w * eps_y - w"),
    Mutant("oracle.eps", "sign", "-sqrt(", "sqrt("),
    Mutant("oracle.score", "sign", "mean - x", "x - mean"),
    Mutant("vq.nearest", "factor 2 missing", "2 * z_e", "z_e"),
    Mutant("vq.commitment_loss", "gradient to the codes", "z_e - detach(e)", "detach(z_e) - e"),
    Mutant("vae.kl", "factor 1/2 missing", "0.5 * ", ""),
    Mutant("ldm.projections", "values from the keys' matrix", "F.linear(value, W_V, b_V)", "F.linear(value, W_K, b_V)"),
)  # fmt: skip
