"""The index of the deck: each slide's title, its formulas, and the equations that run them.

A formula has a name, a mark - a piece of its LaTeX with spaces, braces and font commands taken out (see `normalised`), by which a
test finds it on the slide - and the ids of its equations. No mark: the slide says it in words, or leaves it out (errata "gap").
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_FONTS = re.compile(r"\\(mathbf|boldsymbol|mathcal|mathbb|text|left|right|boxed|underbrace|bar|tilde|hat)(?![A-Za-z])|\\,|[\s{}&]")


@dataclass(frozen=True)
class Formula:
    """A formula of the deck and the equations that are it."""

    name: str
    mark: str | None
    equations: tuple[str, ...]


@dataclass(frozen=True)
class Slide:
    """A slide; `code`: dotted names of what implements the program text or the picture on it."""

    number: int | str  # "A1" for what comes after the deck
    title: str
    formulas: tuple[Formula, ...] = ()
    code: tuple[str, ...] = ()


def normalised(latex: str) -> str:
    """LaTeX without spaces, braces, fonts, bars and hats, x for X: what is left compares equal however it was typed."""
    return _FONTS.sub("", latex).replace("X", "x")


def _f(name: str, mark: str | None, *equations: str) -> Formula:
    return Formula(name, mark, equations)


FORWARD, REVERSE, LOSS, UNET = "Forward Diffusion Process", "Reverse Diffusion Process", "Loss Function", "Diffusion Model Architecture"
TRAINING, SAMPLING = "Diffusion Training Process", "Diffusion Sampling Process"
PHASE_1, PHASE_2 = "LDM Training (Phase 1)", "LDM Training (Phase 2)"
CROSS = "Text Conditioning With Cross Attention"

_STEP = _f("one forward step", r"q(x_t|x_t-1)=N(x_t;\sqrt1-\beta_tx_t-1,\beta_tI)", "forward.q_step")
_CHAIN = _f("the Markov chain", r"q(x_1:T|x_0)=\prod_t=1^Tq(x_t|x_t-1)", "forward.q_chain")
_CLOSED = _f("the closed form", r"q(x_t|x_0)=N(x_t;\sqrt\alpha_tx_0,(1-\alpha_t)I)", "forward.q_mean_variance", "forward.q_sample")
_POSTERIOR = _f("the posterior", r"q(x_t-1|x_t,x_0)=N(x_t-1;\mu(x_t,x_0),\beta_tI)", "posterior.q_posterior")
_L_SIMPLE = _f("L_simple", r"L_t^simple=E_t\sim[1,T]", "losses.L_simple", "losses.squared_norm", "ddpm.algorithm_1")
_X_0 = _f("x_0 from the noise", r"x_0=\frac1\sqrt\alpha_t(x_t-\sqrt1-\alpha_t\epsilon_t)", "targets.x_0_from_eps")
_MU_THETA = _f("mu_theta", r"\mu_\theta(x_t,t)=\frac1\sqrt\alpha_t(x_t-\frac1-\alpha_t\sqrt1-\alpha_t\epsilon_\theta", "reverse.mu_theta")
_REVERSE_STEP = _f("one reverse step", r"x_t-1=\frac1\sqrt\alpha_t(x_t-\frac1-\alpha_t\sqrt1-\alpha_t", "reverse.mu_theta", "reverse.p_step")
_FUNCTION = _f("an implicit function", r"x_t-1=f(x_t,t)", "ddim.step")

SLIDES = (
    Slide(1, "Before We Start"),
    Slide(2, "Diffusion High Level", code=("minidiff.diffusion.oracle.GaussianMixture",)),
    Slide(3, "Inspired By Diffusion In Physics", code=("minidiff.diffusion.forward.forward_steps",)),
    Slide(
        4,
        FORWARD,
        (_STEP, _CHAIN, _f("the diffusion rate", r"\beta_t\in(0,1)", "schedule.linear", "schedule.cosine")),
        code=("minidiff.diffusion.schedule.make_schedule",),
    ),
    Slide(
        5,
        FORWARD,
        (
            _f("alpha and alpha_bar", r"\alpha_t=1-\beta_t\quad\alpha_t=\prod_i=1^t\alpha_i", "schedule.alpha_bar"),
            _f("one step, reparametrised", r"x_t=\sqrt\alpha_tx_t-1+\sqrt1-\alpha_t\epsilon_t-1", "forward.q_step"),
            _f("two Gaussians merged", r"\sqrt1-\alpha_t\alpha_t-1\epsilon_t-2", "forward.q_two_steps", "forward.merge_gaussians", "schedule.one_minus_alpha_bar"),
            _f("x_t in one jump", r"=\sqrt\alpha_tx_0+\sqrt1-\alpha_t\epsilon", "forward.q_sample"),
            _CLOSED,
            _f("the linear schedule", None, "schedule.linear"),
            _f("the cosine schedule", r"\beta_t=clip(1-\frac\alpha_t\alpha_t-1,0.0001,0.02)", "schedule.cosine", "schedule.alpha_bar"),
        ),
        code=("minidiff.diffusion.schedule.make_schedule", "minidiff.diffusion.schedule_check.check_schedule"),
    ),
    Slide(
        6,
        REVERSE,
        (
            _f("the start", r"x_T\simN(0,I)", "ddpm.algorithm_2", "vlb.L_T", "schedule.L_T_of_unit_pixel"),
            _f("Bayes' theorem", r"q(x_t-1|x_t)=q(x_t|x_t-1)*q(x_t-1)/q(x_t)", "oracle.bayes"),
            _f("the marginal", r"q(x_t)=\intq(x_t|x_0)q(x_0)dx_0", "oracle.marginal", "oracle.score"),
            _f("the true reverse step", None, "oracle.reverse_variance", "oracle.x_0", "oracle.bayes"),
            _f("the model", r"p_\theta(x_t-1|x_t)=N(x_t-1;\mu_\theta(x_t,t),", "reverse.p_step", "reverse.learned_variance"),
        ),
    ),
    Slide(7, REVERSE, (_POSTERIOR,)),
    Slide(
        8,
        REVERSE,
        (
            _f("Bayes for the posterior", r"=q(x_t|x_t-1,x_0)\fracq(x_t-1|x_0)q(x_t|x_0)", "posterior.bayes"),
            _f("the exponent", r"\propto\exp(-\frac12(\frac(x_t-\sqrt\alpha_tx_t-1)^2\beta_t", "posterior.bayes", "gaussian.log_density"),
            _f("expanded", r"=\exp(-\frac12(\fracx_t^2-2\sqrt\alpha_tx_tx_t-1", "posterior.expanded"),
            _f("collected", r"=\exp(-\frac12((\frac\alpha_t\beta_t+\frac11-\alpha_t-1)x_t-1^2", "posterior.collected"),
            _f("beta_tilde", r"\beta_t=1/(\frac\alpha_t\beta_t+\frac11-\alpha_t-1)=1/", "posterior.precision", "posterior.precision_as_one_fraction", "posterior.beta_tilde"),
            _f("its top", r"\mu_t(x_t,x_0)=(\frac\sqrt\alpha_t\beta_tx_t", "posterior.mu_tilde_from_pull", "posterior.pull"),
            _f("times beta_tilde", r"x_0)\frac1-\alpha_t-11-\alpha_t\cdot\beta_t", "posterior.pull", "posterior.beta_tilde"),
            _f("mu_tilde", r"=\frac\sqrt\alpha_t(1-\alpha_t-1)1-\alpha_tx_t+", "posterior.mu_tilde"),
            _POSTERIOR,
        ),
    ),
    Slide(
        9,
        REVERSE,
        (
            _X_0,
            _f("x_0 put into mu_tilde", r"\mu_t=\frac\sqrt\alpha_t(1-\alpha_t-1)", "posterior.mu_tilde", "targets.x_0_from_eps"),
            _f("mu_tilde from eps", r"=\frac1\sqrt\alpha_t(x_t-\frac1-\alpha_t\sqrt1-\alpha_t\epsilon_t)", "posterior.mu_tilde_from_eps"),
            _MU_THETA,
            _f("what about this?", None, "reverse.learned_variance", "learned.L_hybrid", "learned.bits", "oracle.v"),
            _f("the model's step", r"x_t-1=N(x_t-1;\frac1\sqrt\alpha_t(x_t", "reverse.mu_theta", "reverse.p_step"),
        ),
    ),
    Slide(
        10,
        REVERSE,
        (
            _POSTERIOR,
            _f("the step with beta_tilde", r"x_t-1=N(x_t-1;\frac1\sqrt\alpha_t(x_t", "reverse.mu_theta", "reverse.p_step"),
            _f("the fixed variance", r"\Sigma_\theta(x_t,t)=\sigma_t^2I", "reverse.sigma_squared"),
            _f("its two choices", r"\sigma_t^2=\beta_t", "reverse.sigma_squared", "reverse.beta_tilde_clipped", "oracle.reverse_variance"),
            _MU_THETA,
            _REVERSE_STEP,
            _f("fresh noise", r"z\simN(0,I)", "ddpm.algorithm_2"),
        ),
    ),
    Slide(
        11,
        LOSS,
        (
            _f("the likelihood", r"p_\theta(x_0):=\intp_\theta(x_0:T)dx_1:T", "vlb.log_likelihood"),
            _f("the loss", r"L=-\log(p_\theta(x_0))", "vlb.log_likelihood"),
        ),
    ),
    Slide(
        12,
        LOSS,
        (
            _f("the bound", r"-\logp_\theta(x_0)\leq-\logp_\theta(x_0)+D_KL(q(x_1:T|x_0)", "vlb.with_kl", "vlb.log_likelihood", "gaussian.kl"),
            _f("the KL written out", r"=-\logp_\theta(x_0)+E_x_1:T\sim", "vlb.kl_written_out"),
            _f("the evidence taken out", r"=-\logp_\theta(x_0)+E_q[", "vlb.evidence_taken_out"),
            _f("what is left", r"=E_q[\log\fracq(x_1:T|x_0)p_\theta(x_0:T)]", "vlb.of_chain"),
            _f("L_VLB", r"L_VLB=E_q(x_0:T)[\log\frac", "vlb.of_chain", "vlb.total"),
        ),
    ),
    Slide(
        13,
        LOSS,
        (
            _f("L_VLB again", r"L_VLLB=E_q(x_0:T)", "vlb.of_chain"),
            _f("two chains", r"=E_q[\log\frac\prod_t=1^Tq(x_t|x_t-1)", "vlb.two_products", "forward.q_chain", "reverse.p_chain"),
            _f("a sum of logarithms", r"=E_q[-\logp_\theta(x_T)+\sum_t=1^T", "vlb.sum_of_logarithms"),
            _f("t = 1 apart", r"=E_q[-\logp_\theta(x_T)+\sum_t=2^T\log\fracq(x_t|x_t-1)", "vlb.t_1_apart"),
            _f("Bayes in every term", r"=E_q[-\logp_\theta(x_T)+\sum_t=2^T\log(\frac", "vlb.bayes_in_every_term", "posterior.bayes"),
            _f("two sums", r"+\sum_t=2^T\log\fracq(x_t|x_0)q(x_t-1|x_0)", "vlb.two_sums"),
            _f("telescoped", r"+\log\fracq(x_T|x_0)q(x_1|x_0)+\log\fracq(x_1|x_0)p_\theta(x_0|x_1)", "vlb.telescoped"),
            _f("cancelled", r"=E_q[\log\fracq(x_T|x_0)p_\theta(x_T)+\sum_t=2^T", "vlb.of_chain_by_posterior"),
            _f("KL terms", r"=E_q[D_KL(q(x_T|x_0)", "vlb.total", "vlb.L_T", "vlb.L_t_minus_1", "vlb.L_0", "gaussian.kl"),
        ),
    ),
    Slide(
        14,
        LOSS,
        (
            _f("L_0", None, "vlb.L_0", "gaussian.discretised", "gaussian.bits_per_dim"),
            _f("L_T", None, "vlb.L_T", "schedule.L_T_of_unit_pixel"),
            _f("L_VLB without its ends", r"E_q[\sum_t=2^TD_KL(q(x_t-1|x_t,x_0)", "vlb.L_t_minus_1", "vlb.total"),
            _f("L_{t-1} of two means", r"L_t=E_x_0,\epsilon[\frac12\|\Sigma_\theta(x_t,t)\|_2^2", "vlb.L_t_minus_1_of_means"),
            _f("with mu_theta", r"=E_x_0,\epsilon[\frac12\|\Sigma_\theta\|_2^2\|\frac1", "vlb.L_t_minus_1_of_means", "reverse.mu_theta"),
            _f("L_{t-1} of two noises", r"=E_x_0,\epsilon[\frac(1-\alpha_t)^22\alpha_t", "losses.weighted", "losses.weight", "losses.squared_norm"),
            _L_SIMPLE,
        ),
    ),
    Slide(15, "Summary", (_f("forward", r"x_t=\sqrt\alpha_tx_0+\sqrt1-\alpha_t\epsilon", "forward.q_sample"), _L_SIMPLE, _REVERSE_STEP)),
    Slide(16, "Why Is Scheduler Needed", (_STEP, _CHAIN, _CLOSED, _POSTERIOR, _L_SIMPLE)),
    Slide(
        17,
        "Why Predict Noise Instead Of Whole Image",
        (
            _L_SIMPLE,
            _f("the noise as target", None, "targets.x_0_from_eps", "oracle.eps"),
            _f("the image as target", None, "targets.eps_from_x_0"),
            _f("the mean as target", None, "targets.eps_from_mu_tilde", "posterior.mu_tilde"),
            _f("v, a target in between", None, "targets.v", "targets.eps_from_v", "targets.x_0_from_v"),
        ),
        code=("minidiff.diffusion.targets.as_eps_theta",),
    ),
    Slide(
        18,
        TRAINING,
        (_CLOSED, _f("Algorithm 1", r"\nabla_\theta\|\epsilon-\epsilon_\theta(\sqrt\alpha_tx_0+", "ddpm.algorithm_1", "losses.L_simple")),
        code=("minidiff.diffusion.losses.training_terms", "minidiff.training.trainer.Trainer"),
    ),
    Slide(19, TRAINING, code=("minidiff.training.run.run",)),
    Slide(
        20,
        SAMPLING,
        (
            _f("one step", r"x_t-1=\frac1\sqrt\alpha_t(x_t-\frac\beta_t\sqrt1-\alpha_t", "reverse.mu_theta", "reverse.p_step"),
            _f("the removed fraction", r"\frac\beta_t\sqrt\alpha_t(1-\alpha_t)", "reverse.removed_fraction"),
            _f("Algorithm 2", r"x_t-1=\frac1\sqrt\alpha_t(x_t-\frac1-\alpha_t\sqrt1-\alpha_t", "ddpm.algorithm_2", "sampling.clip_x_0"),
        ),
        code=("minidiff.diffusion.ddpm.ddpm_sample",),
    ),
    Slide(21, SAMPLING, code=("minidiff.diffusion.ddpm.ddpm_steps",)),
    Slide(22, "DDPM vs DDIM", code=("minidiff.diffusion.ddim.ddim_sample", "minidiff.diffusion.schedule.respace")),
    Slide(
        23,
        "DDIM Details",
        (
            _CLOSED,
            _f("the scale of the noise", r"\sqrt1-\alpha_t", "schedule.one_minus_alpha_bar", "ddim.step"),
            _FUNCTION,
            _X_0,
            _f("the predicted x_0", r"x_0=\fracx_t-\sqrt1-\alpha_t\epsilon_\theta(x_t,t)\sqrt\alpha_t", "targets.x_0_from_eps"),
            _f("the general form", r"x_t-1=\sqrt\alpha_t-1x_0+\sqrt1-\alpha_t-1-\sigma_t^2\epsilon_t", "ddim.step", "ddim.direction"),
        ),
    ),
    Slide(
        24,
        "DDIM Details",
        (
            _f("DDIM's eq. 12", r"x_t-1=\sqrt\alpha_t-1(\fracx_t-\sqrt1-\alpha_t\epsilon_\theta^(t)(x_t)", "ddim.step", "ddim.direction"),
            _f("deterministic", r"\sigma_t=0", "ddim.sigma", "ddim.inversion_step", "ddim.slerp"),
            _f("a sub-sequence of times", r"\tau_1,\dots,\tau_S", "ddim.tau"),
            _f("DDPM's noise", r"\sigma_t^2=\frac1-\alpha_t-11-\alpha_t\beta_t", "ddim.sigma", "ddim.sigma_hat", "posterior.beta_tilde"),
        ),
        code=("minidiff.classroom.notation.notation", "minidiff.diffusion.inversion.ddim_invert"),
    ),
    Slide(25, "DDIM Summary", (_FUNCTION, _f("no noise", r"\sigma_t=0", "ddim.sigma"))),
    Slide(26, "U-Net Architecture", code=("minidiff.models.unet.UNet",)),
    Slide(27, UNET, code=("minidiff.models.unet.UNet",)),
    Slide(28, UNET, code=("minidiff.models.unet.UNet.forward",)),
    Slide(
        29,
        UNET,
        (
            _f("Swish", r"Swish(x)=x*sigmoid(x)", "unet.swish"),
            _f("GroupNorm", None, "unet.group_norm"),
            _f("the sine part", r"PE_t,i^(1)=\sin(\fract10000^\fracid-1)", "unet.time_embedding"),
            _f("the cosine part", r"PE_t,i^(2)=\cos(\fract10000^\fracid-1)", "unet.time_embedding"),
        ),
        code=("minidiff.nn.Swish", "minidiff.nn.GroupNorm", "minidiff.models.unet_blocks.TimeEmbedding"),
    ),
    Slide(30, UNET, code=("minidiff.models.unet_blocks.DownBlock", "minidiff.models.unet_blocks.Downsample")),
    Slide(31, UNET, code=("minidiff.models.unet_blocks.MiddleBlock",)),
    Slide(32, UNET, code=("minidiff.models.unet_blocks.UpBlock", "minidiff.models.unet_blocks.Upsample")),
    Slide(
        33,
        "Guided Diffusion Models",
        (
            _f("classifier guidance of the mean", None, "guidance.classifier_mean"),
            _f("classifier guidance of the noise", None, "guidance.classifier_eps", "oracle.classifier", "oracle.classifier_gradient"),
            _f("classifier-free guidance", None, "guidance.classifier_free_w", "guidance.classifier_free_s", "guidance.drop_condition"),
        ),
        code=("minidiff.models.NoisyClassifier",),
    ),
    Slide(
        34,
        "Latent Diffusion Model (LDM or Stable Diffusion)",
        (_f("the scale of the latent", None, "ldm.scale"),),
        code=("minidiff.models.autoencoder.Autoencoder", "minidiff.models.text_unet.TextUNet"),
    ),
    Slide(
        35,
        CROSS,
        (_f("attention", None, "ldm.attention"),),
        code=("minidiff.models.unet_blocks.CrossAttentionBlock", "minidiff.models.TextEncoder", "minidiff.nn.MultiHeadAttention"),
    ),
    Slide(36, CROSS, (_f("attention", None, "ldm.attention"),), code=("minidiff.sampling.concat_conditions.masked_image",)),
    Slide(
        37,
        PHASE_1,
        (_f("VQ or KL", None, "vq.nearest", "vae.kl"),),
        code=("minidiff.models.autoencoder.VQAutoencoder", "minidiff.models.autoencoder.KLAutoencoder"),
    ),
    Slide(
        38,
        PHASE_1,
        (
            _f("quantisation", None, "vq.nearest", "vq.straight_through"),
            _f("the losses", None, "vq.loss", "vq.codebook_loss", "vq.commitment_loss", "vq.ema"),
        ),
        code=("minidiff.models.quantizer.VectorQuantizer", "minidiff.models.autoencoder.VQAutoencoder.terms"),
    ),
    Slide(39, PHASE_1, (_f("codes in use", None, "vq.perplexity"),), code=("minidiff.training.codebook.CodebookKeeper",)),
    Slide(
        40,
        PHASE_2,
        (
            _f("Q, K, V", r"Q=W_Q^(i)\cdot\varphi_i(z_t)", "ldm.projections", "ldm.attention"),
            _f("L_LDM", r"L_LDM:=E_E(x),y,\epsilon\simN(0,1),t", "ldm.loss"),
        ),
        code=("minidiff.models.text_unet.TextUNet", "minidiff.training.text_condition.with_captions"),
    ),
    Slide(41, PHASE_2, code=("minidiff.models.TextEncoder",)),
    Slide(42, "LDM Sampling", (_f("from noise to image", None, "ldm.sample"),), code=("minidiff.sampling.text_to_image.guided_by_text",)),
)
