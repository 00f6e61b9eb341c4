"""What other systems lack is done without: fork, /dev/shm, a process's list of cores, locks on folders, SIGHUP."""

import os
import signal
import subprocess
import sys

from minidiff.training import cores, lock
from minidiff.training.interrupt import delayed_interrupt

# as on macOS and Windows: processes begin anew, and shared memory is a file in the folder for temporary files
PROGRAM = """
import multiprocessing, multiprocessing.heap, os, signal
import numpy as np
from minidiff import RNG, functional as F
from minidiff.nn import Linear
from minidiff.training import workers as W

def squared_error(model, x, y):
    return F.mse_loss(model(x), y), os.getpid()

def main():
    W._context, W.SHARED_MEMORY = multiprocessing.get_context("spawn"), "/no/such/folder"
    multiprocessing.heap.Arena._dir_candidates = []
    for name in ("sched_getaffinity", "register_at_fork"):
        vars(os).pop(name, None)
    vars(signal).pop("SIGHUP", None)
    layer, batch = Linear(3, 2, rng=RNG(0)), {"x": RNG(1).normal((12, 3)), "y": RNG(2).normal((12, 2))}
    with W.Workers(layer, 1) as alone:
        loss, expected, _ = alone.loss_and_gradients(squared_error, batch)
    with W.Workers(layer, 2) as both:
        for _ in range(2):
            shared_loss, found, pids = both.loss_and_gradients(squared_error, batch)
    assert len(set(pids)) == 2 and not both.lost
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-6)
    print("the same gradients")

if __name__ == "__main__":
    main()
"""


def test_processes_that_are_spawned_share_a_batch_without_dev_shm(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)}
    result = subprocess.run([sys.executable, tmp_path / "program.py"], capture_output=True, text=True, timeout=120, env=environment)
    assert result.stdout == "the same gradients\n", result.stderr


def test_without_a_list_of_cores_the_machine_s_are_taken(monkeypatch, tmp_path):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    monkeypatch.setattr(cores, "CGROUPS", tmp_path)  # no control groups either
    assert cores.available_cores() == 3
    monkeypatch.setattr(os, "cpu_count", lambda: None)  # as its documentation allows
    assert cores.available_cores() == 1


def test_without_locks_a_folder_is_used_all_the_same(monkeypatch, tmp_path):
    monkeypatch.setattr(lock, "fcntl", None)
    with lock.only_run_in(tmp_path), lock.only_run_in(tmp_path):
        pass


def test_without_sighup_an_interrupt_is_delayed(monkeypatch):
    monkeypatch.delattr(signal, "SIGHUP", raising=False)
    with delayed_interrupt() as interrupted:
        signal.raise_signal(signal.SIGINT)
        assert interrupted.number == signal.SIGINT
