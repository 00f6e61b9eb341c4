"""What comes after the deck on another array library, and with NumPy's scalars as options: the same numbers, and float32 stays."""

import numpy as np
import pytest

from minidiff import beyond
from minidiff.beyond import (
    exact_flow,
    flow_matching,
    flow_ode,
    loss_weights,
    pairs,
    score,
    solvers,
    tilted,
)
from minidiff.diffusion import make_schedule
from minidiff.diffusion.oracle import GaussianMixture, exact_score
from minidiff.engine.backend import to_cpu, to_device
from minidiff.engine.random import RNG

SCHEDULE = make_schedule("linear", 12)
MIXTURE = GaussianMixture([0.5, 0.5], [[-0.8, 0.1], [0.8, 0.2]], 0.2)
LINE = GaussianMixture([0.3, 0.7], [[-0.8], [0.8]], 0.3)
T_BATCH = np.array([2, 5, 12])

ON_ARRAYS = {
    "score_from_eps": lambda x, y, t: score.score_from_eps(x, t, SCHEDULE),
    "conditional_score": lambda x, y, t: score.conditional_score(x, y, t, SCHEDULE),
    "denoising_loss": lambda x, y, t: score.denoising_loss(x, y, x, t, SCHEDULE),
    "sde_step": lambda x, y, t: flow_ode.sde_step(x, t, y, SCHEDULE),
    "drift": lambda x, y, t: flow_ode.drift(x, y),
    "divergence": lambda x, y, t: flow_ode.drift_divergence(x, t, MIXTURE, SCHEDULE),
    "log_likelihood": lambda x, y, t: flow_ode.log_likelihood(x, y[:, 0]),
    "from_v": lambda x, y, t: pairs.pair_from_v(x, t, y, SCHEDULE)[0],
    "from_velocity": lambda x, y, t: pairs.pair_from_velocity(x, t, y, SCHEDULE)[1],
    "path": lambda x, y, t: flow_matching.straight_path(x, y, 0.3),
    "exact_velocity": lambda x, y, t: flow_matching.exact_velocity(x, 0.4, MIXTURE),
    "velocity_from_v": lambda x, y, t: flow_matching.velocity_from_v(x, t, y, SCHEDULE),
    "time_and_scale": lambda x, y, t: x * flow_matching.time_and_scale(t, SCHEDULE, like=x)[0],
    "weight": lambda x, y, t: x * loss_weights.prediction_weight("velocity", t, SCHEDULE, like=x),
    "tilted_density": lambda x, y, t: tilted.tilted_log_density(x, t, 1, MIXTURE, SCHEDULE, 2.0),
    "tilted_score": lambda x, y, t: tilted.tilted_score(x, t, 1, MIXTURE, SCHEDULE, 2.0),
}


@pytest.fixture
def pair():
    rng = RNG(3)
    return rng.normal((3, 2)), rng.normal((3, 2))


@pytest.mark.parametrize("name", ON_ARRAYS)
@pytest.mark.parametrize("where", ["t on the host", "t on the device", "one t"])
def test_an_equation_gives_the_same_on_another_device_and_stays_there(strict, pair, name, where):
    x, y = pair
    t = {"t on the host": T_BATCH, "t on the device": to_device(T_BATCH, "strict"), "one t": 5}[where]
    result = ON_ARRAYS[name](to_device(x, "strict"), to_device(y, "strict"), t)
    expected = ON_ARRAYS[name](x, y, T_BATCH if where != "one t" else 5)
    assert type(result).__name__ == "StrictArray" and result.dtype == np.float32
    np.testing.assert_allclose(to_cpu(result), expected, rtol=1e-5, atol=1e-6)


def half(x_t, t):
    return x_t * np.float32(0.5)


RUNS = {
    "heun": lambda x: list(solvers.heun_steps(half, x, SCHEDULE, steps=5, clip=1.0))[-1].x_prev,
    "dpm++": lambda x: list(solvers.dpm_pp_steps(half, x, SCHEDULE, prediction="v", steps=5))[-1].x_prev,
    "sa": lambda x: list(beyond.sa_steps(half, x, SCHEDULE, RNG(0), steps=5, clip=1.0))[-1].x_prev,
    "ddim": lambda x: list(solvers.pair_ddim_steps(half, x, SCHEDULE, prediction="x_0", steps=5))[-1].x_prev,
    "flow": lambda x: list(beyond.flow_steps(half, x, SCHEDULE, steps=5, method="heun"))[-1].x_prev,
    "flow_map": lambda x: exact_flow.flow_map(x[:, :1], 12, 1, LINE, SCHEDULE),
    "loss": lambda x: beyond.weighted_training_terms(half, x, T_BATCH, 0.5 * x, SCHEDULE, "velocity").loss,
    "likelihood": lambda x: list(beyond.likelihood_steps(
        lambda x, t: exact_score(x, t, MIXTURE, SCHEDULE), lambda x, t: flow_ode.drift_divergence(x, t, MIXTURE, SCHEDULE), x, SCHEDULE
    ))[-1].log_p,
}  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
def test_samplers_maps_and_losses_run_on_another_device(strict, pair, name):
    x, _ = pair
    there, here = RUNS[name](to_device(x, "strict")), RUNS[name](x)
    assert np.asarray(here).dtype == np.float32
    np.testing.assert_allclose(to_cpu(there), here, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_a_numpy_scalar_is_the_number(pair, kind):
    x, y = pair
    calls = {
        "clip": lambda a: list(solvers.heun_steps(half, x, SCHEDULE, steps=3, clip=a))[-1].x_prev,
        "s of the path": lambda a: flow_matching.straight_path(x, y, a),
        "s of the velocity": lambda a: flow_matching.exact_velocity(x, a, MIXTURE),
        "s of the tilt": lambda a: tilted.tilted_score(x, 5, 1, MIXTURE, SCHEDULE, a),
        "gamma": lambda a: x * loss_weights.prediction_weight("v", 5, SCHEDULE, gamma=a),
        "sigma_data": lambda a: x * loss_weights.prediction_weight("v", 5, SCHEDULE, "edm", sigma_data=a),
    }
    for name, call in calls.items():
        result = call(kind(0.5))
        assert result.dtype == np.float32, name
        np.testing.assert_array_equal(result, call(0.5), err_msg=name)
