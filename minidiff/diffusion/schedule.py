"""The noise schedule: beta_t for t = 1..T and what follows from it.

Tables have T + 1 entries, built in float64: entry 0 is the data (beta_0 = 0, alpha_bar_0 = 1), t runs 1..T. Equations ask for the
values at t in the shape and dtype of an image batch; the cast to float32 happens there, once, after all cancelling subtractions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidiff.diffusion.elementwise import plain
from minidiff.diffusion.equation import equation
from minidiff.diffusion.schedule_check import TerminalCheck, check_schedule
from minidiff.engine.backend import device_of, is_array, to_cpu, to_device

DECK_CLIP = {"beta_min": 0.0001, "beta_max": 0.02}
"""The clip printed on the deck for the cosine schedule; it leaves 5.7 % of the signal in x_T at T = 1000 (errata 6)."""


@equation(
    "schedule.linear",
    slide="Forward Diffusion Process",
    paper="DDPM sec. 4",
    latex=r"\beta_t = \beta_1 + \frac{t-1}{T-1}(\beta_T - \beta_1)",
    errata=(3,),
)
def linear_beta(T, beta_1=0.0001, beta_T=0.02, rescale=True):
    """Linear beta_1..beta_T.    -> float64 (T,), element 0 is beta_1.

    The paper's numbers are for T = 1000. Fewer steps must be larger ones, or x_T keeps signal (alpha_bar_300 = 0.048). With
    `rescale` each step does the work of 1000 / T of the paper's: alpha_bar_T stays 4e-5, beta_t is about 1000 / T times the
    line, and never reaches 1. At T = 1000 that is the line itself; rescale=False takes beta_1 and beta_T as they are for every T.
    """
    beta = np.linspace(beta_1, beta_T, T)
    if rescale and T != 1000:
        beta = 1 - (1 - beta) ** (1000 / T)
    return beta


@equation(
    "schedule.cosine",
    slide="Forward Diffusion Process",
    paper="improved DDPM eq. 17",
    latex=r"\beta_t = \mathrm{clip}\Big(1 - \frac{\bar\alpha_t}{\bar\alpha_{t-1}}, \beta_{min}, \beta_{max}\Big) \quad"
    r" \bar\alpha_t = \frac{f(t)}{f(0)} \quad f(t) = \cos\Big(\frac{t/T + s}{1 + s} \cdot \frac{\pi}{2}\Big)^2",
    errata=(6,),
)
def cosine_beta(T, s=0.008, beta_min=0.0, beta_max=0.999):
    """The cosine schedule, clipped as in the paper; `**DECK_CLIP` gives the deck's.    -> float64 (T,), element 0 is beta_1."""
    t = np.arange(T + 1)
    f = np.cos((t / T + s) / (1 + s) * np.pi / 2) ** 2
    alpha_bar = f / f[0]
    beta = np.clip(1 - alpha_bar[1:] / alpha_bar[:-1], beta_min, beta_max)
    return beta


@equation(
    "schedule.alpha_bar",
    slide="Forward Diffusion Process",
    paper="DDPM sec. 2",
    latex=r"\alpha_t = 1 - \beta_t \quad \bar\alpha_t = \prod_{i=1}^t \alpha_i",
)
def alpha_bar_table(beta):
    """Products of alpha.    beta: float64 (T + 1,) with beta_0 = 0 -> float64 (T + 1,) with alpha_bar_0 = 1."""
    alpha = 1 - beta
    alpha_bar = np.cumprod(alpha)
    return alpha_bar


@equation(
    "schedule.one_minus_alpha_bar",
    slide="Forward Diffusion Process",
    paper="DDPM eq. 4",
    latex=r"1 - \bar\alpha_t = \alpha_t (1 - \bar\alpha_{t-1}) + \beta_t",
)
def one_minus_alpha_bar_table(beta):
    """The variance of q(x_t | x_0), summed up step by step.    beta: float64 (T + 1,) with beta_0 = 0 -> float64 (T + 1,).

    Each step shrinks the noise that is there and adds its own. Nothing cancels, so the first entries keep all their digits:
    in float32, 1 - alpha_bar_1 from a rounded alpha_bar_1 is 1.00017e-4 instead of 1e-4.
    """
    variance = np.zeros_like(beta)
    for t in range(1, len(beta)):
        variance[t] = (1 - beta[t]) * variance[t - 1] + beta[t]
    return variance


@equation(
    "posterior.beta_tilde",
    slide="Reverse Diffusion Process",
    paper="DDPM eq. 7",
    latex=r"\tilde\beta_t = \frac{1-\bar\alpha_{t-1}}{1-\bar\alpha_t}\cdot\beta_t",
    errata=(8,),
)
def beta_tilde_table(beta, one_minus_alpha_bar):
    """Variance of q(x_{t-1} | x_t, x_0).   both: float64 (T + 1,), entry 0 the data -> float64 (T + 1,), 0 at t = 0 and t = 1."""
    beta_tilde = np.zeros_like(beta)
    beta_tilde[1:] = one_minus_alpha_bar[:-1] / one_minus_alpha_bar[1:] * beta[1:]
    return beta_tilde


class Schedule:
    """beta_1..beta_T and the tables made from them.

    beta: (T,) floats in (0, 1); config: what `make_schedule(**config)` needs to build the same schedule again, JSON-able.
    Raises ValueError if a beta is outside (0, 1).
    """

    def __init__(self, beta: Any, config: dict[str, Any] | None = None):
        beta = np.asarray(beta, dtype=np.float64)
        if beta.ndim != 1 or beta.size == 0 or not np.all((beta > 0) & (beta < 1)):
            raise ValueError(f"Schedule: beta must be (T,) numbers in (0, 1), got shape {beta.shape}, range {_range(beta)}")
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

    def beta(self, t: Any, like: Any = None) -> Any:
        """beta_t, the variance that step t adds.    t: int or (B,) ints in 1..T -> float, or (B, 1, ..., 1) to multiply `like`."""
        return self._at("beta", t, like)

    def alpha(self, t: Any, like: Any = None) -> Any:
        """alpha_t = 1 - beta_t.    t: int or (B,) ints in 1..T -> float, or (B, 1, ..., 1) to multiply `like`."""
        return self._at("alpha", t, like)

    def alpha_bar(self, t: Any, like: Any = None, first: int = 1) -> Any:
        """alpha_bar_t = alpha_1 ... alpha_t, the fraction of the signal's power left.    t: int or (B,) ints in first..T.

        first: 0 where t may be the data (alpha_bar_0 = 1), as for t - 1.    -> float, or (B, 1, ..., 1) to multiply `like`.
        """
        return self._at("alpha_bar", t, like, first)

    def one_minus_alpha_bar(self, t: Any, like: Any = None, first: int = 1) -> Any:
        """1 - alpha_bar_t, the variance of the noise in x_t, without the rounding of the subtraction.    Arguments as `alpha_bar`."""
        return self._at("one_minus_alpha_bar", t, like, first)

    def beta_tilde(self, t: Any, like: Any = None) -> Any:
        """beta_tilde_t, the variance of q(x_{t-1} | x_t, x_0); 0 at t = 1.    t: int or (B,) ints in 1..T."""
        return self._at("beta_tilde", t, like)

    def jump_beta(self, t_prev: Any, t: Any, like: Any = None) -> Any:
        """1 - alpha_bar_t / alpha_bar_{t_prev}: the beta of one step that jumps from t_prev to t (beta_t when t_prev = t - 1)."""
        first, last = self.index(t_prev, first=0), self.index(t)
        if np.any(first >= last):
            raise ValueError(f"schedule.jump_beta: t_prev must be < t, got t_prev = {t_prev}, t = {t}")
        alpha_bar = self.tables["alpha_bar"]
        return _shaped(1 - alpha_bar[last] / alpha_bar[first], t, like)

    def snr(self, t: Any) -> Any:
        """Signal-to-noise ratio alpha_bar_t / (1 - alpha_bar_t).    t: int or (B,) ints in 1..T -> float or float64 (B,)."""
        index = self.index(t)
        return _shaped(self.tables["alpha_bar"][index] / self.tables["one_minus_alpha_bar"][index], t, None)

    def check(self) -> TerminalCheck:
        """alpha_bar_T, SNR_T, L_T, the clipped steps, and whether x_T is close enough to N(0, I) to start from.   print() it."""
        return check_schedule(self)

    def index(self, t: Any, first: int = 1) -> np.ndarray:
        """t as a checked int64 array on the host.    Raises ValueError unless every t is an integer in first..T."""
        index = to_cpu(t) if is_array(t) else np.asarray(plain(t))
        if index.dtype.kind not in "iu":
            raise ValueError(f"schedule: t must be integers, got {index.dtype}")
        if index.size and (index.min() < first or index.max() > self.T):
            wrong = index.min() if index.min() < first else index.max()
            raise ValueError(f"schedule: t must be in {first}..T = {first}..{self.T}, got {wrong} (t = 0 is the data, t = T the last step)")
        return index

    def _at(self, name: str, t: Any, like: Any, first: int = 1) -> Any:
        return _shaped(self.tables[name][self.index(t, first)], t, like)

    def __repr__(self) -> str:
        options = ", ".join(f"{key}={value!r}" for key, value in self.config.items() if key != "beta")
        return f"Schedule({options})"


def _shaped(values: Any, t: Any, like: Any) -> Any:
    """One value per image, ready to multiply `like`; a plain float if t is one int."""
    if np.ndim(values) == 0:
        return float(values)
    like = plain(like)
    if like is None:
        return values
    if like.dtype.kind != "f":
        raise TypeError(f"schedule: the images must be floats (scaled to [-1, 1]), got {like.dtype}")
    if values.shape != like.shape[:1]:
        raise ValueError(f"schedule: t must be one per image, ({like.shape[0]},), or one int; got shape {values.shape}")
    return to_device(values.astype(like.dtype).reshape(-1, *[1] * (like.ndim - 1)), device_of(like))


def _range(values: np.ndarray) -> str:
    return f"{values.min():g}..{values.max():g}" if values.size else "empty"


def _custom_beta(T: int, beta: Any) -> Any:
    if len(beta) != T:
        raise ValueError(f"make_schedule: beta must have T = {T} entries, got {len(beta)}")
    return beta


_BUILDERS: dict[str, Callable[..., Any]] = {"linear": linear_beta, "cosine": cosine_beta, "custom": _custom_beta}


def make_schedule(name: str = "linear", T: int = 1000, **options: Any) -> Schedule:
    """The schedule `name` with T steps; `make_schedule(**schedule.config)` builds the same one again.

    name: "linear" (options beta_1, beta_T, rescale), "cosine" (s, beta_min, beta_max) or "custom" (beta).
    Raises ValueError for an unknown name or T < 1, TypeError for an option that the schedule does not have.
    """
    if name not in _BUILDERS:
        raise ValueError(f"make_schedule: name must be one of {', '.join(_BUILDERS)}, got {name!r}")
    if not isinstance(T, (int, np.integer)) or T < 1:
        raise ValueError(f"make_schedule: T must be an int >= 1, got {T!r}")
    try:
        beta = _BUILDERS[name](int(T), **options)
    except TypeError as error:
        raise TypeError(f"make_schedule: the {name} schedule has no such option: {error}") from error
    return Schedule(beta, {"name": name, "T": int(T), **options})


def respace(schedule: Schedule, tau: Any) -> Schedule:
    """The process seen only at the times tau (increasing, in 1..T): the schedule of a strided DDPM (improved DDPM sec. 4).

    Step i of the result ends at time tau[i - 1] of `schedule`: `at_times(tau, eps_theta)` asks the
    network, which was trained on `schedule`, at that time and not at i.
    Raises: ValueError if tau does not increase.
    """
    index = np.concatenate([[0], schedule.index(tau)])
    if np.any(np.diff(index) <= 0):
        raise ValueError(f"respace: tau must increase, got {list(tau)}")
    alpha_bar = schedule.tables["alpha_bar"][index]
    return Schedule(1 - alpha_bar[1:] / alpha_bar[:-1])


def at_times(tau: Any, network: Callable[..., Any]) -> Callable[..., Any]:
    """`network(..., t)` for samplers and bounds on `respace(schedule, tau)`: their step i is time tau[i - 1].

    tau: as for `respace`; the network's last argument is t: int or (B,) in 1..len(tau).
    """
    of_step = np.concatenate([[0], tau])
    return lambda *terms: network(*terms[:-1], of_step[terms[-1]])
