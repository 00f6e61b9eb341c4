"""The part of a codebook's training that is not a gradient.

A codebook needs a first set of codes, running means (the EMA variant), and new codes for those that
nobody chooses. A VQ-VAE's decoder can't ignore its codes as a VAE's ignores its latents. But codes
that are far from every vector are never chosen, never moved, and so never chosen again: codebook
collapse (errata 46). Watch the perplexity.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidiff.diffusion.latent import ema_codebook
from minidiff.engine.backend import array_module, to_cpu, to_device
from minidiff.engine.random import RNG
from minidiff.models.quantizer import VectorQuantizer

FADED = 1e-20  # a running count of the EMA variant


class CodebookKeeper:
    """Looks after the codes, once a step.

    gamma: decay of the running means of the EMA variant. A code that got less than `dead` of an
    equal share of the last `window` steps' vectors is put on one of the present ones, drawn at
    random. `restarts` counts these codes.
    """

    def __init__(
        self,
        quantizer: VectorQuantizer,
        *,
        gamma: float = 0.99,
        window: int = 50,
        dead: float = 0.05,
    ):
        if not 0 <= gamma < 1 or window < 1 or not 0 <= dead < 1:
            raise ValueError(
                f"CodebookKeeper: wanted gamma and dead in [0, 1) and window >= 1, got gamma = "
                f"{gamma}, dead = {dead}, window = {window}"
            )
        self.quantizer, self.gamma, self.window, self.dead = quantizer, gamma, window, dead
        self.ema = not quantizer.codebook.requires_grad
        codebook = quantizer.codebook.data
        xp = array_module(codebook)
        self.N, self.m = xp.ones(len(codebook), codebook.dtype), codebook.copy()
        self.counts = np.zeros(len(codebook), np.int64)
        self.last_counts = self.counts.copy()
        self.steps = self.restarts = 0

    def start(self, z_e: Any, rng: RNG) -> None:
        """Put all codes on vectors of the encoder, drawn at random.    z_e: (n, D) array."""
        self._place(np.ones(len(self.counts), bool), z_e, rng)

    def update(self, z_e: Any, k: Any, rng: RNG, restart: bool = True) -> None:
        """Note a step's vectors and codes.    z_e: (n, D) array; k: (n,) the codes it got

        restart: False leaves dead codes alone, as near the end of a run.
        """
        if self.ema:
            N, m, codebook = ema_codebook(self.N, self.m, z_e, k, self.gamma)
            self.quantizer.codebook.assign(codebook)
            xp = array_module(N)
            # after thousands of steps without a vector N and m would both be 0, and the code 0 / 0
            faded = N < FADED
            self.N = xp.where(faded, xp.ones_like(N), N)
            self.m = xp.where(faded[:, None], codebook, m)
        self.counts = self.counts + np.bincount(to_cpu(k), minlength=len(self.counts))
        self.steps += 1
        if self.steps % self.window:
            return
        dead = self.counts < self.dead * self.counts.sum() / len(self.counts)
        if restart and dead.any():
            self._place(dead, z_e, rng)
            self.restarts += int(dead.sum())
        self.last_counts, self.counts = self.counts, np.zeros_like(self.counts)

    @property
    def usage(self) -> np.ndarray:
        """The number of times each code was chosen in the last full window, (K,).

        In the first window it is the number so far.
        """
        return self.last_counts if self.steps >= self.window else self.counts

    def state(self) -> dict[str, Any]:
        """Arrays, for a checkpoint."""
        counts = {"counts": self.counts, "last_counts": self.last_counts}
        numbers = np.array([self.steps, self.restarts], np.int64)
        return {"N": self.N, "m": self.m, **counts, "numbers": numbers}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what `state` gave."""
        device = self.quantizer.codebook.device
        self.N, self.m = to_device(state["N"], device), to_device(state["m"], device)
        self.counts, self.last_counts = state["counts"], state["last_counts"]
        self.steps, self.restarts = (int(number) for number in state["numbers"])

    def _place(self, which: np.ndarray, z_e: Any, rng: RNG) -> None:
        """Put codes `which` on vectors drawn at random, and their running means with them.

        The vectors are different ones if there are enough.
        """
        codebook, self.N, self.m = self.quantizer.codebook.data.copy(), self.N.copy(), self.m.copy()
        xp = array_module(codebook)
        slots = np.flatnonzero(which)
        drawn = z_e[xp.asarray(np.resize(rng.permutation(len(z_e)), len(slots)))]
        slots = xp.asarray(slots)
        codebook[slots], self.N[slots], self.m[slots] = drawn, 1, drawn
        self.quantizer.codebook.assign(codebook)
