"""The equations on another array library: nothing falls back to NumPy, and the numbers are the same."""

import ast
from pathlib import Path

import numpy as np
import pytest

from minidiff.classroom.derivations.image_from_v import x_0_from_v
from minidiff.classroom.derivations.loss_weight import loss_weight
from minidiff.classroom.derivations.merged_steps import q_two_steps
from minidiff.classroom.derivations.posterior_exponent import exponent_by_bayes, exponent_collected
from minidiff.classroom.derivations.true_reverse_step import optimal_v, reverse_variance
from minidiff.diffusion import guidance, latent, oracle, vlb
from minidiff.diffusion.ddim import ddim_sample
from minidiff.diffusion.ddpm import ddpm_sample
from minidiff.diffusion.forward import q_sample, q_step
from minidiff.diffusion.inversion import ddim_invert, slerp
from minidiff.diffusion.learned_variance import bits_of_random_times
from minidiff.diffusion.losses import draw_training_noise, training_terms
from minidiff.diffusion.oracle import GaussianMixture
from minidiff.diffusion.posterior import mu_tilde
from minidiff.diffusion.reverse import learned_variance, mu_theta, p_step
from minidiff.diffusion.schedule import make_schedule
from minidiff.diffusion.targets import (
    Prediction,
    eps_from_mu_tilde,
    eps_from_v,
    eps_from_x_0,
    v_target,
    x_0_from_eps,
)
from minidiff.engine.backend import to_cpu, to_device
from minidiff.engine.random import RNG

SCHEDULE = make_schedule("linear", 12)
MIXTURE = GaussianMixture([0.5, 0.5], [[[-0.8, 0.1]], [[0.8, 0.2]]], 0.2)
T_BATCH = np.array([2, 5, 12])

ON_ARRAYS = {
    "q_step": lambda x, y, t: q_step(x, t, y, SCHEDULE),
    "q_sample": lambda x, y, t: q_sample(x, t, y, SCHEDULE),
    "p_step": lambda x, y, t: p_step(mu_theta(x, t, y, SCHEDULE), 0.5, y),
    "learned_variance": lambda x, y, t: learned_variance(x, t, SCHEDULE),
    "bayes": lambda x, y, t: exponent_by_bayes(x, y, x, t, SCHEDULE),
    "collected": lambda x, y, t: exponent_collected(x, y, x, t, SCHEDULE),
    "mu_tilde": lambda x, y, t: mu_tilde(x, y, t, SCHEDULE),
    "x_0_from_eps": lambda x, y, t: x_0_from_eps(x, t, y, SCHEDULE),
    "eps_from_x_0": lambda x, y, t: eps_from_x_0(x, t, y, SCHEDULE),
    "eps_from_mu_tilde": lambda x, y, t: eps_from_mu_tilde(x, t, y, SCHEDULE),
    "v": lambda x, y, t: v_target(x, t, y, SCHEDULE),
    "eps_from_v": lambda x, y, t: eps_from_v(x, t, y, SCHEDULE),
    "x_0_from_v": lambda x, y, t: x_0_from_v(x, t, y, SCHEDULE),
    "L_T": lambda x, y, t: vlb.L_T(x, SCHEDULE),
    "L_t_minus_1": lambda x, y, t: vlb.L_t_minus_1(x, y, t, y, SCHEDULE),
    "L_0": lambda x, y, t: vlb.L_0(x, y, y, SCHEDULE),
    "exact_eps": lambda x, y, t: oracle.exact_eps(x, t, MIXTURE, SCHEDULE),
    "reverse_variance": lambda x, y, t: reverse_variance(x, t, MIXTURE, SCHEDULE),
    "optimal_v": lambda x, y, t: optimal_v(x, t, MIXTURE, SCHEDULE),
    "L_0 of a learned variance": lambda x, y, t: vlb.L_0(x, y, y, SCHEDULE, learned_variance(0.1 * x, 1, SCHEDULE)),
    "q_two_steps": lambda x, y, t: q_two_steps(x, t, y, SCHEDULE),
    "log_marginal": lambda x, y, t: oracle.log_marginal(x, t, MIXTURE, SCHEDULE),
    "classifier_gradient": lambda x, y, t: oracle.classifier_gradient(x, t, 1, MIXTURE, SCHEDULE),
    "log_classifier": lambda x, y, t: oracle.log_classifier(x, t, 1, MIXTURE, SCHEDULE),
    "classifier_eps": lambda x, y, t: guidance.classifier_eps(x, t, y, SCHEDULE, 2.0),
    "classifier_free": lambda x, y, t: guidance.classifier_free_w(x, y, 2.0),
    "slerp": lambda x, y, t: slerp(x, y, 0.3),
    "straight_through": lambda x, y, t: latent.straight_through(x, y),
    "kl": lambda x, y, t: latent.kl_to_standard_normal(x, y),
}


@pytest.fixture
def pair():
    rng = RNG(3)
    return rng.normal((3, 1, 2)), rng.normal((3, 1, 2))


@pytest.mark.parametrize("name", ON_ARRAYS)
@pytest.mark.parametrize("where", ["t on the host", "t on the device", "one t"])
def test_an_equation_gives_the_same_on_another_device_and_stays_there(strict, pair, name, where):
    x, y = pair
    t = {"t on the host": T_BATCH, "t on the device": to_device(T_BATCH, "strict"), "one t": 5}[where]
    result = ON_ARRAYS[name](to_device(x, "strict"), to_device(y, "strict"), t)
    expected = ON_ARRAYS[name](x, y, T_BATCH if where != "one t" else 5)
    assert type(result).__name__ == "StrictArray" and result.dtype == np.float32
    np.testing.assert_allclose(to_cpu(result), expected, rtol=1e-5, atol=1e-6)


class Sent(RNG):
    """The numbers that a CPU draws, sent to the device: they can be compared."""

    def normal(self, shape=(), dtype=np.float32):
        return to_device(super().normal(shape, dtype), "strict")

    def uniform(self, shape=(), dtype=np.float32):
        return to_device(super().uniform(shape, dtype), "strict")


def test_samplers_and_the_loss_run_on_another_device(strict, pair):
    x, _ = pair

    def half(x_t, t):
        return x_t * np.float32(0.5)

    def both(x_t, t):
        return Prediction(half(x_t, t), half(x_t, t).clip(0.0, 1.0))

    x_T = to_device(x, "strict")
    runs = {
        "ddpm": lambda x_T, rng: ddpm_sample(half, x_T, SCHEDULE, rng, clip=1.0),
        "ddim": lambda x_T, rng: ddim_sample(half, x_T, SCHEDULE, rng, steps=5, eta=0.5, clip=1.0),
        "invert": lambda x_T, rng: ddim_invert(half, x_T, SCHEDULE, steps=5),
        "loss": lambda x_T, rng: training_terms(half, x_T, *draw_training_noise(x_T, SCHEDULE, rng), SCHEDULE).loss,
        "vlb": lambda x_T, rng: vlb.vlb(half, x_T, SCHEDULE, rng),
        "vlb learned": lambda x_T, rng: vlb.vlb(both, x_T, SCHEDULE, rng, "learned"),
        "ddpm learned": lambda x_T, rng: ddpm_sample(both, x_T, SCHEDULE, rng, variance="learned", tau=[1, 4, 12]),
        "hybrid loss": lambda x_T, rng: bits_of_random_times(x_T, x_T, np.array([1, 2, 12]), half(x_T, 1), half(x_T, 1), SCHEDULE),
    }
    for name, run in runs.items():
        there = run(x_T, Sent(1))
        np.testing.assert_allclose(to_cpu(there), run(x, RNG(1)), rtol=1e-4, atol=1e-5, err_msg=name)
    assert loss_weight(T_BATCH, SCHEDULE).shape == (3,)


def test_samples_of_the_oracle_and_codes_of_the_codebook_are_on_the_device_of_their_inputs(strict):
    x_0 = MIXTURE.sample(5, Sent(0), dtype=np.float32)
    np.testing.assert_allclose(to_cpu(x_0), MIXTURE.sample(5, RNG(0), dtype=np.float32), rtol=1e-6)
    z_e, codebook = RNG(0).normal((6, 2)), RNG(1).normal((3, 2))
    k = latent.nearest_code(to_device(z_e, "strict"), to_device(codebook, "strict"))
    np.testing.assert_array_equal(to_cpu(k), latent.nearest_code(z_e, codebook))


def test_the_equations_import_no_floor_above_them():
    folder = Path(vlb.__file__).parent
    floors = ("functional", "nn", "optim", "models", "data", "training", "classroom")
    above = tuple(f"minidiff.{floor}" for floor in floors)
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in getattr(node, "names", [])]
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                assert not [name for name in names if name.startswith(above)], path.name
