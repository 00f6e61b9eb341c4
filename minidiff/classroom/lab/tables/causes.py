"""The causes: each wrong form in words, with the change of the package that makes it so."""

from __future__ import annotations

from typing import NamedTuple

from minidiff.classroom.lab.patch import Patch


class Cause(NamedTuple):
    """A wrong form that programs have had.   text: a sentence that a student can choose"""

    text: str
    patches: tuple[Patch, ...]


def _one(text: str, target: str, old: str, new: str) -> Cause:
    return Cause(text, (Patch(target, old, new),))


DDPM, REVERSE = "diffusion.ddpm:ddpm_steps", "diffusion.reverse"
DDIM, SCHEDULE = "diffusion.ddim", "diffusion.schedule"
LOSSES, LATENT, EMA = "diffusion.losses", "diffusion.latent", "training.ema:EMA"
NETWORKS = "classroom.lab.networks"
BLOCKS, WEIGHTS = "models.unet_blocks", "beyond.loss_weights:prediction_weight"
_SIGMA = 'now.beta if variance == "beta" else now.beta_tilde'

CAUSES: dict[str, Cause] = {
    # sampling: DDPM
    "no noise at t = 2": _one(
        "the step at t = 2 gets no noise, either: `if i > 1` with an i that counts from 0",
        DDPM, "if t > 1 else", "if t - 1 > 1 else"),
    "noise at t = 1": _one(
        "the last step, t = 1, adds noise, too", DDPM, "if t > 1 else", "if t > 0 else"),
    "beta for beta_tilde": _one(
        "sigma_t^2 is beta_t where beta_tilde_t is meant",
        f"{REVERSE}:sigma_squared", _SIGMA, "now.beta"),
    "beta_tilde for beta": _one(
        "sigma_t^2 is beta_tilde_t where beta_t is meant",
        f"{REVERSE}:sigma_squared", _SIGMA, "now.beta_tilde"),
    "upwards": _one(
        "the loop over t runs upwards, from 1 to T",
        DDPM, "range(schedule.T, 0, -1)", "range(1, schedule.T + 1)"),
    "t - 1": _one(
        "the network is asked at t - 1: tables that count from 1, a network that counts from 0",
        "diffusion.noise_prediction:predict", "times(t, x_t)", "times(max(t - 1, 1), x_t)"),
    "variance for sigma": _one(
        "z is multiplied by the variance sigma_t^2 instead of sigma_t",
        f"{REVERSE}:p_step", "sigma_t * z", "sigma_t**2 * z"),
    "alpha_bar in the mean": _one(
        "the mean is divided by sqrt(alpha_bar_t) instead of sqrt(alpha_t)",
        f"{REVERSE}:mu_theta", "sqrt(now.alpha)", "sqrt(now.alpha_bar)"),
    "x_prev clipped": _one(
        "x_prev is clipped to [-1, 1] in each step, where only x_0_hat may be",
        DDPM, "x_prev = p_step(mu, sigma_t, z)", "x_prev = p_step(mu, sigma_t, z).clip(-1, 1)"),
    "t = 1 left out": _one(
        "the loop ends before t = 1", DDPM, "range(schedule.T, 0, -1)", "range(schedule.T, 1, -1)"),
    "eps not made anew": _one(
        "x_0_hat is clipped, but the mean is made from the eps_hat of before",
        "diffusion.noise_prediction:clip_x_0",
        "eps_hat = eps_from_x_0(x_t, t, x_0_hat, schedule)", "eps_hat = eps_hat"),
    "no clip": _one(
        "x_0_hat is not clipped at all", "diffusion.noise_prediction:clip_x_0",
        "x_0_hat = x_0_hat.clip(-clip, clip)", "x_0_hat = x_0_hat"),
    # schedules
    "clip at 0.02": _one(
        "the cosine's beta_t is clipped to [0.0001, 0.02]", f"{SCHEDULE}:cosine_beta",
        "beta_min, beta_max)", "0.0001, 0.02)"),
    "linear not rescaled": _one(
        "beta_1 = 0.0001 and beta_T = 0.02, meant for T = 1000, are taken for T = 50",
        f"{SCHEDULE}:linear_beta", "if rescale and T != 1000:", "if False:"),
    "cosine without its square": _one(
        "the cosine is not squared", f"{SCHEDULE}:cosine_beta", "** 2", ""),
    "beta for alpha": _one(
        "alpha_bar is the product of sqrt(1 - beta_t)", f"{SCHEDULE}:alpha_bar_table",
        "np.cumprod(alpha)", "np.cumprod(np.sqrt(alpha))"),
    "cosine one step late": _one(
        "the cosine is read one step late: (t - 1) / T", f"{SCHEDULE}:cosine_beta",
        "(t / T + s)", "((t - 1) / T + s)"),
    # the forward process and the posterior
    "noise without its root": _one(
        "x_t holds (1 - alpha_bar_t) eps: the square root is missing",
        "diffusion.forward:q_sample", "sqrt(now.one_minus_alpha_bar)", "now.one_minus_alpha_bar"),
    "alpha for alpha_bar, jump": _one(
        "the jump to x_t takes alpha_t for alpha_bar_t: the signal of a single step",
        "diffusion.forward:q_sample", "now.alpha_bar", "now.alpha"),
    "signal without its root": _one(
        "x_t holds alpha_bar_t x_0: the square root is missing",
        "diffusion.forward:q_sample", "sqrt(now.alpha_bar)", "now.alpha_bar"),
    "step without its root": _one(
        "the single step adds beta_t eps instead of sqrt(beta_t) eps",
        "diffusion.forward:q_step", "sqrt(now.beta) * eps_step", "now.beta * eps_step"),
    "posterior one step late": _one(
        "mu_tilde weighs x_0 with sqrt(alpha_bar_t) instead of sqrt(alpha_bar_{t-1})",
        "diffusion.posterior:mu_tilde", "sqrt(prev.alpha_bar)", "sqrt(now.alpha_bar)"),
    "posterior alpha_bar": _one(
        "mu_tilde weighs x_t with sqrt(alpha_bar_t) instead of sqrt(alpha_t)",
        "diffusion.posterior:mu_tilde", "sqrt(now.alpha)", "sqrt(now.alpha_bar)"),
    "posterior beta": _one(
        "the posterior's variance is beta_t instead of beta_tilde_t",
        f"{SCHEDULE}:beta_tilde_table",
        "one_minus_alpha_bar[:-1] / one_minus_alpha_bar[1:] * beta[1:]", "beta[1:]"),
    # DDIM and guidance
    "alpha for alpha_bar, DDIM": Cause(
        "DDIM's formulas are read with the alpha_t of DDPM instead of alpha_bar_t",
        (Patch("diffusion.targets:x_0_from_eps", "sqrt(now.one_minus_alpha_bar)",
               "sqrt(1 - now.alpha)"),
         Patch("diffusion.targets:x_0_from_eps", "sqrt(now.alpha_bar)", "sqrt(now.alpha)"),
         Patch(f"{DDIM}:ddim_step", "first=0).alpha_bar", "first=0).alpha"))),
    "sigma not taken off": _one(
        "the direction keeps all of the noise, and fresh noise comes on top of it",
        f"{DDIM}:ddim_direction", " - sigma_t**2\n", "\n"),
    "no direction": _one(
        "the direction that points to x_t is left out", f"{DDIM}:ddim_step",
        "predicted_x_0 + direction + random_noise", "predicted_x_0 + random_noise"),
    "image without its root": _one(
        "x_0_hat is weighed with alpha_bar_prev: the square root is missing", f"{DDIM}:ddim_step",
        "sqrt(schedule.at(t_prev, first=0).alpha_bar)", "schedule.at(t_prev, first=0).alpha_bar"),
    "sigma without its root": _one(
        "sigma_t lacks the square root of (1 - alpha_bar_prev) / (1 - alpha_bar_t)",
        f"{DDIM}:ddim_sigma", "sqrt(variance_left)", "variance_left"),
    "w for 1 + w": _one(
        "the w of the paper goes into the formula for s: w eps_y + (1 - w) eps_uncond",
        "diffusion.guidance:classifier_free_w", "(1 + w) * eps_y - w * eps_uncond",
        "w * eps_y + (1 - w) * eps_uncond"),
    "guidance sign": _one(
        "the classifier's gradient has the wrong sign in eps", "diffusion.guidance:classifier_eps",
        "eps_hat - shift", "eps_hat + shift"),
    "guidance without its root": _one(
        "the classifier's gradient is weighed with 1 - alpha_bar_t, without the square root",
        "diffusion.guidance:classifier_eps", "sqrt(now.one_minus_alpha_bar)",
        "now.one_minus_alpha_bar"),
    "guidance without variance": _one(
        "the shift of the mean lacks the variance sigma_t^2", "diffusion.guidance:classifier_mean",
        "s * variance * gradient", "s * gradient"),
    # training
    "t drawn twice": _one(
        "the network is told another t than the one that made x_t",
        f"{LOSSES}:training_terms", "(network, x_t, t, target", "(network, x_t, t[::-1], target"),
    "eps drawn twice": _one(
        "the loss compares with another noise than the one in x_t", f"{LOSSES}:training_terms",
        "regression_target(prediction, x_0, t, eps, schedule)",
        "regression_target(prediction, x_0, t, eps[::-1], schedule)"),
    "one t for the batch": _one(
        "one t is drawn for the whole batch instead of one for each image",
        f"{LOSSES}:draw_training_noise", "schedule.T + 1, (x_0.shape[0],))",
        "schedule.T + 1, (1,)).repeat(x_0.shape[0])"),
    "sum for mean": _one(
        "the loss is the sum over batch and pixels instead of the mean", f"{LOSSES}:L_simple",
        ".mean()", ".sum()"),
    "t ignored": _one(
        "the network never sees t: its embedding is made and not used",
        f"{BLOCKS}:TimeEmbedding.forward", "angle = t[:, None]", "angle = 0 * t[:, None]"),
    "t in 0..1": _one(
        "t / T goes into an embedding that is made for whole numbers",
        f"{BLOCKS}:TimeEmbedding.forward", "angle = t[:, None]", "angle = t[:, None] / 1000"),
    "average never updated": _one(
        "the moving average is made and never updated: samples come from the first parameters",
        f"{EMA}.update", "self.apply(model)", "pass"),
    "average never used": _one(
        "the moving average is kept, but samples come from the last parameters",
        f"{EMA}.applied_to", "_assign(model, self.average)\n    try", "pass\n    try"),
    "gradients not zeroed": _one(
        "the gradients of all steps before are never set to zero", f"{NETWORKS}:train",
        "optimizer.zero_grad()", "pass"),
    # networks
    "attention without norm": _one(
        "the attention block's norm is made and never called", f"{BLOCKS}:AttentionBlock.forward",
        "self.norm(x).reshape", "x.reshape"),
    "attention without root": _one(
        "the scores are not divided by sqrt(d)", "functional.attention:attention",
        "1 / math.sqrt(query.shape[-1]) if", "1.0 if"),
    "attention divided by d": _one(
        "the scores are divided by d instead of sqrt(d)", "functional.attention:attention",
        "1 / math.sqrt(query.shape[-1]) if", "1 / query.shape[-1] if"),
    "softmax over queries": _one(
        "the probabilities are normalised over the queries instead of the keys",
        "functional.attention:attention", "total = e.sum(axis=-1,", "total = e.sum(axis=-2,"),
    "channels multiply up": _one(
        "each level multiplies the channels of the level before",
        "models.unet_config:UNetConfig.channels", "if self.cumulative else", "if True else"),
    # the quantiser
    "beta at the wrong term": Cause(
        "beta = 0.25 weighs the codebook loss instead of the commitment loss",
        (Patch(f"{LATENT}:codebook_loss", "loss = (difference**2)",
               "loss = 0.25 * (difference**2)"),
         Patch(f"{LATENT}:commitment_loss", "beta * (difference**2)", "(difference**2)"))),
    "commitment to the codes": _one(
        "the commitment loss stops the gradient at z_e, and moves the codes",
        f"{LATENT}:commitment_loss", "z_e - detach(e)", "detach(z_e) - e"),
    "no codebook loss": _one(
        "the codebook loss is left out of the sum", f"{LATENT}:vq_loss",
        "reconstruction + codebook + commitment", "reconstruction + commitment"),
    "nearest without its 2": _one(
        "the nearest code is sought without the 2 of the binomial formula",
        f"{LATENT}:nearest_code", "2 * z_e", "z_e"),
    "means exchanged": _one(
        "gamma and 1 - gamma are exchanged in the running means", f"{LATENT}:ema_codebook",
        "m = gamma * m + (1 - gamma) *", "m = (1 - gamma) * m + gamma *"),
    # weights and bounds
    "min-SNR of v": _one(
        "min-SNR's weight for v is min(SNR + 1, gamma) / (SNR + 1)", WEIGHTS,
        "(snr, **options)", '(snr + (prediction == "v"), **options)'),
    "min-SNR floored": _one(
        "min-SNR's weight for v is that for eps plus 1", WEIGHTS, "w_prediction = w * c",
        'w_prediction = w / snr + 1 if prediction == "v" else w * c'),
    "SNR of the roots": _one(
        "the SNR is taken of the square roots: sqrt(alpha_bar / (1 - alpha_bar))", WEIGHTS,
        "snr = now.alpha_bar / now.one_minus_alpha_bar",
        "snr = sqrt(now.alpha_bar / now.one_minus_alpha_bar)"),
    "min-SNR max": _one(
        "min-SNR takes the larger of SNR and gamma", "beyond.loss_weights:min_snr",
        "xp.minimum", "xp.maximum"),
    "sigma to the fourth": _one(
        "the loss weight divides by sigma_t^4", "classroom.derivations.loss_weight:loss_weight",
        "2 * sigma_t_squared", "2 * sigma_t_squared**2"),
    "weight without its 2": _one(
        "the loss weight lacks the factor 1/2", "classroom.derivations.loss_weight:loss_weight",
        "2 * sigma_t_squared", "sigma_t_squared"),
    "weight with alpha_bar": _one(
        "the loss weight takes alpha_bar_t for alpha_t",
        "classroom.derivations.loss_weight:loss_weight", "now.alpha *", "now.alpha_bar *"),
    "weight without square": _one(
        "the loss weight takes beta_t for beta_t^2",
        "classroom.derivations.loss_weight:loss_weight", "now.beta**2", "now.beta"),
    "L_0 in the sum": _one(
        "-log p(x_0 | x_1) stands inside the sum over t, and is counted T times",
        "diffusion.vlb:vlb_steps",
        "L = L_t_minus_1(x_0, x_t, t, eps_hat, schedule, of_t)",
        "L = L_t_minus_1(x_0, x_t, t, eps_hat, schedule, of_t) + L_0(\n"
        "                x_0, q_sample(x_0, 1, eps, schedule), eps, schedule, of_t)"),
    "nats for bits": _one(
        "nats are called bits: the factor log 2 is missing", "diffusion.gaussian:bits_per_dim",
        "(D * math.log(2))", "D"),
    "KL turned round": _one(
        "each KL divergence has its two distributions exchanged", "diffusion.vlb:L_t_minus_1",
        "mean_q, variance_q, mean_p, variance_p", "mean_p, variance_p, mean_q, variance_q"),
    "one image for one pixel": _one(
        "the bin of a pixel is as wide as two", "diffusion.gaussian:discretised_log_probability",
        "half_bin = 1 / (levels - 1)", "half_bin = 2 / (levels - 1)"),
}  # fmt: skip
