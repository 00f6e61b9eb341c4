"""`python -m minidiff rehearse PLAN` runs every command of a plan on this machine.

It prints the seconds that each took, so that a teacher knows what to expect in class.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from minidiff.classroom import emulated
from minidiff.classroom.coverage import repository
from minidiff.classroom.explain import wrap
from minidiff.classroom.plans import PLANS, Plan, Stage

LONGEST = 300.0  # seconds that a command may take
SLOW = 60.0  # seconds: longer than this a class does not wait
LINES = 3  # of the output of a command that failed


class Rehearsal(NamedTuple):
    """How a stage went.   seconds: None for a stage without a command; failure: why it failed"""

    stage: Stage
    seconds: float | None
    failure: str = ""


def get_plan(name: str) -> Plan:
    """The plan with this name.

    Raises: KeyError that names the plans there are.
    """
    if name not in PLANS:
        raise KeyError(f"rehearse: no plan is called {name!r}; there are {', '.join(PLANS)}")
    return PLANS[name]


def rehearse(plan: Plan) -> Iterator[Rehearsal]:
    """Run the commands of a plan one after another, each when it is asked for.

    What a command writes goes into a folder that is deleted at the end.
    Raises: RuntimeError where the examples are not at hand.
    """
    root = repository()
    if root is None:
        raise RuntimeError(
            "rehearse: the examples are not here; run it in a copy of the repository"
        )
    with tempfile.TemporaryDirectory() as folder:
        for number, stage in enumerate(plan.stages):
            if not commands_of(stage):
                yield Rehearsal(stage, None)
                continue
            start = time.perf_counter()
            failure = ""
            if stage.run:
                failure = _failure(command_of(stage, f"{folder}/{number}"), stage.keys, root)
            for command in lab_commands(stage):
                failure = failure or _failure(words_of(command), (), root)
            yield Rehearsal(stage, time.perf_counter() - start, failure)


def commands_of(stage: Stage) -> list[str]:
    """What is typed in a stage: its command, then its rounds of the bug lab."""
    return [*([stage.run] if stage.run else []), *lab_commands(stage)]


def lab_commands(stage: Stage) -> list[str]:
    """A command for each round; those of kernels only where a kernel can be compiled."""
    here = [code for code in stage.lab if not (code.startswith("k") and emulated.why_not())]
    return [f"python -m minidiff lab {code}" for code in here]


def command_of(stage: Stage, out: str) -> list[str]:
    """The words of a stage's command, with this interpreter.   out: stands for the word OUT"""
    return [out if word == "OUT" else word for word in words_of(stage.run)]


def words_of(command: str) -> list[str]:
    """A command in words, with this interpreter for `python`."""
    words = shlex.split(command)
    return [sys.executable, *words[1:]] if words[0] == "python" else words


def _failure(command: list[str], keys: tuple[str, ...], root: Path) -> str:
    """"" if the command ended well, else its last lines."""
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    typed = "".join(f"{key}\n" for key in keys)
    try:
        ran = subprocess.run(
            command, input=typed, cwd=root, env=environment, capture_output=True, text=True,
            timeout=LONGEST,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"not ready after {LONGEST:.0f} s"
    except OSError as error:
        return str(error)
    complaints = [line for line in ran.stdout.splitlines() if "*** " in line]  # of a debugger
    if ran.returncode == 0:
        return complaints[0] if keys and complaints else ""
    last = (ran.stderr or ran.stdout).strip().splitlines()[-LINES:]
    return " / ".join([f"status {ran.returncode}", *last])


def report(plan: Plan, say: Callable[[str], None] = print) -> int:
    """Rehearse and print a line for each stage.   -> how many failed"""
    say(f"{plan.title}: {sum(stage.minutes for stage in plan.stages)} minutes")
    say(f"before: {plan.before}")
    minute, failed, total = 0, 0, 0.0
    for stage, seconds, failure in rehearse(plan):
        took = "" if seconds is None else f"{seconds:6.1f} s  "
        typed = "; ".join(commands_of(stage))
        say(wrap(f"{minute:3} min  {stage.title:32} {took}{typed}".rstrip()))
        if failure:
            say(f"          FAILED: {failure}")
        elif seconds is not None and seconds > SLOW:
            say("          slow here: start it before the class, or show the page instead")
        minute, total = minute + stage.minutes, total + (seconds or 0)
        failed += bool(failure)
    commands = sum(bool(commands_of(stage)) for stage in plan.stages)
    say(f"{commands - failed} of {commands} stages ran, {total:.1f} s of {minute} min")
    return failed
