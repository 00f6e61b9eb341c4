"""Cut a batch over threads. Every layer treats each image by itself, so this needs nothing from the operations: each thread runs forward and
backward on its slice of the batch, on a tape of its own, and the gradients are added up. NumPy lets go of the interpreter lock in its
array work, so that even elementwise operations and copies run on all cores.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any

from threadpoolctl import ThreadpoolController

from minidiff.backend import array_module
from minidiff.tape import no_grad
from minidiff.tensor import Tensor, gradients

SMALLEST_SLICE = 4  # images; below, a thread costs more than it saves


def available_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Workers:
    """`threads` threads for slices of a batch.    threads: None takes one per core, at most 8; 1 runs everything in the caller's thread,
    where a debugger can follow.

        with Workers(2) as workers: ...        # inside, the BLAS library uses one thread per call
    """

    def __init__(self, threads: int | None = None):
        if threads is not None and threads < 1:
            raise ValueError(f"Workers: threads must be at least 1, got {threads}")
        self.threads = threads or min(available_cores(), 8)
        self._pool: ThreadPoolExecutor | None = None
        self._limit: Any = None

    def __enter__(self) -> Workers:
        if self.threads > 1:
            self._limit = ThreadpoolController().limit(limits=1, user_api="blas")
            self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="minidiff")
        return self

    def __exit__(self, *exception: Any) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            self._limit.restore_original_limits()
            self._pool = self._limit = None

    def map(self, function: Callable[[slice], Any], batch_size: int) -> list[Any]:
        """function(slice) for slices that cut 0..batch_size-1 into equal parts, one per thread.    -> its results, in order."""
        parts = slices(batch_size, max(1, min(self.threads, batch_size // SMALLEST_SLICE)))
        if self._pool is None or len(parts) == 1:
            return [function(part) for part in parts]
        futures = [self._pool.submit(copy_context().run, function, part) for part in parts]  # no_grad, use_kernels ... hold there, too
        return [future.result() for future in futures]


def slices(n: int, parts: int) -> list[slice]:
    """0..n-1 in `parts` consecutive slices, as equal as can be."""
    edges = [n * i // parts for i in range(parts + 1)]
    return [slice(a, b) for a, b in zip(edges, edges[1:], strict=False)]


def loss_and_gradients(
    workers: Workers, loss_of: Callable[[slice], tuple[Tensor, Any]], parameters: dict[str, Tensor], batch_size: int
) -> tuple[Any, dict[str, Any], list[Any]]:
    """A mean loss over a batch and its gradients, computed slice by slice.

    loss_of: slice -> (mean loss over the slice, anything).    -> loss (0-d array), {name: gradient}, [anything of each slice].
    The mean over the batch is the mean of the slices' means, weighted by their sizes; so are the gradients.
    """
    leaves = list(parameters.values())

    def run(part: slice) -> tuple[Any, list[Any], Any]:
        weight = (part.stop - part.start) / batch_size
        loss, rest = loss_of(part)
        seed = array_module(loss.data).full_like(loss.data, weight)
        return loss.data * loss.dtype.type(weight), gradients(loss, leaves, gradient=seed), rest

    results = workers.map(run, batch_size)
    loss = sum(result[0] for result in results[1:]) + results[0][0] if len(results) > 1 else results[0][0]
    total = {}
    for i, name in enumerate(parameters):
        terms = [result[1][i] for result in results if result[1][i] is not None]
        if terms:
            total[name] = terms[0] if len(terms) == 1 else sum_arrays(terms)
    return loss, total, [result[2] for result in results]


def sum_arrays(arrays: Sequence[Any]) -> Any:
    """Their sum, always added in the same order, so that a run repeats to the bit."""
    total = arrays[0] + arrays[1]
    for array in arrays[2:]:
        total += array
    return total


def predictor(model: Callable[..., Tensor], workers: Workers, chunk: int = 64, **condition: Any) -> Callable[[Any, Any], Any]:
    """`model` as the eps_theta(x_t, t) of a sampler: no tape, the batch cut over threads and into chunks that fit the caches.

    condition: further arguments of the model, one entry per image of the batch.    -> (B, ...) arrays from (B, ...) arrays.
    """

    def eps_theta(x_t: Any, t: Any) -> Any:
        def run(part: slice) -> Any:
            pieces = []
            with no_grad():
                for start in range(part.start, part.stop, chunk):
                    piece = slice(start, min(start + chunk, part.stop))
                    pieces.append(model(x_t[piece], t[piece], **{name: value[piece] for name, value in condition.items()}).data)
            return pieces

        pieces = [piece for part in workers.map(run, len(x_t)) for piece in part]
        return pieces[0] if len(pieces) == 1 else array_module(x_t).concatenate(pieces)

    return eps_theta


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Evaluation mode inside, the mode before it again outside."""
    before = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(before)
