"""A whole training run in a terminal: progress bar, time limit, pictures, checkpoints.

Ctrl-C, the end of a batch job, a closed terminal, a lost worker process or a full disk end it
after the present step, with a checkpoint if one can be written.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from minidiff.kernels.blas import warn_if_slower_than_needed
from minidiff.training.interrupt import delayed_interrupt
from minidiff.training.loop import TrainingLoop
from minidiff.training.workers import WorkerLost, Workers


@dataclass(frozen=True)
class RunSettings:
    """The length of a run, and how often it shows something.

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
        """The share of the run that is done, by steps or by time, whichever is further."""
        by_steps = trainer.step / self.steps if self.steps else 0.0
        by_time = trainer.seconds / (60 * self.minutes) if self.minutes else 0.0
        return max(by_steps, by_time)


class Ending(NamedTuple):
    """How a run ended. It is true if the run is finished."""

    reason: str = ""  # why it is not finished
    status: int = 0  # the exit status of a program that ends with it
    saved: bool = True  # whether the last step is in the checkpoint

    def __bool__(self) -> bool:
        return self.status == 0


def run(
    trainer: TrainingLoop, out: str | os.PathLike[str], workers: Workers, settings: RunSettings,
    options: dict | None = None, preview: Callable[[Any], None] | None = None,
) -> Ending:  # fmt: skip
    """Train, and write out/checkpoint and out/loss.png at the end and at each preview.

    The learning rate falls towards the end (`trainer.progress`).
    preview: is called now and then, to draw samples, say.
    -> an Ending, which is true at the end of the run, and false if something came before it

    Raises: DivergenceError if a loss is not finite; the checkpoint before stays.
    """
    warn_if_slower_than_needed()
    out = Path(out)
    screen = _Screen(sys.stdout)
    bar = tqdm(
        total=settings.steps, initial=trainer.step, unit="step", disable=settings.quiet,
        dynamic_ncols=True, file=screen, mininterval=0.5,
    )  # fmt: skip
    last_preview, ending = trainer.seconds, Ending()
    finished = settings.progress(trainer) >= 1
    with delayed_interrupt() as interrupted, bar:
        iterator = trainer.steps(workers)
        clock = time.monotonic()
        while not finished and ending:
            trainer.progress = settings.progress(trainer)
            next(iterator)
            now = time.monotonic()
            trainer.seconds += now - clock
            clock = now
            finished = settings.progress(trainer) >= 1
            bar.update()
            if trainer.step % 20 == 0 or finished:
                trainer.check_losses()
                bar.set_postfix_str(_postfix(trainer, settings.minutes), refresh=False)
            if not finished and trainer.seconds - last_preview >= 60 * settings.preview_minutes:
                last_preview = trainer.seconds
                ending = _show(trainer, out, options, preview)
                clock = time.monotonic()
            if ending:
                ending = _why_to_end(finished, int(interrupted.number), screen, workers)
        if trainer.step:
            failed = _show(trainer, out, options, None)
            ending = ending if failed else failed
    return ending


def _why_to_end(finished: bool, number: int, screen: _Screen, workers: Workers) -> Ending:
    """An Ending that is false if there is a reason to end before the end."""
    if workers.lost:
        return Ending(workers.lost, 1)
    if screen.broken:
        return Ending(f"the output cannot be written ({screen.broken})", 1)
    if number and not finished:
        return Ending(f"by {signal.Signals(number).name}", 128 + number)
    return Ending()


class _Screen:
    """stdout for the progress bar. If it is closed or full, `broken` says so; nothing is raised."""

    def __init__(self, file: Any):
        self._file, self.broken = file, ""

    def write(self, text: str) -> None:
        try:
            self._file.write(text)
        except (OSError, ValueError) as error:
            self.broken = str(error)

    def flush(self) -> None:
        try:
            self._file.flush()
        except (OSError, ValueError) as error:
            self.broken = str(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _show(
    trainer: TrainingLoop, out: Path, options: dict | None, preview: Callable[[Any], None] | None
) -> Ending:
    """Write the checkpoint and the pictures.    -> an Ending that is false if that failed"""
    saved = False
    try:
        trainer.check_finite()
        trainer.save(out / "checkpoint", options)
        saved = True
        _draw_losses(trainer, out)
        if preview is not None:
            preview(trainer)
    except (OSError, WorkerLost) as error:
        return Ending(str(error), 1, saved)
    return Ending()


def _postfix(trainer: TrainingLoop, minutes: float | None) -> str:
    text = f"loss {trainer.losses[-100:].mean():.4f}"
    if minutes is not None:
        left = max(0.0, minutes * 60 - trainer.seconds)
        text += f", {int(left // 60)}:{int(left % 60):02d} left"
    return text


def _draw_losses(trainer: TrainingLoop, out: Path) -> None:
    from minidiff.pictures.curves import save_loss_curve  # matplotlib takes a second to import

    losses = trainer.losses
    window = min(100, max(1, len(losses) // 10))
    smoothed = np.convolve(
        np.pad(losses, (window - 1, 0), mode="edge"), np.ones(window) / window, mode="valid"
    )
    save_loss_curve(out / "loss.png", np.arange(1, len(losses) + 1), losses, smoothed)
