"""A whole training run in a terminal: progress bar, time limit, pictures and checkpoints as it goes, and a clean end on Ctrl-C."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from minidiff.cli import delayed_interrupt
from minidiff.diffusion.step import Step
from minidiff.pictures.images import save_loss_curve
from minidiff.training.workers import Workers


class Trains(Protocol):
    """What can be run: a trainer of a diffusion model or of an autoencoder, say."""

    step: int
    seconds: float
    progress: float

    @property
    def losses(self) -> np.ndarray: ...

    def steps(self, workers: Workers) -> Iterator[Step]: ...

    def save(self, folder: Any, options: dict[str, Any] | None = None) -> None: ...


def run(
    trainer: Trains, out: str | os.PathLike[str], workers: Workers, *, steps: int | None = None, minutes: float | None = None,
    options: dict | None = None, preview: Callable[[Any], None] | None = None, preview_minutes: float = 2.0, quiet: bool = False,
) -> bool:  # fmt: skip
    """Train until `steps` steps or `minutes` minutes are done, both counted over all continuations; save at the end and at each preview.

    The learning rate falls towards the end (`trainer.progress`); with steps alone, a run that was interrupted repeats to the bit.
    preview: called every preview_minutes, to draw samples, say.    -> True at the end, False if Ctrl-C came before it.
    Writes out/checkpoint and out/loss.png.
    """
    out = Path(out)
    limits = [
        f"{steps} steps" if steps is not None else "",
        f"{minutes:g} minutes" if minutes is not None else "",
    ]
    if not any(limits):
        raise ValueError("run: give steps or minutes, or both")
    bar = tqdm(
        total=steps,
        initial=trainer.step,
        unit="step",
        disable=quiet,
        dynamic_ncols=True,
        file=sys.stdout,
        mininterval=0.5,
    )
    last_preview = trainer.seconds
    finished = _progress(trainer, steps, minutes) >= 1
    with delayed_interrupt() as interrupted, bar:
        iterator = trainer.steps(workers)
        clock = time.monotonic()
        while not finished and not interrupted:
            trainer.progress = _progress(trainer, steps, minutes)
            next(iterator)
            now = time.monotonic()
            trainer.seconds += now - clock
            clock = now
            finished = _progress(trainer, steps, minutes) >= 1
            bar.update()
            if trainer.step % 20 == 0 or finished:
                bar.set_postfix_str(_postfix(trainer, minutes), refresh=False)
            if not finished and trainer.seconds - last_preview >= 60 * preview_minutes:
                last_preview = trainer.seconds
                _write(trainer, out, options)
                if preview is not None:
                    preview(trainer)
                clock = time.monotonic()
        if trainer.step:
            _write(trainer, out, options)
    return finished


def _progress(trainer: Trains, steps: int | None, minutes: float | None) -> float:
    """How much of the run is done, by steps or by time, whichever is further; 1 at the end."""
    return max(
        trainer.step / steps if steps else 0.0, trainer.seconds / (60 * minutes) if minutes else 0.0
    )


def _postfix(trainer: Trains, minutes: float | None) -> str:
    text = f"loss {trainer.losses[-100:].mean():.4f}"
    if minutes is not None:
        left = max(0.0, minutes * 60 - trainer.seconds)
        text += f", {int(left // 60)}:{int(left % 60):02d} left"
    return text


def _write(trainer: Trains, out: Path, options: dict | None) -> None:
    trainer.save(out / "checkpoint", options)
    losses = trainer.losses
    window = min(100, max(1, len(losses) // 10))
    smoothed = np.convolve(
        np.pad(losses, (window - 1, 0), mode="edge"), np.ones(window) / window, mode="valid"
    )
    save_loss_curve(out / "loss.png", np.arange(1, len(losses) + 1), losses, smoothed)
