"""All samplers by name, for a network of any prediction and a schedule of any end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from minidiff.beyond.flow_matching import flow_steps
from minidiff.beyond.pairs import any_eps_theta
from minidiff.beyond.sa_solver import sa_steps
from minidiff.beyond.solvers import (
    dpm_pp_steps,
    heun_steps,
    inner_times,
    log_snr_times,
    pair_ddim_steps,
)
from minidiff.diffusion.ddim import ddim_steps, make_tau
from minidiff.diffusion.ddpm import ddpm_steps
from minidiff.diffusion.schedule import Schedule
from minidiff.diffusion.step import Step
from minidiff.engine.checks import check_choice
from minidiff.engine.random import RNG

SAMPLERS = ("ddim", "ddpm", "heun", "dpm++", "sa", "flow-euler", "flow-heun")
SPACINGS = ("uniform", "quadratic", "log-snr", "inner")


@dataclass(frozen=True)
class SamplerSettings:
    """Which sampler, and how it samples."""

    sampler: str = "ddim"  # of SAMPLERS
    steps: int | None = 50  # S; None: all T
    spacing: str = "uniform"  # of the times in t or in log-SNR: of SPACINGS
    clip: float | None = 1.0  # bound for |x_0_hat|
    eta: float = 0.0  # of ddim and sa
    variance: str = "beta_tilde"  # of ddpm

    def __post_init__(self) -> None:
        check_choice("SamplerSettings", "sampler", self.sampler, SAMPLERS)
        check_choice("SamplerSettings", "spacing", self.spacing, SPACINGS)


def sampler_times(schedule: Schedule, settings: SamplerSettings) -> list[int]:
    """The increasing times at which the sampler stops."""
    S = schedule.T if settings.steps is None else settings.steps
    if settings.spacing == "log-snr":
        return [int(t) for t in log_snr_times(schedule, S)]
    if settings.spacing == "inner":
        return [int(t) for t in inner_times(schedule, S)]
    return [int(t) for t in make_tau(schedule.T, S, settings.spacing)]


def network_calls(settings: SamplerSettings, T: int) -> int:
    """How often the network is asked for one batch of samples.    T: of the schedule"""
    S = T if settings.steps is None else settings.steps
    return 2 * S - 1 if "heun" in settings.sampler else S


def steps_for_calls(sampler: str, calls: int) -> int:
    """The most steps of the sampler that ask the network at most `calls` times."""
    return (calls + 1) // 2 if "heun" in sampler else calls


def sampler_steps(
    network: Callable[[Any, Any], Any], prediction: str, schedule: Schedule, start: Any, rng: RNG,
    settings: SamplerSettings | None = None,
) -> Iterator[Step]:  # fmt: skip
    """The Steps of the sampler from x_T down to the data.

    network: called as network(x_t, t), returns what `prediction` says: `predictor(workers)`;
    start: the shape of the samples, or x_T.

    DDIM runs on the pair of image and noise where alpha_bar_T = 0, else as the deck has it.
    Raises: ValueError for DDPM where alpha_bar_T = 0.
    """
    settings = settings or SamplerSettings()
    tau, clip, sampler = sampler_times(schedule, settings), settings.clip, settings.sampler
    on_pairs: dict[str, Any] = {"prediction": prediction, "steps": tau, "clip": clip}
    if sampler == "heun":
        return heun_steps(network, start, schedule, rng, **on_pairs)
    if sampler == "dpm++":
        return dpm_pp_steps(network, start, schedule, rng, **on_pairs)
    if sampler == "sa":
        return sa_steps(network, start, schedule, rng, eta=settings.eta, **on_pairs)
    if sampler.startswith("flow-"):
        method = sampler.removeprefix("flow-")
        return flow_steps(network, start, schedule, rng, method=method, **on_pairs)
    ends_in_noise = schedule.at(schedule.T).alpha_bar == 0
    if sampler == "ddim" and ends_in_noise:
        return pair_ddim_steps(network, start, schedule, rng, eta=settings.eta, **on_pairs)
    if ends_in_noise:
        reason = "alpha_bar_T = 0 leaves no x_0_hat in an eps: take ddim with eta = 1"
        raise ValueError(f"sampler_steps: ddpm needs some signal at T: {reason}")
    eps_theta = any_eps_theta(network, prediction, schedule)
    if sampler == "ddim":
        return ddim_steps(
            eps_theta, start, schedule, rng, steps=tau, eta=settings.eta, clip=clip
        )
    variance = settings.variance
    fewer = tau if len(tau) < schedule.T else None
    return ddpm_steps(eps_theta, start, schedule, rng, variance=variance, clip=clip, tau=fewer)


def sample(
    network: Callable[[Any, Any], Any], prediction: str, schedule: Schedule, start: Any, rng: RNG,
    settings: SamplerSettings | None = None,
) -> Any:  # fmt: skip
    """x_0 of the last of `sampler_steps`, whose arguments it takes."""
    for step in sampler_steps(network, prediction, schedule, start, rng, settings):
        x_0 = step.x_prev
    return x_0
