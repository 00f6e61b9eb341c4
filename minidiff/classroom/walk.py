"""`python -m minidiff step ddpm|ddim|train --t 500` walks through an algorithm, term by term."""

from __future__ import annotations

import cmd
from collections.abc import Callable, Iterator
from typing import IO, Any

import numpy as np

from minidiff.diffusion.schedule import Schedule
from minidiff.diffusion.step import Step
from minidiff.engine.debug import Debugger
from minidiff.engine.printing import plain_array, show


class Walker(cmd.Cmd):
    """Commands over a stream of Steps, which it keeps to go back.

    steps: from a sampler or the training loss; schedule: to show the coefficients of a step, too;
    decode: of a latent model, from latents to images.
    """

    def __init__(
        self, steps: Iterator[Step], schedule: Schedule | None = None,
        decode: Callable[[Any], Any] | None = None,
        stdin: IO[str] | None = None, stdout: IO[str] | None = None,
    ):  # fmt: skip
        super().__init__(stdin=stdin, stdout=stdout)
        self.use_rawinput = stdin is None
        self.source = steps
        self.schedule, self.decode = schedule, decode
        self.seen: list[Step] = []
        self.at = -1
        self.advance(1)

    intro = "n(ext) [k], b(ack) [k], p(rint) TERM, t TIME, l(ist), break, q(uit), help"

    @property
    def step(self) -> Step:
        return self.seen[self.at]

    @property
    def prompt(self) -> str:  # type: ignore[override]
        t = int(np.max(self.step.t)) if np.size(self.step.t) == 1 else "per image"
        return f"({self.step.algorithm} t = {t}) "

    def say(self, text: str) -> None:
        self.stdout.write(text + "\n")

    def advance(self, count: int) -> bool:
        """Go `count` steps on.   -> False if the algorithm ended before."""
        for _ in range(count):
            if self.at + 1 == len(self.seen):
                step = next(self.source, None)
                if step is None:
                    return False
                self.seen.append(step)
            self.at += 1
        return True

    def run_to(self, t: int) -> bool:
        """Go on to the first step at time t or below; back if it has been seen.

        -> False if there is none
        """
        for index, step in enumerate(self.seen):
            if np.max(step.t) <= t:
                self.at = index
                return True
        while self.advance(1):
            if np.max(self.step.t) <= t:
                return True
        return False

    def do_next(self, line: str) -> None:
        """next [k]: go k steps on (1), and list the terms."""
        if not self.advance(_count(line)):
            self.say("that was the last step")
        self.do_list("")

    def do_back(self, line: str) -> None:
        """back [k]: go k steps back (1), and list the terms."""
        self.at = max(0, self.at - _count(line))
        self.do_list("")

    def do_t(self, line: str) -> None:
        """t TIME: go to the step at this time, or the first below it."""
        if not line.strip().lstrip("-").isdigit() or not self.run_to(int(line)):
            seen = f"{self.seen[0].t} .. {self.seen[-1].t}"
            self.say(f"no step at t = {line}; the steps so far are t = {seen}")
        self.do_list("")

    def do_list(self, line: str) -> None:
        """list: the terms of this step, then the coefficients of its time."""
        self.say(repr(self.step))
        coefficients = self.coefficients()
        if coefficients:
            self.say("")
        for name, value in coefficients.items():
            self.say(f"  {name:16} {show(value)}")

    def coefficients(self) -> dict[str, Any]:
        """beta_t, alpha_t, ... of this step's time, and alpha_bar at the time that it goes to."""
        if self.schedule is None:
            return {}
        t, tables = np.asarray(self.step.t), self.schedule.tables
        found = {f"{name}_t": tables[name][t] for name in ("beta", "alpha", "alpha_bar")}
        found["1 - alpha_bar_t"] = tables["one_minus_alpha_bar"][t]
        found["beta_tilde_t"] = tables["beta_tilde"][t]
        if self.step.algorithm != "train":
            t_prev = np.asarray(self.step.terms.get("t_prev", t - 1))
            found["alpha_bar_t_prev"] = tables["alpha_bar"][t_prev]
        return {name: float(a) if a.ndim == 0 else a for name, a in found.items()}

    def do_print(self, line: str) -> None:
        """print TERM: its values, or a picture if it is an image. A coefficient will do, too."""
        name, coefficients = line.strip(), self.coefficients()
        try:
            value = coefficients[name] if name in coefficients else self.step[name]
        except KeyError as error:
            self.say(str(error.args[0]))
            return
        if getattr(value, "ndim", 0) == 4:
            value = plain_array(value)
            self.say(picture(self.decode(value) if self.decode else value))
        else:
            self.say(f"{name} = {show(value)}")

    def do_break(self, line: str) -> None:
        """break: minidiff.debug in the code of the algorithm, for its next step; `c` comes back.

        It stops behind the `yield` of the last step, so that its terms are the local variables.
        """
        self.at = len(self.seen) - 1
        debugger = Debugger(*(() if self.use_rawinput else (self.stdin, self.stdout)))
        debugger.set_trace()
        went_on = self.advance(1)
        if Debugger.watching is debugger:
            debugger.set_continue()
        self.do_list("") if went_on else self.say("that was the last step")

    def do_quit(self, line: str) -> bool:
        """quit: leave."""
        return True

    do_n, do_b, do_p, do_l, do_q = do_next, do_back, do_print, do_list, do_quit

    def do_EOF(self, line: str) -> bool:  # noqa: N802 - cmd's name for the end of input
        self.say("")
        return True

    def emptyline(self) -> bool:
        self.do_next("")
        return False

    def default(self, line: str) -> None:
        self.say(f"no command is called {line.split()[0]!r}. {self.intro}")


def picture(images: Any, rows: int = 14) -> str:
    """The first image in characters, dark to light over -1..1.   images: (B, C, H, W)."""
    image = np.asarray(images, dtype=np.float64)[0].mean(axis=0)
    skip = max(1, image.shape[0] // rows)
    small = (
        image[: image.shape[0] // skip * skip].reshape(-1, skip, image.shape[1]).mean(axis=1)
    )  # characters are twice as high as wide
    shades = " .:-=+*#%@"
    index = np.clip((small + 1) / 2 * len(shades), 0, len(shades) - 1).astype(int)
    return "\n".join("".join(shades[i] for i in row) for row in index)


def _count(line: str) -> int:
    return int(line) if line.strip().isdigit() else 1
