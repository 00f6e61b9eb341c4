"""Ctrl-C and kill -9 at random moments of a save: the old checkpoint or the new one is whole, and the next save leaves no litter.

MINIDIFF_KILLS=200 kills that many saves.
"""

import gc
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from minidiff.training.checkpoint import load_checkpoint, save_checkpoint

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals and locks")

KILLS = int(os.environ.get("MINIDIFF_KILLS", "30"))
SEED = int(os.environ.get("MINIDIFF_SEED", "0"))


def save(folder, step):
    arrays = {"model.w": np.full((20, 30), step, np.float32), "losses": np.zeros(step % 50, np.float32)}
    save_checkpoint(folder, "ddpm", {"step": step}, arrays)


def step_in(folder):
    """The step of the whole checkpoint that is in the folder."""
    checkpoint = load_checkpoint(folder, "ddpm")
    step = checkpoint.description["step"]
    assert (checkpoint.arrays["model.w"] == step).all() and len(checkpoint.arrays["losses"]) == step % 50
    return step


def interrupt_at(moment):
    """A trace function that raises KeyboardInterrupt before the bytecode instruction number `moment` of what follows."""
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        frame.f_trace_opcodes = True
        if event == "opcode":
            count += 1
            if count == moment:
                raise KeyboardInterrupt
        return trace

    trace.count = lambda: count
    return trace


def traced_save(folder, step, moment):
    """-> (whether it was interrupted, how many instructions ran)

    Without the garbage collector: Python drops what is raised in a finalizer or a callback of it, and those are other tests'.
    """
    trace, before = interrupt_at(moment), sys.gettrace()
    gc.disable()
    sys.settrace(trace)
    try:
        save(folder, step)
    except KeyboardInterrupt:
        return True, trace.count()
    finally:
        sys.settrace(before)
        gc.enable()
    return False, trace.count()


def test_ctrl_c_at_any_instruction_of_a_save_loses_no_run(tmp_path, monkeypatch):
    """2,000 random moments; no fsync, which takes the time and changes no moment.

    MINIDIFF_SEED chooses others.
    """
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    dice = random.Random(SEED)
    save(tmp_path, 1)
    _, moments = traced_save(tmp_path, 2, 0)
    assert moments > 1000
    last, kept, replaced, whole = 2, 0, 0, 0
    for step in range(3, 3 + 2000):
        moment = dice.randrange(1, moments)
        interrupted, ran = traced_save(tmp_path, step, moment)
        found = step_in(tmp_path)
        assert interrupted or ran < moment, f"step {step}: Ctrl-C at instruction {moment} of {ran} was swallowed"
        # a save is now and then some instructions shorter than the one that was counted, and ends before its moment
        assert found in ((last, step) if interrupted else (step,)), f"step {step}"
        whole += not interrupted
        kept, replaced, last = kept + (found == last), replaced + (found == step), found
        if step % 20 == 0:
            gc.collect()
            save(tmp_path, step)
            last = step
            assert len(os.listdir(tmp_path)) == 2, os.listdir(tmp_path)
    assert min(kept, replaced) > 50 and whole < 100


def test_ctrl_c_by_a_timer_loses_no_run(tmp_path):
    """A real signal, which Python handles after whatever system call it falls into."""

    armed = False

    def on_timer(number, frame):
        if armed:  # the last timer may ring just after its save
            raise KeyboardInterrupt

    dice, before = random.Random(1), signal.signal(signal.SIGALRM, on_timer)
    try:
        save(tmp_path, 1)
        durations = []
        for _ in range(5):
            start = time.perf_counter()
            save(tmp_path, 2)
            durations.append(time.perf_counter() - start)
        last, duration, hit = 2, min(durations), 0
        for step in range(3, 203):
            try:
                armed = True
                signal.setitimer(signal.ITIMER_REAL, max(1e-5, dice.random() * duration))
                save(tmp_path, step)
                armed = False
            except KeyboardInterrupt:
                armed, hit = False, hit + 1
            signal.setitimer(signal.ITIMER_REAL, 0)
            found = step_in(tmp_path)
            assert found in (last, step)
            last = found
    finally:
        signal.signal(signal.SIGALRM, before)
    assert hit > 50
    gc.collect()
    save(tmp_path, 999)
    assert step_in(tmp_path) == 999 and len(os.listdir(tmp_path)) == 2


SAVES = """
import sys
sys.path.insert(0, sys.argv[2])
from test_checkpoint_interrupted import save
step = int(sys.argv[3])
save(sys.argv[1], step)
print("ready", flush=True)
while True:
    step += 1
    save(sys.argv[1], step)
"""


def test_kill_9_loses_no_run_and_its_litter_goes_at_the_next_save(tmp_path):
    dice, litter = random.Random(2), 0
    for number in range(1, KILLS + 1):
        first = 1000 * number
        arguments = [sys.executable, "-c", SAVES, str(tmp_path), os.path.dirname(__file__), str(first)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
            assert process.stdout.readline() == b"ready\n"
            assert len([name for name in os.listdir(tmp_path) if name.endswith(".json")]) == 1
            time.sleep(dice.random() * 0.05)
            process.kill()
        assert process.returncode == -9
        assert step_in(tmp_path) >= first
        litter += len(os.listdir(tmp_path)) > 2
        save(tmp_path, first + 999)
        assert step_in(tmp_path) == first + 999 and len(os.listdir(tmp_path)) == 2, os.listdir(tmp_path)
    assert litter > KILLS // 10  # else no kill fell into a save
