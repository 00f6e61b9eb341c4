"""What a caller has set reaches every process; and one that is lost, stopped or cannot start does not take the work with it."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import minidiff
from minidiff import functional as F
from minidiff.engine import anomaly, registry, tape
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.kernels import allow_tf32, tf32_is_allowed
from minidiff.nn import Linear
from minidiff.training import cores, workers
from minidiff.training.context import SETTINGS
from minidiff.training.workers import WorkerLost, Workers

X = np.ones((8, 3), np.float32)


def squared_error(model, x):
    return F.mse_loss(model(Tensor(x)), np.zeros((len(x), 2), np.float32)), os.getpid()


def settings(model, x):
    return anomaly._enabled.get(), registry._choice.get().mode, tape._recording.get(), tf32_is_allowed(), np.geterr()["over"]


def pid(model, x):
    return os.getpid()


class Odd(Exception):
    def __init__(self, a, b):
        super().__init__(f"{a} and {b}")


def raise_odd(model, x, caller):
    if os.getpid() != caller:
        raise Odd("this", "that")


def return_odd(model, x, caller):
    return None if os.getpid() == caller else lambda: 0


def test_what_the_caller_has_set_reaches_the_others():
    with Workers(Linear(3, 2), 2) as both:
        before = both.map(settings, {"x": X})
        with minidiff.detect_anomaly(), minidiff.use_kernels("reference"), minidiff.no_grad(), np.errstate(over="raise"):
            allow_tf32()
            try:
                here, there = both.map(settings, {"x": X})
            finally:
                allow_tf32(False)
        assert here == there == (True, "reference", False, True, "raise")
        assert both.map(settings, {"x": X}) == before and before[0] == before[1] != here


def test_no_context_of_the_package_is_forgotten():
    """A new setting must be carried, or be named here with the reason why not."""
    left_out = {
        "use_kernels": "carried by its mode and versions",
        "layers_draw_from": "each slice has its own",
        "module_path": "set by a module that runs", "root_module": "set by a module that runs",
    }  # fmt: skip
    names = set()
    for path in Path(minidiff.__file__).parent.rglob("*.py"):
        names |= set(re.findall(r"(?:ContextVar|\bSetting)(?:\[.*\])?\(\s*\"(\w+)\"", path.read_text()))
    carried = {setting.open.name for setting in SETTINGS.values()}
    assert names - set(left_out) - carried == set()
    assert carried <= names


def test_nan_in_the_others_part_is_found():
    x = X.copy()
    x[6] = np.nan
    with Workers(Linear(3, 2), 2) as both, minidiff.detect_anomaly(), pytest.raises(minidiff.AnomalyError):
        both.loss_and_gradients(squared_error, {"x": x})


def test_exceptions_and_results_that_cannot_be_pickled_are_told():
    with Workers(Linear(3, 2), 2) as both:
        with pytest.raises(RuntimeError, match="Odd: this and that"):
            both.map(raise_odd, {"x": X}, caller=os.getpid())
        with pytest.raises(TypeError, match="the result of a worker cannot be pickled: "):
            both.map(return_odd, {"x": X}, caller=os.getpid())
        assert len(set(both.map(pid, {"x": X}))) == 2


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_lost_process_leaves_the_numbers_as_they_are(number, monkeypatch):
    monkeypatch.setattr("minidiff.training.processes.GLANCE", 0.05)
    model = Linear(3, 2, rng=RNG(0))
    with Workers(model, 2) as both:
        loss, gradients, pids = both.loss_and_gradients(squared_error, {"x": X})
        os.kill(pids[1], number)
        start = time.monotonic()
        with pytest.warns(UserWarning, match="killed by signal 9, perhaps because memory|was stopped"):
            again, same, alone = both.loss_and_gradients(squared_error, {"x": X})
        assert time.monotonic() - start < 5 and both.lost
        assert alone == [os.getpid()] * 2 and again == loss
        np.testing.assert_array_equal(same["weight"], gradients["weight"])


def test_map_tells_of_a_lost_process():
    with Workers(Linear(3, 2), 2) as both:
        os.kill(both.map(pid, {"x": X})[1], signal.SIGKILL)
        with pytest.raises(WorkerLost, match="killed by signal 9"):
            both.map(pid, {"x": X})


def test_signals_to_the_group_leave_the_others_alone():
    with Workers(Linear(3, 2), 2) as both:
        other = both.map(pid, {"x": X})[1]
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            os.kill(other, number)
        assert both.map(pid, {"x": X})[1] == other


@pytest.mark.parametrize("size", [3, 500])  # numbers of a model that a pipe holds at once, and of one that it does not
def test_a_program_without_a_main_guard_is_told_where_processes_are_spawned(tmp_path, size):
    program = tmp_path / "program.py"
    program.write_text(
        "import multiprocessing, numpy as np\nimport minidiff.training.workers as W\nfrom minidiff.nn import Linear\n"
        "W._context = multiprocessing.get_context('spawn')\n"
        f"with W.Workers(Linear({size}, {size}), 2) as both:\n    print('started')\n"
    )
    result = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=60)
    assert result.returncode != 0 and "started" not in result.stdout
    assert "if __name__ == \"__main__\":" in result.stderr and "Workers(model, 1)" in result.stderr


def test_a_quota_of_a_container_bounds_the_number(tmp_path, monkeypatch):
    monkeypatch.setattr(cores, "CGROUPS", tmp_path)
    monkeypatch.setattr(cores, "OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    assert cores.available_cores() == 16
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert cores.available_cores() == 16
    (tmp_path / "cpu.max").write_text("250000 100000\n")
    assert cores.available_cores() == 2
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert cores.available_cores() == 1
    (tmp_path / "cpu.max").unlink()
    (tmp_path / "own").write_text("0::/a/b\n4:cpu,cpuacct:/docker/x\n")
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "cpu.max").write_text("400000 100000\n")
    assert cores.available_cores() == 4
    folder = tmp_path / "cpu" / "docker" / "x"
    folder.mkdir(parents=True)
    (folder / "cpu.cfs_quota_us").write_text("300000\n")
    (folder / "cpu.cfs_period_us").write_text("100000\n")
    assert cores.available_cores() == 3


def test_too_many_processes_are_refused():
    with pytest.raises(ValueError, match="count must be at most 256, got 1000"):
        Workers(Linear(1, 1), 1000)


def test_a_small_shared_memory_leaves_one_process_and_says_so(monkeypatch):
    class Spawning:
        def get_start_method(self):
            return "spawn"

    monkeypatch.setattr(workers, "_context", Spawning())
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((4096, 4096, 16, 0, 0, 0, 0, 0, 0, 255)))
    monkeypatch.setattr(workers, "SHARED_MEMORY", "/")
    with pytest.warns(UserWarning, match="0 bytes free, 2 processes want"), Workers(Linear(3, 2), 2) as alone:
        assert alone.count == 1 and len(alone.map(pid, {"x": X})) == 1
