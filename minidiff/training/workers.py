"""Processes that share a batch.

Every layer treats each image by itself, so this needs nothing from the operations: each process
runs forward and backward on its slice, and the gradients are averaged.
Processes and not threads: NumPy lets go of the interpreter lock in its array work, but between two
calls a thread waits for the lock, and a U-Net on 28x28 images makes thousands of short calls. A
step took 0.60 to 0.69 of the time that two threads need.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import warnings
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minidiff.engine.backend import array_module
from minidiff.engine.checks import is_int
from minidiff.engine.random import RNG, layers_draw_from
from minidiff.engine.tensor import gradients
from minidiff.nn import Module
from minidiff.training.allocator import keep_freed_memory
from minidiff.training.context import current_context
from minidiff.training.cores import available_cores, default_count
from minidiff.training.processes import (
    Failure,
    OtherProcess,
    SharedArrays,
    WorkerLost,
    forks,
    packed,
    shared_size,
)  # fmt: skip

__all__ = ["WorkerLost", "Workers", "available_cores", "default_count", "joined", "slices"]

SMALLEST_SLICE = 4  # images; below, handing them over costs more than it saves
MOST = 256  # processes
SHARED_MEMORY = "/dev/shm"
Arrays = Mapping[str, Any]


class Workers:
    """`count` processes with a copy of `model` each. The first of them is the caller's own.

        with Workers(model, 2) as workers: ...      # inside, BLAS uses one thread per process

    Each process keeps the memory that it frees for its next step (allocator.py), also afterwards.
    count: None takes one per core, at most 8, and 1 under a debugger. 1 runs everything in the
    caller's process, where a debugger can follow. A model on a GPU has one. A function that is
    given to `map` must be importable, so not a lambda. Before each call the others get the model's
    present parameters, and what the caller has set: detect_anomaly, use_kernels, no_grad, TF32.
    lost: says which process was lost, if one was. From then on the caller does all the work.
    leads: whether this process writes the files of a run.

    Raises: ValueError if count is not in 1..256; TypeError if it is no int.
    """

    def __init__(self, model: Module, count: int | None = None):
        if count is not None and not is_int(count):
            raise TypeError(f"Workers: count must be an int in 1..{MOST}, got {count!r}")
        if count is not None and not 1 <= count <= MOST:
            wanted = "at least 1" if count < 1 else f"at most {MOST}"
            raise ValueError(f"Workers: count must be {wanted}, got {count}")
        on_cpu = next(model.parameters()).device == "cpu"
        self.model = model
        self.count = (count or default_count()) if on_cpu else 1
        self.lost = ""
        self.leads = True
        self._others: list[OtherProcess] = []
        self._limit: Any = None

    def __enter__(self) -> Workers:
        keep_freed_memory()
        if self.count > 1 and _room_is_short(self.count, self.model):
            self.count = 1
        if self.count > 1:
            from threadpoolctl import ThreadpoolController  # here: a browser has none

            self._limit = ThreadpoolController().limit(limits=1, user_api="blas")
            weakref.finalize(self, _stop, self._others)  # at the latest when the program ends
            try:
                self._parameters = SharedArrays(self.model.state_dict(), _context)
                for _ in range(self.count - 1):
                    self._others.append(OtherProcess(self.model, self._parameters, _context))
                for other in [] if forks(_context) else self._others:
                    other.wait_until_ready()
            except BaseException:
                self.__exit__()
                raise
        return self

    def __exit__(self, *exception: Any) -> None:
        _stop(self._others)
        if self._limit is not None:
            self._limit.restore_original_limits()
            self._limit = None

    # -- what a process that is one of several ranks does otherwise: distributed.py ----------------

    def own(self, batch: dict[str, Any]) -> dict[str, Any]:
        """The part of a batch that this process answers for: all of it."""
        return batch

    def begin(self, trainer: Any) -> None:
        """Called once, before the first step."""

    def agree(self, seconds: float, finished: bool, status: int) -> tuple[float, bool, int]:
        """What all processes go by after a step: the clock, whether it was the last, a status."""
        return seconds, finished, status

    def on_signal(self, number: int) -> None:
        """Called when a signal came, before the step is finished."""

    # -- the work ----------------------------------------------------------------------------------

    def map(self, function: Callable[..., Any], arrays: Arrays, **options: Any) -> list[Any]:
        """function(model, **slices of the arrays, **options) in each process.

        arrays: cut along their first axis, of one length. An exception in a process is raised here.
        -> the results, in the order of the slices
        """
        return self._run(_call, function, arrays, options)

    def loss_and_gradients(
        self,
        function: Callable[..., tuple[Any, Any]],
        arrays: Arrays,
        seed: int = 0,
        **options: Any,
    ) -> tuple[Any, dict[str, Any], list[Any]]:
        """A mean loss over a batch and its gradients.

        function: as for `map`. It returns the mean loss over its slice, and a rest. The mean over
        the batch is that of the slices' means, weighted by their sizes, and so are the gradients.
        Layers that drop out draw from RNG(seed + number of slice).
        -> loss (0-d array), {parameter name: gradient}, [rest of each slice]
        """
        options = {**options, "seed": seed}
        try:
            results = self._run(gradients_of_slice, function, arrays, options)
        except WorkerLost as error:  # the same slices again, all in this process: the same numbers
            warnings.warn(f"{error}; the work goes on in one process", stacklevel=2)
            results = self._run(gradients_of_slice, function, arrays, options)
        loss, total, rest = results[0]
        # always in the same order, so that a run repeats to the bit
        for other_loss, other_gradients, _ in results[1:]:
            loss = loss + other_loss
            for name, gradient in other_gradients.items():
                total[name] = total[name] + gradient
        return loss, total, [rest for _, _, rest in results]

    def _run(
        self, task: Callable, function: Callable, arrays: Arrays, options: dict[str, Any]
    ) -> list[Any]:
        n = len(next(iter(arrays.values())))
        parts = slices(n, max(1, min(len(self._others) + 1, n // SMALLEST_SLICE)))
        shares = [{name: array[part] for name, array in arrays.items()} for part in parts]
        busy = [] if self.lost else self._others[: len(parts) - 1]
        own = range(len(parts)) if self.lost else range(1)
        facts = (options, self.model.training, current_context())
        messages = [
            packed(task, task is gradients_of_slice, i, n, function, share, *facts)
            for i, share in list(enumerate(shares))[1 : len(busy) + 1]
        ]
        if busy:
            self._parameters.write(self.model.state_dict())
        try:
            for other, message in zip(busy, messages, strict=True):
                other.start(message)
            try:
                first = [task(self.model, None, i, n, function, shares[i], options) for i in own]
            finally:
                # also after an error here: nobody may be left with an unread answer
                if not isinstance(sys.exc_info()[1], _NO_ANSWERS):
                    rest = [other.result() for other in busy]
        except _NO_ANSWERS:
            self._give_up("the program was interrupted")
            raise
        for result in rest:
            if isinstance(result, WorkerLost):
                self._give_up(str(result))
                raise result
        for result in rest:
            if isinstance(result, Failure):
                raise result.error from RuntimeError(f"in a worker process:\n{result.text}")
        return first + rest

    def _give_up(self, why: str) -> None:
        """End the other processes. Their number still says how a batch is cut."""
        self.lost = why
        for other in self._others:
            other.lost = other.lost or why
            other.process.kill()


_NO_ANSWERS = (KeyboardInterrupt, SystemExit, GeneratorExit)


def _stop(others: list[OtherProcess]) -> None:
    for other in others:
        other.stop()
    others.clear()


def _room_is_short(count: int, model: Module) -> bool:
    """Whether the shared memory of a system that does not fork is too small; it is then said."""
    if forks(_context) or not hasattr(os, "statvfs") or not os.path.isdir(SHARED_MEMORY):
        return False
    facts = os.statvfs(SHARED_MEMORY)
    free, wanted = facts.f_bavail * facts.f_frsize, 2 * count * shared_size(model.state_dict())
    if free < wanted:
        warnings.warn(
            f"{SHARED_MEMORY} has {free:,} bytes free, {count} processes want {wanted:,}: "
            "the work is done by one process",
            stacklevel=3,
        )
    return free < wanted


def slices(n: int, parts: int) -> list[slice]:
    """0..n-1 in `parts` consecutive slices, as equal as can be."""
    edges = [n * i // parts for i in range(parts + 1)]
    return [slice(a, b) for a, b in zip(edges, edges[1:], strict=False)]

def joined(parts: list[dict[str, Any]], size: int) -> dict[str, Any]:
    """The terms of a batch of `size` images from those of its slices.

    Arrays come one after the other. Single numbers become their mean over all images.
    """
    if len(parts) == 1:
        return parts[0]
    weights = [part.stop - part.start for part in slices(size, len(parts))]
    terms = {}
    for name, first in parts[0].items():
        values = [part[name] for part in parts]
        if first.ndim:
            terms[name] = array_module(first).concatenate(values)
        else:
            terms[name] = np.average(values, weights=weights)
    return terms


def _call(
    model: Module,
    answer: SharedArrays | None,
    index: int,
    n: int,
    function: Callable,
    arrays: Arrays,
    options: dict,
) -> Any:
    return function(model, **arrays, **options)


def gradients_of_slice(
    model: Module,
    answer: SharedArrays | None,
    index: int,
    n: int,
    function: Callable,
    arrays: Arrays,
    options: dict,
) -> Any:
    """(share in the mean loss, gradients by name, rest)

    In another process the gradients go into `answer` instead.
    """
    seed = options["seed"] + index
    options = {name: value for name, value in options.items() if name != "seed"}
    weight = len(next(iter(arrays.values()))) / n
    parameters = {
        name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad
    }
    with layers_draw_from(RNG(seed, next(model.parameters()).device)):
        loss, rest = function(model, **arrays, **options)
    share = array_module(loss.data).full_like(loss.data, weight)
    found = gradients(loss, list(parameters.values()), gradient=share)
    by_name = {
        name: gradient
        for name, gradient in zip(parameters, found, strict=True)
        if gradient is not None
    }
    if answer is not None:
        answer.write(by_name)
        return loss.data * share, list(by_name), rest
    return loss.data * share, by_name, rest


# fork starts at once and needs no pickled model; elsewhere than on Linux it is unsafe
_context: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
