"""The equations that no program runs: steps of a derivation, or what a program is compared with.

By id: the slide on which the step stands, and why nothing calls it.
`tests/classroom/test_what_runs.py` traces the samplers and the training loops: every other equation
fires there.
"""

DERIVATIONS: dict[str, tuple[int | str, str]] = {
    "forward.q_chain": (4, "the density of a chain; programs draw from it"),
    "forward.merge_gaussians": (5, "why the closed form holds"),
    "forward.q_two_steps": (5, "one line of that argument"),
    "oracle.marginal": (6, "an integral over all images: known for a mixture only"),
    "oracle.bayes": (6, "the step that is intractable for images"),
    "oracle.x_0": (6, "known for a mixture only: what the true step knows of the image"),
    "oracle.reverse_variance": (6, "known for a mixture only: what a fixed variance stands for"),
    "posterior.bayes": (8, "first line of the derivation of the posterior"),
    "posterior.expanded": (8, "second line"),
    "posterior.collected": (8, "third line"),
    "posterior.precision": (8, "what multiplies x_{t-1}^2"),
    "posterior.precision_as_one_fraction": (8, "the same on one fraction"),
    "posterior.pull": (8, "what multiplies x_{t-1}"),
    "posterior.mu_tilde_from_pull": (8, "the top of the parabola"),
    "posterior.mu_tilde_from_eps": (9, "x_0 put into mu_tilde: why mu_theta has its form"),
    "oracle.v": (9, "the best v of a mixture, with which a learned one is compared"),
    "vlb.log_likelihood": (11, "an integral over all chains, estimated by many"),
    "vlb.with_kl": (12, "first line of the derivation of the bound"),
    "vlb.kl_written_out": (12, "second line"),
    "vlb.evidence_taken_out": (12, "third line"),
    "vlb.of_chain": (12, "what is left: the bound on one chain"),
    "reverse.p_chain": (13, "the density of a chain of the model; programs draw from it"),
    "vlb.two_products": (13, "both chains as products"),
    "vlb.sum_of_logarithms": (13, "third line"),
    "vlb.t_1_apart": (13, "fourth line"),
    "vlb.bayes_in_every_term": (13, "fifth line"),
    "vlb.two_sums": (13, "sixth line"),
    "vlb.telescoped": (13, "seventh line"),
    "vlb.of_chain_by_posterior": (13, "eighth line; programs average its terms exactly"),
    "vlb.L_t_minus_1_of_means": (14, "why the loss is a squared error"),
    "losses.weight": (14, "what L_simple leaves out"),
    "losses.squared_norm": (14, "the norm as printed; programs take the mean"),
    "losses.weighted": (14, "the squared error with its weight"),
    "targets.x_0_from_v": (17, "the image in v; samplers go through eps"),
    "reverse.removed_fraction": (20, "a number of the slide's text"),
    "score.conditional": ("A1", "what denoising score matching has for its target"),
    "score.explicit_loss": ("A1", "needs the score of the data: known for a mixture only"),
    "score.denoising_loss": ("A1", "L_simple in another unit"),
    "ode.sde_step": ("A1", "programs take DDPM's step, which it approximates"),
    "flow.path": ("A3", "programs noise by q_sample, the same in another scale"),
    "flow.velocity_from_v": ("A3", "samplers go through the pair of image and noise"),
    "flow.oracle_velocity": (
        "A3", "the best velocity of a mixture, with which a learned one is compared",
    ),  # fmt: skip
    "tilted.log_density": ("A6", "known for a mixture only: what one would like to sample"),
    "tilted.score": ("A6", "known for a mixture only: what guidance follows"),
    "tilted.noisy_score": ("A6", "known for a mixture only: what guidance should follow"),
    "consistency.loss": ("A7", "what a network would be trained on; the exact one needs none"),
    "inpaint.weights": ("A8", "known for a mixture only: what filling should sample"),
    "oracle.classifier": (33, "the exact classifier, with which a trained one is compared"),
}
