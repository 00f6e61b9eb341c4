"""The equations that no program runs: steps of a derivation, or what a program is compared with.

By id: the slide on which the step stands, and why nothing calls it. `tests/classroom/test_what_runs.py`
traces the samplers and the training loops: every other equation fires there.
"""

DERIVATIONS: dict[str, tuple[int, str]] = {
    "forward.q_chain": (4, "the density of a chain; programs draw from it"),
    "forward.merge_gaussians": (5, "why the closed form holds"),
    "oracle.marginal": (6, "an integral over all images: known for a mixture only"),
    "oracle.bayes": (6, "the step that is intractable for images"),
    "posterior.bayes": (8, "first line of the derivation of the posterior"),
    "posterior.expanded": (8, "second line"),
    "posterior.collected": (8, "third line"),
    "posterior.precision": (8, "what multiplies x_{t-1}^2"),
    "posterior.pull": (8, "what multiplies x_{t-1}"),
    "posterior.mu_tilde_from_pull": (8, "the top of the parabola"),
    "posterior.mu_tilde_from_eps": (9, "x_0 put into mu_tilde: why mu_theta has its form"),
    "vlb.log_likelihood": (11, "an integral over all chains, estimated by many"),
    "vlb.of_chain": (12, "the bound before the telescoping sum"),
    "vlb.of_chain_by_posterior": (13, "the bound after it; programs average each term exactly"),
    "vlb.L_t_minus_1_of_means": (14, "why the loss is a squared error"),
    "losses.weight": (14, "what L_simple leaves out"),
    "losses.squared_norm": (14, "the norm as printed; programs take the mean"),
    "reverse.removed_fraction": (20, "a number of the slide's text"),
    "oracle.classifier": (33, "the exact classifier, with which a trained one is compared"),
}
