"""The report of a run: rows of metrics.csv, and lines of words at previews."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from minidiff.training.checkpoint import make_folder
from minidiff.training.loop import TrainingLoop
from minidiff.training.metrics import MetricsFile

Figures = Mapping[str, float]
IN_WORDS = {
    "loss": "loss {:.4f}",
    "held_out_loss": "held out {:.4f}",
    "confident": "classifier sure of {:.0%}",
    "frechet_ratio": "Frechet distance {:.1f} x that of real images",
}


class Report:
    """The report of one run, into out/metrics.csv.

    say: prints a line; None says nothing. log: is called with each row, {column: number}.
    """

    def __init__(
        self, trainer: TrainingLoop, out: Path, say: Callable[[str], Any] | None,
        log: Callable[[Figures], Any] | None,
    ):  # fmt: skip
        make_folder(out)
        self.trainer, self.say, self.log = trainer, say, log
        self.file = MetricsFile(out / "metrics.csv", trainer.step)

    def write(self, figures: Figures = MappingProxyType({}), in_words: bool = False) -> None:
        """Write the row of the present step, and say it if that is asked for.

        Raises: OSError if the file can't be written.
        """
        trainer = self.trainer
        new = trainer.losses[self.file.last_step :]
        row = {"step": trainer.step, "seconds": trainer.seconds, "loss": float(new.mean())}
        row |= {"lr": trainer.optimizer.lr, "gradient_norm": float(trainer.gradient_norm)}
        row |= figures
        self.file.write(row)
        if self.log is not None:
            self.log(row)
        if in_words and self.say is not None:
            figures = {"loss": float(trainer.losses[-100:].mean()), **figures}
            words = ", ".join(IN_WORDS[name].format(value) for name, value in figures.items())
            self.say(f"step {trainer.step}, {trainer.seconds / 60:.1f} minutes: {words}")
