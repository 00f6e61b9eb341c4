"""A small network that learns the score of points while the class watches: Algorithm 1."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from minidiff.diffusion.forward import q_sample
from minidiff.diffusion.losses import L_simple, draw_training_noise
from minidiff.diffusion.oracle import GaussianMixture, exact_eps
from minidiff.diffusion.schedule import Schedule
from minidiff.engine.random import RNG
from minidiff.engine.tape import no_grad
from minidiff.models import PointDenoiser, PointDenoiserConfig
from minidiff.optim import AdamW

BATCH = 128
PROBES, TIMES = 128, 8  # points at each of so many times, where the distance is measured


class PointTraining:
    """A PointDenoiser, its optimiser, and its distance to the exact noise predictor."""

    network: PointDenoiser | None = None

    def start(self, mixture: GaussianMixture, schedule: Schedule, seed: int = 0) -> None:
        """Begin with a new network for these data."""
        self.mixture, self.schedule, self.rng = mixture, schedule, RNG(seed)
        self.network = PointDenoiser(PointDenoiserConfig(n_hidden=64), self.rng)
        self.optimizer = AdamW(
            self.network.named_parameters(), lr=3e-3, betas=(0.9, 0.99), weight_decay=0.0
        )
        self.steps, self.seconds = 0, 0.0
        self._make_probes()
        self.first_distance = self.distance()

    def step(self) -> float:
        """Lines 2 to 5 of Algorithm 1.   -> the loss"""
        assert self.network is not None
        self.optimizer.lr = 3e-3 / (1 + self.steps / 1500)
        x_0 = self.mixture.sample(BATCH, self.rng, dtype=np.float32)
        t, eps = draw_training_noise(x_0, self.schedule, self.rng)
        x_t = q_sample(x_0, t, eps, self.schedule)
        loss = L_simple(eps, self.network(x_t, t))
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.steps += 1
        return loss.item()

    def run_for(self, seconds: float) -> list[float]:
        """Steps until the time is over, at least one.   -> their losses"""
        begin, losses = time.perf_counter(), [self.step()]
        while time.perf_counter() - begin < seconds:
            losses.append(self.step())
        self.seconds += time.perf_counter() - begin
        return losses

    def eps_theta(self, x_t: Any, t: Any) -> Any:
        """The network's prediction as an array."""
        assert self.network is not None
        with no_grad():
            return self.network(x_t, t).data

    def arrows(self, places: np.ndarray, t: int) -> np.ndarray:
        """-eps_theta on the grid, which is sqrt(1 - alpha_bar_t) times the network's score."""
        return -self.eps_theta(places, np.full(len(places), t))

    def _make_probes(self) -> None:
        rng, self._probes = RNG(3), []
        for t in np.unique(np.linspace(1, self.schedule.T, TIMES + 1).astype(int)[1:]):
            x_0 = self.mixture.sample(PROBES, rng, dtype=np.float32)
            x_t = q_sample(x_0, int(t), rng.normal(x_0.shape), self.schedule)
            self._probes.append((x_t, int(t), exact_eps(x_t, int(t), self.mixture, self.schedule)))

    def distance(self) -> float:
        """Root mean square of eps_theta - exact eps over x_t ~ q(x_t), at several t."""
        squares = [
            ((self.eps_theta(x_t, np.full(len(x_t), t)) - exact) ** 2).mean()
            for x_t, t, exact in self._probes
        ]
        return float(np.mean(squares) ** 0.5)

    def report(self, losses: list[float]) -> dict[str, Any]:
        """What the page shows beside the picture."""
        return {
            "steps": self.steps, "seconds": self.seconds, "losses": losses,
            "distance": self.distance(), "first_distance": self.first_distance,
        }  # fmt: skip
