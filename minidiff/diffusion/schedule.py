"""The noise schedule: beta_t for t = 1..T and what follows from it.

Tables have T + 1 entries, built in float64: entry 0 is the data (beta_0 = 0,
alpha_bar_0 = 1), t runs 1..T. `schedule.at(t, like=x_t)` gives the values at t in the
shape and dtype of an image batch. The cast to float32 happens there, once, after all
cancelling subtractions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidiff.diffusion.coefficients import Coefficients, shaped
from minidiff.diffusion.equation import equation
from minidiff.diffusion.schedule_check import TerminalCheck
from minidiff.engine.backend import is_array, to_cpu
from minidiff.engine.checks import check_choice
from minidiff.engine.elementwise import plain

DECK_CLIP = {"beta_min": 0.0001, "beta_max": 0.02}
"""The clip printed on the slide; it leaves 5.7 % of the signal at T = 1000 (errata 6)."""


@equation("schedule.linear", "DDPM sec. 4", errata=3)
def linear_beta(T, beta_1=0.0001, beta_T=0.02, rescale=True):
    """beta_t = beta_1 + (t - 1) / (T - 1) (beta_T - beta_1)

    -> float64 (T,), element 0 is beta_1. The paper's numbers are for T = 1000. Fewer
    steps must be larger ones, or x_T keeps signal (alpha_bar_300 = 0.048). With `rescale`
    each step does the work of 1000 / T of the paper's: alpha_bar_T stays 4e-5, and beta_t
    never reaches 1. rescale=False takes beta_1 and beta_T as they are for every T."""
    beta = np.linspace(beta_1, beta_T, T)
    if rescale and T != 1000:
        beta = 1 - (1 - beta) ** (1000 / T)
    return beta


@equation("schedule.cosine", "improved DDPM eq. 17", errata=6)
def cosine_beta(T, s=0.008, beta_min=0.0, beta_max=0.999):
    """beta_t = clip(1 - alpha_bar_t / alpha_bar_{t-1}),  alpha_bar_t = f(t) / f(0)

    f(t) is a squared cosine. `**DECK_CLIP` gives the slide's clip.
    -> float64 (T,), element 0 is beta_1."""
    t = np.arange(T + 1)
    f = np.cos((t / T + s) / (1 + s) * np.pi / 2) ** 2
    alpha_bar = f / f[0]
    beta = np.clip(1 - alpha_bar[1:] / alpha_bar[:-1], beta_min, beta_max)
    return beta


@equation("schedule.alpha_bar", "DDPM sec. 2")
def alpha_bar_table(beta):
    """alpha_bar_t = alpha_1 alpha_2 ... alpha_t,  alpha_t = 1 - beta_t

    beta: float64 (T + 1,) with beta_0 = 0  ->  float64 (T + 1,) with alpha_bar_0 = 1"""
    alpha = 1 - beta
    alpha_bar = np.cumprod(alpha)
    return alpha_bar


@equation("schedule.one_minus_alpha_bar", "DDPM eq. 4")
def one_minus_alpha_bar_table(beta):
    """1 - alpha_bar_t = alpha_t (1 - alpha_bar_{t-1}) + beta_t

    beta: float64 (T + 1,) with beta_0 = 0  ->  float64 (T + 1,)
    Each step shrinks the noise that is there and adds its own. Nothing cancels, so the
    first entries keep all their digits: in float32, 1 - alpha_bar_1 from a rounded
    alpha_bar_1 is 1.00017e-4 instead of 1e-4."""
    variance = np.zeros_like(beta)
    for t in range(1, len(beta)):
        variance[t] = (1 - beta[t]) * variance[t - 1] + beta[t]
    return variance


@equation("posterior.beta_tilde", "DDPM eq. 7", errata=8)
def beta_tilde_table(beta, one_minus_alpha_bar):
    """beta_tilde_t = (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t) beta_t

    The variance of q(x_{t-1} | x_t, x_0).
    both: float64 (T + 1,), entry 0 the data  ->  float64 (T + 1,), 0 at t = 0 and 1"""
    beta_tilde = np.zeros_like(beta)
    beta_tilde[1:] = one_minus_alpha_bar[:-1] / one_minus_alpha_bar[1:] * beta[1:]
    return beta_tilde


class Schedule:
    """beta_1..beta_T and the tables made from them.

    beta: (T,) floats in (0, 1), of which the last may be 1; config: what
    `make_schedule(**config)` needs to build the same schedule again, JSON-able.
    Raises: ValueError if another beta is outside (0, 1)."""

    def __init__(self, beta: Any, config: dict[str, Any] | None = None):
        beta = np.asarray(beta, dtype=np.float64)
        inside = (beta > 0) & (beta < 1)
        fits = beta.ndim == 1 and beta.size and inside[:-1].all() and 0 < beta[-1] <= 1
        if not fits:
            got = f"shape {beta.shape}, range {_range(beta)}"
            raise ValueError(f"Schedule: beta must be (T,) numbers in (0, 1), got {got}")
        self.T = len(beta)
        self.config = config or {"name": "custom", "T": self.T, "beta": beta.tolist()}
        beta = np.concatenate([[0.0], beta])
        one_minus_alpha_bar = one_minus_alpha_bar_table(beta)
        self.tables = {
            "beta": beta,
            "alpha": 1 - beta,
            "alpha_bar": alpha_bar_table(beta),
            "one_minus_alpha_bar": one_minus_alpha_bar,
            "beta_tilde": beta_tilde_table(beta, one_minus_alpha_bar),
        }

    def at(self, t: Any, like: Any = None, first: int = 1) -> Coefficients:
        """All coefficients of time t: `now = schedule.at(t, like=x_t); now.alpha_bar`.

        t: int or (B,) ints in first..T; like: the images that they multiply;
        first: 0 where t may be the data (alpha_bar_0 = 1), as for t - 1."""
        return Coefficients(self, t, like, first)

    def jump_beta(self, t_prev: Any, t: Any, like: Any = None) -> Any:
        """1 - alpha_bar_t / alpha_bar_{t_prev}: the beta of one step from t_prev to t."""
        first, last = self.index(t_prev, first=0), self.index(t)
        if np.any(first >= last):
            got = f"t_prev = {t_prev}, t = {t}"
            raise ValueError(f"schedule.jump_beta: t_prev must be < t, got {got}")
        alpha_bar = self.tables["alpha_bar"]
        return shaped(1 - alpha_bar[last] / alpha_bar[first], plain(like))

    def snr(self, t: Any) -> Any:
        """Signal-to-noise ratio alpha_bar_t / (1 - alpha_bar_t).   t: int or (B,)."""
        now = self.at(t)
        return now.alpha_bar / now.one_minus_alpha_bar

    def check(self) -> TerminalCheck:
        """Is x_T close enough to N(0, I) to start from? Numbers to print()."""
        return TerminalCheck(self)

    def index(self, t: Any, first: int = 1) -> np.ndarray:
        """t as a checked int64 array on the host.

        Raises: ValueError unless every t is an integer in first..T."""
        index = to_cpu(t) if is_array(t) else np.asarray(plain(t))
        if index.dtype.kind not in "iu":
            raise ValueError(f"schedule: t must be integers, got {index.dtype}")
        if index.size and (index.min() < first or index.max() > self.T):
            wrong = index.min() if index.min() < first else index.max()
            raise ValueError(
                f"schedule: t must be in {first}..T = {first}..{self.T}, got {wrong} "
                "(t = 0 is the data, t = T the last step)"
            )
        return index

    def __repr__(self) -> str:
        shown = (f"{key}={v!r}" for key, v in self.config.items() if key != "beta")
        return f"Schedule({', '.join(shown)})"


def _range(values: np.ndarray) -> str:
    return f"{values.min():g}..{values.max():g}" if values.size else "empty"


def _custom_beta(T: int, beta: Any) -> Any:
    if len(beta) != T:
        wanted = f"beta must have T = {T} entries"
        raise ValueError(f"make_schedule: {wanted}, got {len(beta)}")
    return beta


_BUILDERS: dict[str, Callable[..., Any]] = {
    "linear": linear_beta,
    "cosine": cosine_beta,
    "custom": _custom_beta,
}


def make_schedule(name: str = "linear", T: int = 1000, **options: Any) -> Schedule:
    """The schedule `name` with T steps.   `make_schedule(**schedule.config)` rebuilds it.

    name: "linear" (options beta_1, beta_T, rescale), "cosine" (s, beta_min, beta_max) or
    "custom" (beta).
    Raises: ValueError for an unknown name or T < 1; TypeError for an unknown option."""
    check_choice("make_schedule", "name", name, _BUILDERS)
    if not isinstance(T, (int, np.integer)) or T < 1:
        raise ValueError(f"make_schedule: T must be an int >= 1, got {T!r}")
    try:
        beta = _BUILDERS[name](int(T), **options)
    except TypeError as error:
        reason = f"the {name} schedule has no such option: {error}"
        raise TypeError(f"make_schedule: {reason}") from error
    return Schedule(beta, {"name": name, "T": int(T), **options})


def respace(schedule: Schedule, tau: Any) -> Schedule:
    """The process seen only at the times tau: the schedule of a strided DDPM.

    tau: increasing, in 1..T (improved DDPM sec. 4). Step i of the result is at time
    tau[i - 1] of `schedule`. `at_times(tau, eps_theta)` asks the network there, not at i.
    Raises: ValueError if tau does not increase."""
    index = np.concatenate([[0], schedule.index(tau)])
    if np.any(np.diff(index) <= 0):
        raise ValueError(f"respace: tau must increase, got {list(tau)}")
    alpha_bar = schedule.tables["alpha_bar"][index]
    return Schedule(1 - alpha_bar[1:] / alpha_bar[:-1])


def at_times(tau: Any, network: Callable[..., Any]) -> Callable[..., Any]:
    """`network(..., t)` for samplers and bounds on `respace(schedule, tau)`.

    Its t, an int or (B,), counts steps 1..len(tau). It asks the network at tau[t - 1]."""
    of_step = np.concatenate([[0], tau])
    return lambda *terms: network(*terms[:-1], of_step[terms[-1]])
