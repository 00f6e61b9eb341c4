"""SA-Solver: one step that predicts and corrects, for the ODE and for the SDE.

A step is exact if the data prediction is known all the way. It is known at a few times,
so a polynomial through them stands for it. The predictor takes the times so far. The
corrector takes the step once more, with the prediction at its end, which the next step
needs anyway."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minidiff.beyond.pairs import downwards, predict_pair
from minidiff.beyond.solvers import half_log_snr
from minidiff.diffusion.equation import equation
from minidiff.diffusion.noise_prediction import fresh_noise, starting_noise
from minidiff.diffusion.schedule import Schedule
from minidiff.diffusion.step import Step
from minidiff.engine.elementwise import number, sqrt
from minidiff.engine.random import RNG

PREDICTOR, CORRECTOR = 2, 3  # data predictions that each uses
Known = list[tuple[float, Any]]  # (lambda, x_0_hat), the newest first


@equation("solver.sa_step", "Xue et al. 2309.05019 (eta = tau^2)")
def sa_step(x_t, D, z, t, t_prev, schedule, eta=0.0):
    """x_prev = b_prev / b_t exp(-eta h) x_t + a_prev (1 - exp(-(1 + eta) h)) D + noise

    a = sqrt(alpha_bar), b = sqrt(1 - alpha_bar), exp(-h) = a_t b_prev / (a_prev b_t),
    noise = b_prev sqrt(1 - exp(-2 eta h)) z. Exact if the data prediction is D all the
    way. eta = 0 is the ODE's step and 1 the SDE's: both are DDIM's of that eta.
    x_t, D, z: (B, ...);  0 <= t_prev < t  ->  (B, ...)"""
    eta, now, prev = number(eta), schedule.at(t), schedule.at(t_prev, first=0)
    noise_left = sqrt(prev.one_minus_alpha_bar / now.one_minus_alpha_bar)
    exp_minus_h = sqrt(now.alpha_bar / prev.alpha_bar) * noise_left
    kept = noise_left * exp_minus_h**eta * x_t
    data = sqrt(prev.alpha_bar) * (1 - exp_minus_h ** (1 + eta)) * D
    b_prev = sqrt(prev.one_minus_alpha_bar)
    noise = b_prev * sqrt(1 - exp_minus_h ** (2 * eta)) * z
    x_prev = kept + data + noise
    return x_prev


def mean_weights(nodes: Sequence[float], h: float, c: float = 1.0) -> list[float]:
    """w with sum_i w_i f(u_i) = the mean of f over the step, for a polynomial f

    The mean over u in [0, h] has weights exp(c u): the end of a step counts most.
    nodes: u_1, ..., u_n, all different, for f of a degree below n; c: 1 + eta"""
    n, ch = len(nodes), c * h
    # I_k, the integral of c (u / h)^k exp(c (u - h)), by parts
    I = [-math.expm1(-ch)]  # noqa: E741 (the letter of the formula)
    for k in range(1, n):
        I.append(1 - k / ch * I[k - 1])
    powers = np.vander(np.asarray(nodes) / h, n, increasing=True).T
    return [float(w) for w in np.linalg.solve(powers, np.array(I) / I[0])]


def mean_prediction(
    known: Known, t: int, t_prev: int, schedule: Schedule, eta: float
) -> Any:
    """D, the mean over the step from t to t_prev of the polynomial through `known`."""
    newest, lambda_t = known[0][1], half_log_snr(t, schedule)
    known = [(lam, x_0_hat) for lam, x_0_hat in known if lam > -math.inf]
    if t_prev == 0 or lambda_t == -math.inf or len(known) == 1:
        return newest
    h = half_log_snr(t_prev, schedule) - lambda_t
    weights = mean_weights([lam - lambda_t for lam, _ in known], h, 1 + eta)
    return sum(w * x_0_hat for w, (_, x_0_hat) in zip(weights, known, strict=True))


def sa_steps(
    network: Callable[..., Any], start: Any, schedule: Schedule, rng: RNG | None = None,
    *, prediction: str = "eps", steps: int | Sequence[int] | None = None,
    clip: float | None = None, eta: float = 0.0,
) -> Iterator[Step]:  # fmt: skip
    """SA-Solver from T down to the data; S steps ask the network S times.

    Arguments as for `heun_steps`. eta: fresh noise, 0 for the ODE, 1 for the SDE.
    The predictor uses two predictions and the corrector three: the error of the ODE goes
    as S^-3. The first step has no prediction before it, and the last goes to the data,
    where the network knows nothing: both take x_0_hat for D.
    Raises: ValueError for eta outside [0, 1], and for eta > 0 without an rng."""
    check_eta(eta, rng)
    x_t, pairs = starting_noise(start, rng), downwards(schedule, steps)

    def predict(x_t: Any, t: int) -> tuple[float, Any]:
        x_0_hat, _ = predict_pair(network, x_t, t, schedule, prediction, clip)
        return half_log_snr(t, schedule), x_0_hat

    known = [predict(x_t, pairs[0][0])]
    for t, t_prev in pairs:
        x_0_hat = known[0][1]
        z = fresh_noise(x_t, rng if eta > 0 and t_prev > 0 else None)
        D = mean_prediction(known[:PREDICTOR], t, t_prev, schedule, eta)
        x_prev = sa_step(x_t, D, z, t, t_prev, schedule, eta)
        terms = {"t_prev": t_prev, "x_t": x_t, "x_0_hat": x_0_hat, "z": z, "D": D}
        if t_prev > 0:
            known = [predict(x_prev, t_prev), *known[: CORRECTOR - 1]]
            D_corrected = mean_prediction(known, t, t_prev, schedule, eta)
            terms |= {"x_predicted": x_prev, "D_corrected": D_corrected}
            x_prev = sa_step(x_t, D_corrected, z, t, t_prev, schedule, eta)
        yield Step("sa", t, **terms, x_prev=x_prev)
        x_t = x_prev


def check_eta(eta: float, rng: RNG | None) -> None:
    """Raises: ValueError as `sa_steps`."""
    if not 0 <= eta <= 1:
        meaning = "0 is the ODE, 1 is the SDE"
        raise ValueError(f"sa_steps: eta must be in [0, 1] ({meaning}), got {eta}")
    if rng is None and eta > 0:
        wanted = "rng may be left out only if eta = 0"
        raise ValueError(f"sa_steps: {wanted}, got eta = {eta}")
