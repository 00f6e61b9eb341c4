"""The experiments that show mutants; those not named here are shown by their numbers."""

from __future__ import annotations

BY_ID = {
    "schedule.linear": "schedules", "schedule.alpha_bar": "schedules",
    "schedule.one_minus_alpha_bar": "schedules", "posterior.beta_tilde": "schedules",
    "schedule.cosine": "ddpm-cosine",
    "forward.q_step": "forward", "forward.q_sample": "forward", "targets.v": "forward",
    "reverse.mu_theta": "ddpm", "reverse.sigma_squared": "ddpm", "reverse.p_step": "ddpm",
    "oracle.eps": "ddpm", "oracle.score": "ddpm",
    "posterior.mu_tilde": "posterior",
    "targets.x_0_from_eps": "ddim", "ddim.tau": "ddim", "ddim.sigma": "ddim",
    "ddim.direction": "ddim", "ddim.step": "ddim", "ddim.sigma_hat": "ddim",
    "ddim.inversion_step": "there-and-back",
    "gaussian.kl": "bits", "vlb.L_T": "bits", "vlb.L_t_minus_1": "bits", "vlb.L_0": "bits",
    "losses.weight": "loss-weight",
    "guidance.classifier_eps": "guided", "guidance.classifier_mean": "guided",
    "guidance.classifier_free_w": "guided",
    "reverse.beta_tilde_clipped": "ddpm-learned", "reverse.learned_variance": "ddpm-learned",
    "oracle.v": "ddpm-learned", "oracle.x_0": "ddpm-learned",
    "oracle.reverse_variance": "ddpm-learned",
    "vq.nearest": "codebook", "vq.commitment_loss": "codebook",
    "forward.q_chain": "lines", "reverse.p_chain": "lines",
    "vlb.kl_written_out": "lines", "vlb.evidence_taken_out": "lines", "vlb.of_chain": "lines",
    "vlb.two_products": "lines", "vlb.sum_of_logarithms": "lines", "vlb.t_1_apart": "lines",
    "vlb.bayes_in_every_term": "lines", "vlb.two_sums": "lines", "vlb.telescoped": "lines",
    "vlb.of_chain_by_posterior": "lines",
    "ode.edm_sigma": "solvers", "ode.euler_step": "solvers", "solver.heun_step": "solvers",
    "solver.log_snr_times": "solvers", "solver.dpm_pp_step": "solvers", "flow.target": "solvers",
    "flow.time_and_scale": "solvers", "flow.euler_step": "solvers", "flow.heun_step": "solvers",
    "weights.min_snr": "min-snr", "weights.of_error": "min-snr",
    "weights.of_prediction": "min-snr",
    "ldm.projections": "attention",
}  # fmt: skip
"""Of all mutants of an equation."""

BY_MUTANT = {
    ("ddpm.algorithm_2", "guide given sigma"): "guided",
    ("ddpm.algorithm_2", "learned variance ignored"): "ddpm-learned",
    ("ddpm.algorithm_2", "last step noisy"): "ddpm-beta",
    ("ddpm.algorithm_2", "t = 1 left out"): "ddpm",
    ("solver.data_2m", "factor 2 missing"): "solvers",
}
"""Of one mutant, where the others of its equation show elsewhere."""
