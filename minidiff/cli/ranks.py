"""--distributed: a program as one of the ranks that mpirun started."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from minidiff.cli.options import Options
from minidiff.engine.backend import cupy, use_device
from minidiff.nn import Module
from minidiff.training.distributed import Ranks, leave_by_abort, ranks_on_this_machine, world
from minidiff.training.screen import Screen
from minidiff.training.workers import Workers


def workers(model: Module, options: Options) -> Workers:
    """The processes that share a batch: `Workers`, or with --distributed the `Ranks`."""
    if getattr(options, "distributed", False):
        return Ranks(model)
    return Workers(model, options.workers)


def rank_words(options: Options) -> list[str]:
    """The beginning of a command line that starts as many ranks as there are now."""
    if not getattr(options, "distributed", False):
        return []
    return ["mpirun", "-n", str(world().Get_size())]


@contextmanager
def one_of_ranks(options: Options) -> Iterator[bool]:
    """Be one of the ranks inside, if --distributed is given.    -> whether this one leads

    The others print nothing but errors. --device cuda becomes this rank's own GPU. A rank that
    fails ends all: they would wait for it.

    Raises: RuntimeError without mpi4py.
    """
    if not getattr(options, "distributed", False):
        yield True
        return
    communicator = world()
    leads = communicator.Get_rank() == 0
    if options.device == "cuda":
        here = ranks_on_this_machine(communicator).Get_rank()
        options.device = f"cuda:{here % cupy().cuda.runtime.getDeviceCount()}"
        use_device(options.device)
    screen = sys.stdout
    try:
        if not leads:
            sys.stdout = Screen(None)
        yield leads
    except SystemExit:  # all ranks agreed on it, or see end_early
        raise
    except BaseException:
        atexit.register(leave_by_abort, communicator, 2)
        raise
    finally:
        sys.stdout = screen
