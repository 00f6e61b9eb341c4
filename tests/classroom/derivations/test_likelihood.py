import math

import numpy as np
import pytest

from minidiff.classroom.derivations import bound
from minidiff.classroom.derivations.bound import Chain
from minidiff.classroom.derivations.likelihood import negative_log_likelihood
from minidiff.diffusion.forward import forward_steps
from minidiff.diffusion.gaussian import log_density
from minidiff.diffusion.schedule import make_schedule

SCHEDULE = make_schedule("linear", 20)


def any_network(x_t, t):
    """No good predictor, but a definite one."""
    return 0.3 * x_t + 0.1 * np.cos(x_t)


def exact_for_standard_normal(x_t, t):
    """x_0 ~ N(0, I) makes every x_t ~ N(0, I), so E[eps | x_t] = sqrt(1 - alpha_bar_t) x_t."""
    return np.sqrt(SCHEDULE.at(t, like=x_t).one_minus_alpha_bar) * x_t


def chain_of(eps_theta, x_0, rng, variance="beta"):
    x = [x_0, *(step.x_t for step in forward_steps(x_0, SCHEDULE, rng))]
    t = [np.full(len(x_0), i) for i in range(SCHEDULE.T + 1)]
    return Chain(x, [eps_theta(x[i], t[i]) for i in range(1, SCHEDULE.T + 1)], SCHEDULE, variance)


@pytest.mark.checks("vlb.of_chain", "vlb.of_chain_by_posterior")
def test_bayes_and_the_telescoping_sum_change_nothing(rng):
    """The slide's lines 3 and 8 on the same chains, for a network that predicts nonsense."""
    chain = chain_of(any_network, rng.normal((5, 2, 3), dtype=np.float64), rng)
    before = bound.vlb_of_chain(chain)
    after = bound.vlb_of_chain_by_posterior(chain)
    np.testing.assert_allclose(after, before, rtol=1e-12)


@pytest.mark.checks("vlb.of_chain", "vlb.log_likelihood", "vlb.of_chain_by_posterior")
def test_where_the_model_is_exact_every_chain_gives_the_likelihood_itself(rng):
    """x_0 ~ N(0, I) with sigma^2 = beta: p_theta is the true reverse process, so the bound is tight, chain by chain."""
    x_0 = rng.normal((4, 3), dtype=np.float64)
    exact = -log_density(x_0, 0.0, 1.0).sum(axis=1)
    bounds = []
    for _ in range(3):
        chain = chain_of(exact_for_standard_normal, x_0, rng)
        bounds.append(bound.vlb_of_chain(chain))
        np.testing.assert_allclose(bounds[-1], exact, rtol=1e-12)
        np.testing.assert_allclose(bound.vlb_of_chain_by_posterior(chain), exact, rtol=1e-12)
    np.testing.assert_allclose(negative_log_likelihood(bounds), exact, rtol=1e-12)


@pytest.mark.checks("vlb.log_likelihood")
def test_the_likelihood_is_the_log_of_a_mean_and_never_above_the_bound(rng):
    bounds = [np.array([800.0, 3.0]), np.array([801.0, 1.0]), np.array([805.0, 2.0])]
    nll = negative_log_likelihood(bounds)
    assert nll[1] == pytest.approx(-math.log((math.exp(-3) + math.exp(-1) + math.exp(-2)) / 3), rel=1e-12)
    assert nll[0] == pytest.approx(800 - math.log((1 + math.exp(-1) + math.exp(-5)) / 3), rel=1e-12)
    assert np.all(nll < np.mean(bounds, axis=0))
