"""Small numbers for every argument an equation may have, so that `explain` can run it on the spot.

Arguments have the same names in all equations, so one table is enough. The few that mean something
else in one equation stand in a second table, by its id.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from minidiff.classroom.derivations.bound import Chain
from minidiff.diffusion.equation import Equation
from minidiff.diffusion.oracle import GaussianMixture
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.random import RNG

T, TIME = 10, 5


def _array(*values: Any) -> np.ndarray:
    return np.array(values, dtype=np.float64)


def half(x_t: Any, t: Any, *condition: Any) -> Any:
    """A stand-in for a network: half of x_t is noise."""
    return 0.5 * x_t


def by_name() -> dict[str, Any]:
    """A value for each argument name; images are one image of two pixels."""
    schedule = make_schedule("linear", T)
    beta = schedule.tables["beta"]
    chain = [_array([0.5 - 0.05 * t, -1 + 0.1 * t]) for t in range(T + 1)]
    return {
        "schedule": schedule, "T": T, "S": 4, "t": TIME, "t_prev": TIME - 1, "t_next": TIME + 1,
        "rng": RNG(0),
        "start": _array([0.7, -1.2]),
        "beta": beta, "one_minus_alpha_bar": schedule.tables["one_minus_alpha_bar"],
        "alpha_bar_T": schedule.at(T).alpha_bar,
        "alpha_t": schedule.at(TIME).alpha, "alpha_prev": schedule.at(TIME - 1).alpha,
        "sigma_t": 0.1,
        "x_0": _array([0.5, -1.0]), "x_1": _array([0.48, -0.9]), "x_prev": _array([0.3, -0.8]),
        "x_t": _array([0.2, -0.7]),
        "eps": _array([1.0, -0.5]), "eps_step": _array([0.2, 1.5]), "eps_hat": _array([0.9, -0.4]),
        "z": _array([0.7, 0.1]),
        "x_0_hat": _array([0.55, -0.9]), "mu_tilde": _array([0.3, -0.8]), "v": _array([0.5, 0.5]),
        "v_hat": _array([0.4, 0.6]),
        "chain": Chain(chain, [0.5 * x for x in chain[1:]], schedule),
        "chain_bounds": [_array(3.1), _array(2.9), _array(3.3)],
        "log_p_x_0": _array(-1.2), "log_p_latents": _array(-15.0), "L_simple": 0.25, "bits": 0.1,
        "x_prev_prev": _array([0.4, -0.9]),
        "eps_merged": _array([0.8, 0.3]),
        "eps_theta": half, "network": half, "direction": _array([0.3, -0.2]),
        "x": _array([0.0, 1.0, -2.0]), "x_hat": _array([0.1, 0.8, -2.0]),
        "mean": _array([0.4, -0.9]), "variance": 0.04,
        "mean_1": _array([0.3]), "variance_1": 0.2, "mean_2": _array([0.0]), "variance_2": 1.0,
        "nats": 2000.0, "D": 784,
        "x_T_0": _array([1.0, 0.0]), "x_T_1": _array([0.0, 1.0]), "a": 0.5,
        "mu": _array([0.2, -0.6]), "log_variance": _array([-1.0, 0.0]),
        "gradient": _array([0.5, 0.1]),
        "eps_y": _array([0.9, -0.4]), "eps_uncond": _array([0.7, -0.1]), "w": 2.0, "s": 3.0,
        "null": 10, "p_uncond": 0.5, "y": 1,
        "z_e": _array([0.9, 0.1], [-0.2, 1.1]),
        "codebook": _array([1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]),
        "e": _array([1.0, 0.0], [0.0, 1.0]),
        "N": _array(2.0, 2.0, 2.0), "m": _array([2.0, 0.0], [0.0, 2.0], [-2.0, 0.0]),
        "k": np.array([0, 1]), "K": 3,
        "z_0": _array([0.5, -1.0]), "scale": 0.5, "decoder": np.tanh,
        "score_hat": _array([-0.5, 0.9]), "score": _array([-0.2, 0.8]),
        "x_T": _array([0.6, -1.3]), "log_volume": _array(0.4),
        "left": _array(0.3), "right": _array(0.7),
        "u_hat": _array([0.4, 0.6]), "u_next": _array([0.3, 0.7]), "z_s": _array([0.2, -0.7]),
        "s_prev": 0.25, "eps_next": _array([0.8, -0.3]),
        "x_0_before": _array([0.4, -0.7]), "t_before": TIME + 1, "snr": 8.0,
        "prediction": "v", "target": _array([0.4, 0.6]), "predicted": _array([0.5, 0.3]),
        "alpha_bar": schedule.tables["alpha_bar"],
        "first": 3, "last": 7,
        "mixture": GaussianMixture([0.5, 0.5], [[-0.8, 0.0], [0.8, 0.0]], 0.05), "num_groups": 2,
        "query": _array([[1.0, 0.0], [0.0, 1.0]]), "key": _array([[1.0, 0.0], [0.0, 1.0]]),
        "value": _array([[1.0], [2.0]]),
    }  # fmt: skip


def _time_embedding() -> dict[str, Any]:
    from minidiff.models.unet_blocks import TimeEmbedding

    return {"self": TimeEmbedding(16, RNG(0)), "t": np.array([1, 500])}


def _projections() -> dict[str, Any]:
    from minidiff.engine.tensor import Tensor
    from minidiff.nn.attention import MultiHeadAttention

    pixels = np.array([[[1, 2], [0.5, -1]]], np.float32)
    words = np.array([[[1, 0, -1]]], np.float32)
    attention = MultiHeadAttention(2, 1, bias=False, kdim=3, vdim=3, rng=RNG(0))
    query, key = Tensor(pixels), Tensor(words)
    return {"self": attention, "query": query, "key": key, "value": key}


def _on_a_line(**more: Any) -> Callable[[], dict[str, Any]]:
    return lambda: {"mixture": GaussianMixture([0.5, 0.5], [[-0.8], [0.8]], 0.3)} | more


BY_ID: dict[str, Callable[[], dict[str, Any]]] = {
    "flow_map.distribution": _on_a_line(x_t=_array([0.2])),
    "flow_map.quantile": _on_a_line(),
    "flow_map.map": _on_a_line(x_t=_array([0.2]), s=0),
    **dict.fromkeys(
        ("flow.path", "flow.oracle_velocity", "flow.euler_step", "flow.heun_step"),
        lambda: {"s": 0.5},
    ),
    "consistency.function": _on_a_line(x_t=_array([0.2])),
    "consistency.loss": lambda: {"x_0_hat_prev": _array([0.5, -0.8])},
    "inpaint.replace": lambda: {
        "unknown": _array([0.3, -0.8]), "known": _array([0.9, 0.4]), "mask": _array(1.0, 0.0),
    },  # fmt: skip
    "inpaint.weights": lambda: {
        "x_known": _array(0.3, 0.0), "mask": np.array([True, False]),
        "mixture": GaussianMixture([0.5, 0.5], [[-0.6, -0.8], [0.6, 0.8]], 0.35),
    },  # fmt: skip
    "solver.dpm_pp_step": lambda: {"D": _array([0.5, -0.9])},
    "solver.sa_step": lambda: {"D": _array([0.5, -0.9]), "eta": 0.3},
    "tilted.noisy_score": lambda: {
        "x_t": _array([0.2]),
        "x_0": np.array([[-0.8], [0.1], [0.9]]), "p": np.array([0.2, 0.5, 0.3]),
    },  # fmt: skip
    "schedule.linear": lambda: {"rescale": False},  # the formula is the line itself
    "gaussian.log_density": lambda: {"x": _array([0.5, -1.0])},
    "guidance.drop_condition": lambda: {"y": np.arange(6)},
    "unet.group_norm": lambda: {"x": np.arange(8.0).reshape(1, 4, 2, 1)},
    "unet.time_embedding": _time_embedding,
    "vq.loss": lambda: {"reconstruction": 0.02, "codebook": 0.3, "commitment": 0.075},
    "ldm.projections": _projections,
    "forward.q_chain": lambda: {"chain": by_name()["chain"].x},
    "learned.bits": lambda: {"t": np.array([TIME])},
}


def small_inputs(equation: Equation) -> dict[str, Any]:
    """Arguments to call the equation with.

    Raises: KeyError, which names the argument, if one has no small value yet.
    """
    special = BY_ID.get(equation.id, dict)()
    values = by_name() | special
    parameters = inspect.signature(equation.function).parameters.values()
    needed = [p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    missing = [name for name in needed if name not in values]
    if missing:
        what = "has an argument without a small value"
        raise KeyError(f"small_inputs: {equation.id} {what}: {', '.join(missing)}")
    return {name: values[name] for name in needed} | special
