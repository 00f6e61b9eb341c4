"""A whole training run in a terminal: progress bar, time limit, pictures, figures, checkpoints.

Ctrl-C, the end of a batch job, a closed terminal, a lost worker process or a full disk end it
after the present step, with a checkpoint if one can be written.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minidiff.engine.checks import is_int, is_number
from minidiff.kernels.blas import warn_if_slower_than_needed
from minidiff.training.checkpoint import make_folder, saved_step
from minidiff.training.distributed import RankLost, Ranks
from minidiff.training.divergence import DivergenceError
from minidiff.training.interrupt import delayed_interrupt
from minidiff.training.lock import only_run_in
from minidiff.training.loop import TrainingLoop
from minidiff.training.report import Figures, Report
from minidiff.training.screen import Screen
from minidiff.training.workers import WorkerLost, Workers

ROW_STEPS = 20  # from one row of metrics.csv to the next


@dataclass(frozen=True)
class RunSettings:
    """The length of a run, and how often it shows something.

    steps and minutes are counted over all continuations of the run. The one that is reached first
    ends it. With steps alone, a run that was interrupted repeats to the bit.

    Raises: ValueError if neither is given, or if one is no number > 0; TypeError if steps is no
    int.
    """

    steps: int | None = None
    minutes: float | None = None
    preview_minutes: float = 2.0  # from one preview to the next
    quiet: bool = False  # no progress bar

    def __post_init__(self) -> None:
        if self.steps is None and self.minutes is None:
            raise ValueError("run: give steps or minutes, or both")
        if self.steps is not None and not is_int(self.steps):
            raise TypeError(f"run: steps must be an int >= 1, got {self.steps!r}")
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"run: steps must be an int >= 1, got {self.steps}")
        for name in ("minutes", "preview_minutes"):
            value = getattr(self, name)
            left_out = value is None and name == "minutes"
            if not left_out and not (is_number(value) and value > 0):
                raise ValueError(f"run: {name} must be a number > 0, got {value!r}")

    def progress(self, trainer: TrainingLoop) -> float:
        """The share of the run that is done, by steps or by time, whichever is further."""
        by_steps = trainer.step / self.steps if self.steps else 0.0
        by_time = trainer.seconds / (60 * self.minutes) if self.minutes else 0.0
        return max(by_steps, by_time)


class Ending(NamedTuple):
    """How a run ended. It is true if the run is finished."""

    reason: str = ""  # why it is not finished; empty if another rank says it
    status: int = 0  # the exit status of a program that ends with it
    saved: bool = True  # whether the last step is in the checkpoint
    rank_lost: bool = False  # the others can't be waited for

    def __bool__(self) -> bool:
        return self.status == 0


def run(
    trainer: TrainingLoop, out: str | os.PathLike[str], workers: Workers, settings: RunSettings,
    options: dict | None = None, preview: Callable[[Any], Figures | None] | None = None,
    log: Callable[[Figures], Any] | None = None,
) -> Ending:  # fmt: skip
    """Train, and write out/checkpoint and out/loss.png at the end and at each preview.

    out/metrics.csv gets a row every 20 steps and at each preview (metrics.py).
    The learning rate falls towards the end (`trainer.progress`).
    preview: is called now and then, to draw samples, say. The figures that it returns go into
    metrics.csv. log: is called with each row, {column: number}, for other loggers.
    -> an Ending, which is true at the end of the run, and false if something came before it

    Raises: DivergenceError if a loss is not finite; the checkpoint before stays. TypeError for an
    option that a checkpoint can't hold, before the first step.
    """
    from tqdm import tqdm  # here: in a browser there is none

    warn_if_slower_than_needed()
    out, leads = Path(out), workers.leads
    trainer.description(options)  # refuses now what could not be saved later
    screen = Screen.of(sys.stdout)
    bar = tqdm(
        total=settings.steps, initial=trainer.step, unit="step", dynamic_ncols=True, file=screen,
        disable=settings.quiet or not leads or None, mininterval=0.5,
    )  # fmt: skip
    last_preview, ending = trainer.seconds, Ending()
    finished = settings.progress(trainer) >= 1
    without_bar = bool(bar.disable)  # no terminal: one line soon, then one at each preview
    say = None if settings.quiet else functools.partial(bar.write, file=screen)
    report = Report(trainer, out, say, log) if leads else None
    with delayed_interrupt(workers.on_signal) as interrupted, bar, _leading(workers, out):
        try:
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
                if trainer.step % ROW_STEPS == 0 or finished:
                    trainer.check_losses()
                    bar.set_postfix_str(_postfix(trainer, settings.minutes), refresh=False)
                since = trainer.seconds - last_preview
                if report and not finished and since >= 60 * settings.preview_minutes:
                    last_preview = trainer.seconds
                    ending, figures = _show(trainer, out, options, preview)
                    ending = ending and _written(report, figures, in_words=True)
                    clock = time.monotonic()
                elif report and (trainer.step % ROW_STEPS == 0 or finished):
                    ending = _written(report, {}, in_words=without_bar)
                    without_bar = False
                if ending:
                    ending = _why_to_end(finished, int(interrupted.number), screen, workers)
                finished, ending = _agreed(trainer, workers, finished, ending)
            trainer.progress = settings.progress(trainer)  # it says whether the run is finished
            if trainer.step and leads:
                failed, _ = _show(trainer, out, options, None)
                ending = ending if failed else failed
            _, ending = _agreed(trainer, workers, finished, ending)  # also: rank 0 has saved
        except RankLost as error:
            ending = _save_what_is_left(trainer, out, options, workers, error)
    return ending


def _agreed(
    trainer: TrainingLoop, workers: Workers, finished: bool, ending: Ending
) -> tuple[bool, Ending]:
    """What all processes of a run go by: the clock, whether it is finished, and its Ending."""
    facts = trainer.seconds, finished, ending.status
    trainer.seconds, finished, status = workers.agree(*facts)
    if status and not workers.leads:
        ending = Ending("", status)  # rank 0 says why
    elif status and ending:
        ending = Ending("by a signal to another rank", status)
    return finished, ending


@contextmanager
def _leading(workers: Workers, out: Path) -> Iterator[None]:
    """Hold the folder of the checkpoint while rank 0 lives. With one process there is no need."""
    if isinstance(workers, Ranks) and workers.leads:
        with only_run_in(make_folder(out / "checkpoint")):
            yield
    else:
        yield


def _save_what_is_left(
    trainer: TrainingLoop, out: Path, options: dict | None, workers: Workers, lost: RankLost
) -> Ending:
    """Write the last whole step, when a rank was lost: in rank 0, or in one that outlived it.

    There may be a fifth of a second until mpirun kills this rank, too, so there are no pictures.
    -> an Ending with an empty reason if another rank does it
    """
    folder = out / "checkpoint"
    try:
        with nullcontext() if workers.leads else _after_rank_0(folder):
            if not trainer.step or not workers.leads and saved_step(folder) == trainer.step:
                silent = trainer.step or not workers.leads
                return Ending("" if silent else str(lost), lost.status, False, True)
            trainer.save(folder, options)
    except (OSError, DivergenceError) as error:
        return Ending(f"{lost}; {error}", lost.status, False, True)
    except ValueError:  # rank 0 lives, and does not end
        return Ending("", lost.status, False, True)
    return Ending(str(lost), lost.status, True, True)


def _after_rank_0(folder: Path) -> AbstractContextManager[Any]:
    """Hold the folder as soon as rank 0 lets go of it, by its end or its death.

    Raises: ValueError if it doesn't for ten seconds.
    """
    held = ExitStack()
    for _ in range(200):
        with suppress(ValueError):
            held.enter_context(only_run_in(folder))
            return held
        time.sleep(0.05)
    raise ValueError(f"{folder}: rank 0 does not let go of it")


def _why_to_end(finished: bool, number: int, screen: Screen, workers: Workers) -> Ending:
    """An Ending that is false if there is a reason to end before the end."""
    screen.flush()
    if workers.lost:
        return Ending(workers.lost, 1)
    if screen.broken:
        return Ending(f"the output cannot be written ({screen.broken})", 1)
    if number and not finished:
        return Ending(f"by {signal.Signals(number).name}", 128 + number)
    return Ending()


def _written(report: Report, figures: Figures, in_words: bool) -> Ending:
    """Write the row of the present step.    -> an Ending that is false if that failed"""
    try:
        report.write(figures, in_words)
    except OSError as error:
        return Ending(str(error), 1)
    return Ending()


def _show(
    trainer: TrainingLoop, out: Path, options: dict | None,
    preview: Callable[[Any], Figures | None] | None,
) -> tuple[Ending, Figures]:  # fmt: skip
    """Write the checkpoint and the pictures.

    -> an Ending that is false if that failed, the figures of the preview
    """
    saved, figures = False, None
    try:
        trainer.check_finite()
        trainer.save(out / "checkpoint", options)
        saved = True
        _draw_losses(trainer, out)
        if preview is not None:
            figures = preview(trainer)
    except (OSError, WorkerLost) as error:
        return Ending(str(error), 1, saved), {}
    return Ending(), figures or {}


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
