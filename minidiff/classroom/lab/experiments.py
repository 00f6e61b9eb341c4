"""The experiments of the lab by name, and what each runs."""

from __future__ import annotations

from minidiff.classroom.lab import clouds, networks, tables_of_time
from minidiff.classroom.lab.symptom import Experiment

_SAMPLER = ("ddpm.algorithm_2", "reverse.mu_theta", "reverse.sigma_squared", "reverse.p_step",
            "targets.x_0_from_eps")  # fmt: skip
_ORACLE = ("oracle.eps", "oracle.score")

EXPERIMENTS = {
    e.name: e
    for e in (
        Experiment(
            "ddpm", "Algorithm 2 on three narrow clusters",
            "600 points by DDPM, T = 50, linear, with the exact noise predictor.",
            clouds.algorithm_2, (*_SAMPLER, *_ORACLE)),
        Experiment(
            "ddpm-beta", "Algorithm 2 with sigma^2 = beta",
            "600 points by DDPM with the variance beta, T = 50, with the exact noise predictor.",
            clouds.algorithm_2_with_beta, (*_SAMPLER, *_ORACLE)),
        Experiment(
            "ddpm-cosine", "Algorithm 2 on the cosine schedule",
            "600 points by DDPM, T = 50, cosine, with the exact noise predictor.",
            clouds.algorithm_2_cosine, ("schedule.cosine", "schedule.alpha_bar", *_SAMPLER[:4])),
        Experiment(
            "clip", "DDIM with a clip",
            "Cosine, clusters inside -1..1, clip = 1, a predictor that says 5 % too little noise.",
            clouds.clipped,
            ("sampling.clip_x_0", "targets.x_0_from_eps", "targets.eps_from_x_0",
             "ddim.direction", "ddim.step")),
        Experiment(
            "ddpm-learned", "Algorithm 2 with a learned variance",
            "600 points in 10 steps; the network's v is the best there is.",
            clouds.learned,
            ("ddpm.algorithm_2", "reverse.learned_variance", "oracle.v", "oracle.reverse_variance",
             "oracle.x_0", "reverse.beta_tilde_clipped")),
        Experiment(
            "ddim", "DDIM in 20 steps of 200",
            "The same points by three amounts of noise, with the exact noise predictor.",
            clouds.ddim,
            ("ddim.tau", "ddim.sigma", "ddim.sigma_hat", "ddim.direction", "ddim.step",
             "targets.x_0_from_eps")),
        Experiment(
            "there-and-back", "To the noise and back by DDIM",
            "600 points of the data are inverted to x_T, and sampled back.",
            clouds.there_and_back, ("ddim.inversion_step", "ddim.direction", "ddim.step")),
        Experiment(
            "guided", "Guidance towards the rarest class",
            "Four ways to ask for the cluster that holds a fifth of the data.",
            clouds.guided,
            ("guidance.classifier_mean", "guidance.classifier_eps", "guidance.classifier_free_w",
             "guidance.classifier_free_s", "ddpm.algorithm_2", "oracle.classifier_gradient")),
        Experiment(
            "solvers", "Ten steps of four solvers",
            "Heun, DPM-Solver++ and the straight flow, with the exact noise predictor.",
            clouds.solvers,
            ("ode.edm_sigma", "ode.euler_step", "solver.heun_step", "solver.half_log_snr",
             "solver.log_snr_times", "solver.data_2m", "solver.dpm_pp_step", "flow.target",
             "flow.time_and_scale", "flow.euler_step", "flow.heun_step")),
        Experiment(
            "schedules", "Both schedules, T = 50",
            "alpha_bar and beta_tilde at every t.", tables_of_time.schedules,
            ("schedule.linear", "schedule.cosine", "schedule.alpha_bar",
             "schedule.one_minus_alpha_bar", "posterior.beta_tilde")),
        Experiment(
            "forward", "Data of variance 1 become noise",
            "x_t by the jump from x_0 and by the chain of steps; then x_0 and eps from it.",
            tables_of_time.forward,
            ("forward.q_step", "forward.q_sample", "targets.x_0_from_eps", "targets.v",
             "targets.eps_from_v")),
        Experiment(
            "posterior", "x_{t-1} from the posterior",
            "x_{t-1} drawn from q(x_{t-1} | x_t, x_0) must look as if drawn from q(x_{t-1} | x_0).",
            tables_of_time.posterior,
            ("forward.q_sample", "posterior.mu_tilde", "posterior.q_posterior",
             "posterior.beta_tilde", "schedule.one_minus_alpha_bar")),
        Experiment(
            "bits", "The bound in bits/dim",
            "Tiny digits, the best possible network, and the exact -log p(x_0) beside the bound.",
            tables_of_time.bits,
            ("vlb.L_T", "vlb.L_t_minus_1", "vlb.L_0", "gaussian.kl", "gaussian.discretised",
             "gaussian.bits_per_dim")),
        Experiment(
            "lines", "The bound, line by line",
            "Every line of slides 12 and 13 on one chain. They must be one number.",
            tables_of_time.lines_of_the_bound, (*tables_of_time.LINES, *tables_of_time.TOLD)),
        Experiment(
            "min-snr", "Min-SNR for three predictions",
            "The weight that an error of x_0_hat gets. It must not depend on the prediction.",
            tables_of_time.weights,
            ("weights.min_snr", "weights.of_error", "weights.of_prediction")),
        Experiment(
            "loss-weight", "L_{t-1} computed in two ways",
            "As a KL divergence, and as a weight times the squared error of eps_hat.",
            tables_of_time.weight_of_the_bound, ("losses.weight", "reverse.mu_theta")),
        Experiment(
            "training", "A training of 400 steps",
            "Algorithm 1 with a small network and the average of its parameters, then DDIM.",
            networks.training,
            ("ddpm.algorithm_1", "forward.q_sample", "losses.L_simple")),
        Experiment(
            "attention", "Attention as its inputs grow",
            "The entropy of the probabilities over d, and what the U-Net's block adds to x.",
            networks.attention, ("ldm.projections", "ldm.attention")),
        Experiment(
            "unet", "A U-Net with four levels",
            "Its channels and parameters for ch_mults (1, 2, 2, 2), and what it is told of t.",
            networks.unet, ()),
        Experiment(
            "codebook", "A quantiser learns",
            "Sixty steps in which codes and encoder outputs move towards each other.",
            networks.codebook,
            ("vq.nearest", "vq.straight_through", "vq.codebook_loss", "vq.commitment_loss",
             "vq.ema")),
    )
}  # fmt: skip
