"""Well-known wrong forms that are no mutants of the package: (what it is, right text, wrong text).

With the mutants of an equation each exercise has at least three. A wrong number that comes out
of one of them is named by it.
"""

from __future__ import annotations

Fault = tuple[str, str, str]

LEFT_OUT = ("guide given sigma", "learned variance ignored")
"""Mutants of options that an exercise leaves to the package."""

FAULTS: dict[str, tuple[Fault, ...]] = {
    "linear_beta": (
        ("beta_1 and beta_T exchanged", "beta_1, beta_T, T)", "beta_T, beta_1, T)"),
        ("no rescaling for another T", "(1000 / T)", "1"),
    ),
    "cosine_beta": (
        ("not clipped", "beta_min, beta_max", "-9.0, 9.0"),
    ),
    "alpha_bar_table": (
        ("beta for alpha", "np.cumprod(alpha)", "np.cumprod(beta)"),
        ("a sum for the product", "np.cumprod(alpha)", "np.cumsum(alpha)"),
        ("not multiplied up", "np.cumprod(alpha)", "alpha"),
    ),
    "q_step": (("sign of the noise", "signal + noise", "signal - noise"),),
    "q_sample": (
        ("signal and noise exchanged", "sqrt(now.alpha_bar) * x_0", "sqrt(now.alpha_bar) * eps"),
    ),
    "beta_tilde_table": (
        ("fraction upside down", "one_minus_alpha_bar[:-1] / one_minus_alpha_bar[1:]",
         "one_minus_alpha_bar[1:] / np.maximum(one_minus_alpha_bar[:-1], 1e-9)"),
        ("beta without its fraction", "* beta[1:]", "* 1"),
    ),
    "mu_tilde": (
        ("x_t and x_0 exchanged", "weight_x_t * x_t + weight_x_0 * x_0",
         "weight_x_t * x_0 + weight_x_0 * x_t"),
    ),
    "kl_gaussians": (
        ("factor 1/2 missing", "0.5 * (spread", "1.0 * (spread"),
        ("divided by the other variance", "** 2 / variance_2", "** 2 / variance_1"),
    ),
    "L_t_minus_1": (
        ("x_t and x_0 exchanged", "q_posterior(x_t, x_0", "q_posterior(x_0, x_t"),
        ("mean over the pixels for the sum", "sum_per_image(kl)",
         "kl.reshape(len(kl), -1).mean(axis=1)"),
    ),
    "x_0_from_eps": (
        ("alpha for alpha_bar", "sqrt(now.alpha_bar)", "sqrt(now.alpha)"),
        ("sign of the noise", "x_t - noise", "x_t + noise"),
    ),
    "v_target": (
        ("signal and noise exchanged", "from_noise - from_image", "from_image - from_noise"),
        ("missing square roots", "sqrt(now.alpha_bar)", "now.alpha_bar"),
    ),
    "p_step": (
        ("sign of the noise", "mu + noise", "mu - noise"),
        ("no noise", "mu + noise", "mu"),
        ("square root of sigma_t", "sigma_t * z", "sigma_t**0.5 * z"),
    ),
    "loss_weight": (
        ("sigma to the fourth", "(2 * sigma_t_squared", "(2 * sigma_t_squared**2"),
        ("missing square", "now.beta**2", "now.beta"),
    ),
    "L_simple": (
        ("absolute value for the square", "difference**2", "abs(difference)"),
        ("factor 1/2, which is not in it", ".mean()", ".mean() / 2"),
    ),
    "training_terms": (
        ("the network sees x_0", "network, x_t, t", "network, x_0, t"),
        ("the network is asked at t - 1", "x_t, t, target", "x_t, t - 1, target"),
        ("the target is x_0", "regression_target(prediction,", "regression_target('x_0',"),
    ),
    "ddpm_steps": (
        ("variance for sigma", "sqrt(variance_t)", "variance_t"),
        ("x_t is not passed on", "        x_t = x_prev", "        pass"),
    ),
    "clip_x_0": (
        ("not clipped", ".clip(-clip, clip)", ".clip(-9, 9)"),
        ("clipped to [0, 1]", ".clip(-clip, clip)", ".clip(0, clip)"),
        ("eps_hat is clipped", "eps_hat = eps_from_x_0(x_t, t, x_0_hat, schedule)",
         "eps_hat = eps_hat.clip(-clip, clip)"),
    ),
    "make_tau": (
        ("S steps of T // S, which do not end in T", "1 + distinct", "1 + np.arange(S) * (T // S)"),
        ("decreasing", "1 + distinct", "(1 + distinct)[::-1]"),
    ),
    "ddim_sigma": (
        ("fraction upside down", "prev.one_minus_alpha_bar / now.one_minus_alpha_bar",
         "now.one_minus_alpha_bar / prev.one_minus_alpha_bar"),
        ("beta_t for the beta of the jump", "schedule.jump_beta(t_prev, t)", "now.beta"),
        ("eta left out", "eta * sqrt", "sqrt"),
    ),
    "ddim_direction": (
        ("sigma_t for its square", " - sigma_t**2\n", " - sigma_t\n"),
        ("missing square root", "sqrt(max(radicand, 0.0))", "max(radicand, 0.0)"),
    ),
    "ddim_step": (
        ("alpha for alpha_bar", "first=0).alpha_bar", "first=0).alpha"),
        ("no noise", " + random_noise", ""),
    ),
    "swish": (
        ("sigmoid alone", "x * sigma", "sigma"),
        ("derivative of the sigmoid", "(sigma + y * (1 - sigma))", "(sigma * (1 - sigma))"),
        ("a part of the derivative is missing", "(sigma + y * (1 - sigma))", "sigma"),
    ),
    "group_norm": (
        ("variance for its root", "1 / xp.sqrt(var + eps)", "1 / (var + eps)"),
        ("mean not subtracted", "x_hat = centred *", "x_hat = x_g *"),
        ("bias left out", "y + bias.reshape(channel)", "y"),
        ("weight left out", "y if weight is None else y * weight.reshape(channel)", "y"),
    ),
    "group_norm_backward": (
        ("mean and variance taken as constants",
         "(dx_hat - mean_of_dx_hat - x_hat * mean_with_x_hat)", "dx_hat"),
        ("variance taken as a constant", " - x_hat * mean_with_x_hat", ""),
        ("mean taken as a constant", "dx_hat - mean_of_dx_hat -", "dx_hat -"),
        ("weight left out", "else dy * weight.reshape(channel)", "else dy"),
    ),
    "conv2d": (
        ("kernel turned round, as a mathematician's convolution is",
         "w[..., u, v], padded[seen]", "w[..., -1 - u, -1 - v], padded[seen]"),
        ("bias left out", "y + bias[:, None, None]", "y"),
        ("only the last element of the kernel", "y_g += xp", "y_g = xp"),
    ),
    "conv2d_backward": (
        ("dx of the last element of the kernel alone", "dpadded[seen] +=", "dpadded[seen] ="),
        ("mean for the sum over images", "dy_g, padded[seen])", "dy_g, padded[seen]) / N"),
        ("the bias has the gradient of one image", "dy.sum(axis=(0, 2, 3))",
         "dy[0].sum(axis=(1, 2))"),
        ("kernel turned round", "w[..., u, v], dy_g", "w[..., -1 - u, -1 - v], dy_g"),
    ),
    "attention": (
        ("not divided by sqrt(d)", "1 / math.sqrt(query.shape[-1])", "1.0"),
        ("divided by d, not by its root", "1 / math.sqrt(query.shape[-1])", "1 / query.shape[-1]"),
        ("softmax over the queries", "p = e / xp.where(total == 0, 1, total)",
         "p = e / e.sum(axis=-2, keepdims=True)"),
        ("softmax without its norm", "p = e / xp.where(total == 0, 1, total)", "p = e"),
        ("mask left out", "xp.where(mask, scores, -xp.inf)", "scores"),
    ),
    "attention_backward": (
        ("scale left out of dquery", "dquery = scale * (dscores", "dquery = (dscores"),
        ("softmax taken element by element", "(dp - (dp * p).sum(axis=-1, keepdims=True))",
         "dp * (1 - p)"),
        ("scale left out of dkey", "dkey = scale *", "dkey = 1.0 *"),
        ("dvalue from the scores", "dvalue = p.swapaxes", "dvalue = scores.swapaxes"),
    ),
    "classifier_eps": (("s left out", "s * sqrt(now.", "sqrt(now."),),
    "classifier_free_s": (
        ("sign of the step towards y", "eps_y - eps_uncond", "eps_uncond - eps_y"),
        ("starts from eps_y: this is the convention of w, in which w = s - 1",
         "eps_uncond + s *", "eps_y + s *"),
        ("s left out", "+ s * towards_y", "+ towards_y"),
    ),
    "nearest_code": (
        ("the farthest code", "argmin", "argmax"),
        ("|e|^2 left out", "(codebook**2).sum(axis=1) - 2", "-2"),
        ("the sign of the product", "- 2 * z_e", "+ 2 * z_e"),
    ),
    "straight_through": (
        ("no stop of the gradient", "detach(e - z_e)", "e - z_e"),
        ("the gradient goes to both", "z_e + step_to_code", "z_e + e - detach(z_e)"),
        ("step in the wrong direction", "detach(e - z_e)", "detach(z_e - e)"),
    ),
    "commitment_loss": (
        ("beta left out", "beta * (", "("),
        ("gradient stopped on both sides", "z_e - detach(e)", "detach(z_e) - detach(e)"),
        ("gradient to both", "z_e - detach(e)", "z_e - e"),
        ("sum for the mean", ".mean()", ".sum()"),
    ),
    "ema_codebook": (
        ("gamma and 1 - gamma exchanged", "gamma * N + (1 - gamma) *", "(1 - gamma) * N + gamma *"),
        ("m not divided by N", "m / N[:, None]", "m"),
        ("N not updated", "N = gamma * N + (1 - gamma) * chosen.sum(axis=0)", "N = 1 * N"),
    ),
    "kl_to_standard_normal": (
        ("log variance taken for the variance", "exp(log_variance) - 1", "log_variance - 1"),
        ("sign of the logarithm", "- 1 - log_variance", "- 1 + log_variance"),
        ("mu for its square", "mu**2", "mu"),
    ),
    "latent_scale": (
        ("missing square root", "1 / math.sqrt(float(variance))", "1 / float(variance)"),
        ("mean not subtracted", "(z - mean)", "z"),
        ("multiplied for divided", "1 / math.sqrt(float(variance))", "math.sqrt(float(variance))"),
    ),
}  # fmt: skip
