"""A whole training run in a terminal: progress bar, time limit, pictures, checkpoints.

Ctrl-C ends it after the present step, with a checkpoint.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from minidiff.pictures.images import save_loss_curve
from minidiff.training.interrupt import delayed_interrupt
from minidiff.training.loop import TrainingLoop
from minidiff.training.workers import Workers


@dataclass(frozen=True)
class RunSettings:
    """How long a run trains, and how often it shows something.

    steps and minutes are counted over all continuations of the run. The one that is reached first
    ends it. With steps alone, a run that was interrupted repeats to the bit.

    Raises: ValueError if neither is given.
    """

    steps: int | None = None
    minutes: float | None = None
    preview_minutes: float = 2.0  # from one preview to the next
    quiet: bool = False  # no progress bar

    def __post_init__(self) -> None:
        if self.steps is None and self.minutes is None:
            raise ValueError("run: give steps or minutes, or both")

    def progress(self, trainer: TrainingLoop) -> float:
        """How much of the run is done, by steps or by time, whichever is further; 1 at the end."""
        by_steps = trainer.step / self.steps if self.steps else 0.0
        by_time = trainer.seconds / (60 * self.minutes) if self.minutes else 0.0
        return max(by_steps, by_time)


def run(
    trainer: TrainingLoop, out: str | os.PathLike[str], workers: Workers, settings: RunSettings,
    options: dict | None = None, preview: Callable[[Any], None] | None = None,
) -> bool:  # fmt: skip
    """Train, and write out/checkpoint and out/loss.png at the end and at each preview.

    The learning rate falls towards the end (`trainer.progress`).
    preview: is called now and then, to draw samples, say.
    -> True at the end of the run, False if Ctrl-C came before it
    """
    out = Path(out)
    bar = tqdm(
        total=settings.steps, initial=trainer.step, unit="step", disable=settings.quiet,
        dynamic_ncols=True, file=sys.stdout, mininterval=0.5,
    )  # fmt: skip
    last_preview = trainer.seconds
    finished = settings.progress(trainer) >= 1
    with delayed_interrupt() as interrupted, bar:
        iterator = trainer.steps(workers)
        clock = time.monotonic()
        while not finished and not interrupted:
            trainer.progress = settings.progress(trainer)
            next(iterator)
            now = time.monotonic()
            trainer.seconds += now - clock
            clock = now
            finished = settings.progress(trainer) >= 1
            bar.update()
            if trainer.step % 20 == 0 or finished:
                bar.set_postfix_str(_postfix(trainer, settings.minutes), refresh=False)
            if not finished and trainer.seconds - last_preview >= 60 * settings.preview_minutes:
                last_preview = trainer.seconds
                _write(trainer, out, options)
                if preview is not None:
                    preview(trainer)
                clock = time.monotonic()
        if trainer.step:
            _write(trainer, out, options)
    return finished


def _postfix(trainer: TrainingLoop, minutes: float | None) -> str:
    text = f"loss {trainer.losses[-100:].mean():.4f}"
    if minutes is not None:
        left = max(0.0, minutes * 60 - trainer.seconds)
        text += f", {int(left // 60)}:{int(left % 60):02d} left"
    return text


def _write(trainer: TrainingLoop, out: Path, options: dict | None) -> None:
    trainer.save(out / "checkpoint", options)
    losses = trainer.losses
    window = min(100, max(1, len(losses) // 10))
    smoothed = np.convolve(
        np.pad(losses, (window - 1, 0), mode="edge"), np.ones(window) / window, mode="valid"
    )
    save_loss_curve(out / "loss.png", np.arange(1, len(losses) + 1), losses, smoothed)
