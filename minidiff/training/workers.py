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
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from minidiff.engine import debug
from minidiff.engine.backend import array_module
from minidiff.engine.random import RNG, layers_draw_from
from minidiff.engine.tensor import gradients
from minidiff.nn import Module
from minidiff.training.allocator import keep_freed_memory

SMALLEST_SLICE = 4  # images; below, handing them over costs more than it saves
Arrays = Mapping[str, Any]


def available_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_count() -> int:
    """One for each core, at most 8. Under a debugger 1: two processes at one prompt help nobody."""
    return 1 if debug.attached() else min(available_cores(), 8)


class Workers:
    """`count` processes with a copy of `model` each. The first of them is the caller's own.

        with Workers(model, 2) as workers: ...      # inside, BLAS uses one thread per process

    Each process keeps the memory that it frees for its next step (allocator.py), also afterwards.
    count: None takes one per core, at most 8, and 1 under a debugger. 1 runs everything in the
    caller's process, where a debugger can follow. A model on a GPU has one. A function that is
    given to `map` must be importable, so not a lambda. Before each call the others get the model's
    present parameters.
    """

    def __init__(self, model: Module, count: int | None = None):
        if count is not None and count < 1:
            raise ValueError(f"Workers: count must be at least 1, got {count}")
        on_cpu = next(model.parameters()).device == "cpu"
        self.model = model
        self.count = (count or default_count()) if on_cpu else 1
        self._others: list[_Other] = []
        self._limit: Any = None

    def __enter__(self) -> Workers:
        keep_freed_memory()
        if self.count > 1:
            self._limit = ThreadpoolController().limit(limits=1, user_api="blas")
            self._parameters = SharedArrays(self.model.state_dict())
            self._others = [_Other(self.model, self._parameters) for _ in range(self.count - 1)]
        return self

    def __exit__(self, *exception: Any) -> None:
        for other in self._others:
            other.stop()
        self._others = []
        if self._limit is not None:
            self._limit.restore_original_limits()
            self._limit = None

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
        results = self._run(_gradients, function, arrays, {**options, "seed": seed})
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
        if len(parts) > 1:
            self._parameters.write(self.model.state_dict())
        busy = self._others[: len(parts) - 1]
        for i, other in enumerate(busy, start=1):
            other.start(task, i, n, function, shares[i], options, self.model.training)
        try:
            first = [task(self.model, None, 0, n, function, shares[0], options)]
        finally:
            # also after an error here: nobody may be left with an unread answer
            rest = [other.result() for other in busy]
        for result in rest:
            if isinstance(result, _Failure):
                raise result.error from RuntimeError(f"in a worker process:\n{result.text}")
        return first + rest


def slices(n: int, parts: int) -> list[slice]:
    """0..n-1 in `parts` consecutive slices, as equal as can be."""
    edges = [n * i // parts for i in range(parts + 1)]
    return [slice(a, b) for a, b in zip(edges, edges[1:], strict=False)]


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


def _gradients(
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


class SharedArrays:
    """Arrays of given names and shapes in memory that several processes see."""

    def __init__(self, like: Mapping[str, np.ndarray]):
        self.layout = {name: (array.shape, array.dtype.str) for name, array in like.items()}
        self.block = _context.RawArray(
            "B", sum(-(-array.nbytes // 64) * 64 for array in like.values())
        )

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        views, start = {}, 0
        for name, (shape, dtype) in self.layout.items():
            size = int(np.prod(shape))
            views[name] = np.frombuffer(self.block, dtype, size, start).reshape(shape)
            start += -(-views[name].nbytes // 64) * 64
        return views

    def write(self, values: Mapping[str, np.ndarray]) -> None:
        views = self.arrays
        for name, array in values.items():
            views[name][...] = array


class _Failure:
    """An exception on its way to the caller."""

    def __init__(self, error: BaseException):
        self.error, self.text = error, traceback.format_exc()


class _Other:
    """Another process, seen from the caller's."""

    def __init__(self, model: Module, parameters: SharedArrays):
        self.answer = SharedArrays(parameters.arrays)
        self.pipe, theirs = _context.Pipe()
        self.process = _context.Process(
            target=_serve, args=(theirs, self.pipe, model, parameters, self.answer), daemon=True
        )
        self.process.start()
        theirs.close()

    def start(self, *message: Any) -> None:
        self.pipe.send(message)

    def result(self) -> Any:
        try:
            result = self.pipe.recv()
        except EOFError:
            self.process.join(5)
            return _Failure(
                RuntimeError(f"a worker process ended (exit code {self.process.exitcode})")
            )
        if isinstance(result, tuple) and result[0] == "gradients":
            arrays = self.answer.arrays
            loss, names, rest = result[1]
            return loss, {name: arrays[name] for name in names}, rest
        return result[1] if isinstance(result, tuple) else result

    def stop(self) -> None:
        try:
            self.pipe.send(None)
        except OSError:  # it is gone already
            pass
        self.process.join(10)
        if self.process.is_alive():
            self.process.terminate()


def _serve(
    pipe: Any, callers_end: Any, model: Module, parameters: SharedArrays, answer: SharedArrays
) -> None:
    """The life of another process: wait for a task, do it, answer.

    It ends when it is told to, or when the caller is gone.
    """
    callers_end.close()
    # Ctrl-C reaches every process of a terminal, but the caller decides
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    keep_freed_memory()
    shared = parameters.arrays
    for name, parameter in model.named_parameters():
        parameter.assign(shared[name])
    with ThreadpoolController().limit(limits=1, user_api="blas"):
        while True:
            try:
                message = pipe.recv()
            except (EOFError, OSError):  # the caller is gone
                return
            if message is None:
                return
            task, index, n, function, arrays, options, training = message
            try:
                model.train(training)
                result: Any = (
                    "gradients" if task is _gradients else "result",
                    task(model, answer, index, n, function, arrays, options),
                )
            except Exception as error:
                result = _Failure(error)
            try:
                pipe.send(result)
            except OSError:  # the caller is gone
                return


# fork starts at once and needs no pickled model; elsewhere than on Linux it is unsafe
_context: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
