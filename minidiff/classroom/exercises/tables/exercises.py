"""The exercises in the order of the deck."""

from __future__ import annotations

import numpy as np

from minidiff.classroom.exercises.exercise import Arguments, Exercise
from minidiff.classroom.exercises.tables import cases
from minidiff.classroom.exercises.tables.cases import arrays, given, images, normal

BACKWARD = (
    "The value is there. Write the derivative: the gradients of the arguments, in their order,\n"
    "from dy, the gradient of y."
)
FORWARD = "Write the value y, and return it alone; its derivative is another exercise."


def _convolution() -> list[Arguments]:
    x, weight, bias = normal(1, 2, 3, 5, 4), normal(2, 4, 3, 3, 2), normal(3, 4)
    plain = {"x": x, "weight": weight, "bias": bias}
    return [plain, plain | {"stride": 2, "padding": 1}]


def _group_norm() -> list[Arguments]:
    x, weight, bias = normal(1, 2, 4, 3, 3), normal(2, 4), normal(3, 4)
    affine = {"weight": weight, "bias": bias}
    return [{"x": 2 * x + 1, "num_groups": groups, **affine} for groups in (2, 4)]


def _attention() -> list[Arguments]:
    query, key, value = normal(1, 2, 3, 4, 8), normal(2, 2, 3, 5, 8), normal(3, 2, 3, 5, 6)
    mask = np.random.default_rng(4).random((4, 5)) < 0.8
    parts = {"query": query, "key": key, "value": value}
    return [parts, parts | {"mask": mask | (np.arange(5) == 0)}]


def _bound() -> list[Arguments]:
    made = images("x_0", "x_t", "eps_hat")()
    return [case | {"variance": variance} for case in made for variance in ("beta", "beta_tilde")]


def _weights() -> list[Arguments]:
    return [case | {"variance": name} for case in images()() for name in ("beta_tilde", "beta")]


def _gaussians() -> list[Arguments]:
    return [
        {"mean_1": normal(n, 2, 3), "variance_1": np.exp(normal(n + 1, 2, 3)),
         "mean_2": normal(n + 2, 2, 3), "variance_2": np.exp(normal(n + 3, 2, 3))}
        for n in (1, 5)
    ]  # fmt: skip


EXERCISES = (
    Exercise("linear_beta", "schedule.linear",
             given({"T": 10}, {"T": 1000}, {"T": 10, "rescale": False})),
    Exercise("cosine_beta", "schedule.cosine", given({"T": 10}, {"T": 50, "beta_max": 0.02})),
    Exercise("alpha_bar_table", "schedule.alpha_bar", cases.beta_tables),
    Exercise("q_step", "forward.q_step", images("x_prev", "eps_step")),
    Exercise("q_sample", "forward.q_sample", images("x_0", "eps")),
    Exercise("beta_tilde_table", "posterior.beta_tilde", cases.two_tables),
    Exercise("mu_tilde", "posterior.mu_tilde", images("x_t", "x_0")),
    Exercise("kl_gaussians", "gaussian.kl", _gaussians),
    Exercise("L_t_minus_1", "vlb.L_t_minus_1", _bound),
    Exercise("x_0_from_eps", "targets.x_0_from_eps", images("x_t", "eps_hat")),
    Exercise("v_target", "targets.v", images("x_0", "eps")),
    Exercise("mu_theta", "reverse.mu_theta", images("x_t", "eps_hat")),
    Exercise("p_step", "reverse.p_step", arrays("mu", "z", sigma_t=0.3)),
    Exercise("loss_weight", "losses.weight", _weights),
    Exercise("L_simple", "losses.L_simple", arrays("eps", "eps_hat", shape=(2, 3, 4))),
    Exercise("training_terms", "ddpm.algorithm_1", cases.training, task=(
        "Algorithm 1 for a network that predicts eps: the other predictions, a learned variance\n"
        "and the condition may be left out. Return Step(\"train\", t, x_0=..., eps=..., x_t=...,\n"
        "eps_hat=..., loss=...); only loss must be there.")),
    Exercise("ddpm_steps", "ddpm.algorithm_2",
             cases.samplers(variance=("beta_tilde", "beta")), task=(
        "Algorithm 2: guide, clip, tau and the learned variance may be left out. Draw z with\n"
        "rng.normal(x_t.shape, dtype=x_t.dtype). For each t yield Step(\"ddpm\", t, x_t=...,\n"
        "eps_hat=..., mu=..., sigma_t=..., z=..., x_prev=...); only x_prev must be there.")),
    Exercise("clip_x_0", "sampling.clip_x_0", images("x_t", "eps_hat")),
    Exercise("make_tau", "ddim.tau",
             given({"T": 1000, "S": 10}, {"T": 10, "S": 4}, {"T": 7, "S": 1},
                   {"T": 100, "S": 9, "spacing": "quadratic"})),
    Exercise("ddim_sigma", "ddim.sigma", cases.jumps(eta=0.7)),
    Exercise("ddim_direction", "ddim.direction", cases.ddim_parts("eps_hat")),
    Exercise("ddim_step", "ddim.step", cases.ddim_parts("x_0_hat", "direction", "z")),
    Exercise("swish", "swish", arrays("x"), cases.with_gradients("x")),
    Exercise("group_norm", "group_norm", _group_norm, cases.forward_only(), "forward", FORWARD),
    Exercise("group_norm_backward", "group_norm", _group_norm,
             cases.with_gradients("x", "weight", "bias"), "group_norm_backward", BACKWARD),
    Exercise("conv2d", "conv2d", _convolution, cases.forward_only(), "forward", FORWARD),
    Exercise("conv2d_backward", "conv2d", _convolution,
             cases.with_gradients("x", "weight", "bias"), "conv2d_backward", BACKWARD),
    Exercise("attention", "attention", _attention, cases.forward_only(), "forward", FORWARD),
    Exercise("attention_backward", "attention", _attention,
             cases.with_gradients("query", "key", "value"), "attention_backward", BACKWARD),
    Exercise("classifier_eps", "guidance.classifier_eps", images("eps_hat", "gradient", s=3.0)),
    Exercise("classifier_free_s", "guidance.classifier_free_s",
             arrays("eps_y", "eps_uncond", s=3.0)),
    Exercise("nearest_code", "vq.nearest",
             lambda: [{"z_e": normal(n, 9, 2), "codebook": normal(n + 9, 4, 2)} for n in (1, 2)]),
    Exercise("straight_through", "vq.straight_through", arrays("z_e", "e"),
             cases.on_tensors("z_e", "e")),
    Exercise("commitment_loss", "vq.commitment_loss", arrays("z_e", "e"),
             cases.on_tensors("z_e", "e")),
    Exercise("ema_codebook", "vq.ema", cases.codes),
    Exercise("kl_to_standard_normal", "vae.kl", arrays("mu", "log_variance")),
    Exercise("latent_scale", "ldm.scale", arrays("z", shape=(3, 4))),
)  # fmt: skip


def get_exercise(name: str) -> Exercise:
    """The exercise of this name.

    Raises: ValueError that names the nearest ones.
    """
    import difflib

    from minidiff.classroom.exercises.tables.kernels import KERNEL_EXERCISES

    found = {exercise.name: exercise for exercise in EXERCISES}
    if name not in found:
        near = difflib.get_close_matches(name, [*found, *KERNEL_EXERCISES], n=3, cutoff=0.4)
        hint = f"did you mean {', '.join(near)}?" if near else "the list is `minidiff exercise`"
        raise ValueError(f"exercise: there is none called {name!r}; {hint}")
    return found[name]
