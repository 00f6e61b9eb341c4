"""Start programs on several ranks, where MPI can be had."""

import functools
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import minidiff

HERE = Path(__file__).resolve().parent
PROGRAM = HERE / "rank_program.py"
# more ranks than cores, as root too, wherever there is room: as Open MPI 4 and 5 read it; MPICH asks for nothing
SETTINGS = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "PRTE_ALLOW_RUN_AS_ROOT": "1",
    "PRTE_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1", "OMPI_MCA_hwloc_base_binding_policy": "none",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe", "PRTE_MCA_hwloc_default_binding_policy": "none",
    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
}  # fmt: skip


@functools.cache
def launcher():
    """(the mpirun that fits mpi4py, "") or (None, why there is none)."""
    if importlib.util.find_spec("mpi4py") is None:
        return None, "mpi4py is not installed (pip install 'minidiff[mpi]')"
    beside = Path(sys.executable).parent / "mpirun"  # that of a wheel; else the system's
    candidates = [str(path) for path in (beside, shutil.which("mpirun")) if path and Path(path).exists()]
    for mpirun in candidates:
        try:
            result = _start(mpirun, 2, ["-c", "from mpi4py import MPI; print('of', MPI.COMM_WORLD.Get_size())"], 60)
        except subprocess.TimeoutExpired:
            continue
        if result.returncode == 0 and result.stdout.count("of 2") == 2:
            return mpirun, ""
    return None, f"no mpirun starts two ranks of mpi4py here (tried {candidates or 'none'})"


def mpirun_or_skip():
    mpirun, reason = launcher()
    if mpirun is None:
        pytest.skip(reason)
    return mpirun


def _start(mpirun, ranks, words, timeout):
    package = Path(minidiff.__file__).resolve().parents[1]
    path = os.pathsep.join([str(package), str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, **SETTINGS, "PYTHONPATH": path}
    command = [mpirun, "-n", str(ranks), sys.executable, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment, stdin=subprocess.DEVNULL)


def on_ranks(ranks, *words, timeout=120):
    """Run `python words...` on so many ranks.    -> its CompletedProcess"""
    return _start(mpirun_or_skip(), ranks, words, timeout)


def do_on_ranks(ranks, what, *words):
    """Run a part of rank_program.py, which must end well."""
    result = on_ranks(ranks, PROGRAM, what, *words)
    assert result.returncode == 0, result.stdout + result.stderr
    return result
