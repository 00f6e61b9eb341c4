"""How the GPU benchmark measures: the same way for both libraries, by events on the device.

Calls are recorded into a CUDA graph where that is possible, so that what is timed is the GPU's work and not Python's launches; a cell of
the report says so where it was not. The input arrays take turns, so that small ones are not always in the cache.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

SAMPLES = 7  # of which the median counts
CALLS = 12  # in a graph, at least
SECONDS = 0.004  # of work in a sample, if the calls are short
CACHE = 100 * 2**20  # bytes: input sets are made until they fill this, at most SETS
SETS = 6
SLOW = 0.02  # seconds: a call that takes longer is measured alone, and not SAMPLES times


class Time(NamedTuple):
    """seconds: of one call, the median; spread: (largest - smallest) / median of the samples; graph: whether a CUDA graph was timed;
    reason: why not."""

    seconds: float
    spread: float
    graph: bool
    reason: str


def sets_for(bytes_per_set: int) -> int:
    """How many sets of inputs should take turns."""
    return max(1, min(SETS, CACHE // max(bytes_per_set, 1)))


def measure(library: Any, calls: list[Callable[[], Any]], seconds: float = SECONDS) -> Time:
    """The time of one call, the calls taking turns.    library: Ours or Theirs."""
    calls[0]()  # compile, choose algorithms
    library.synchronize()
    start = time.perf_counter()
    calls[0]()
    library.synchronize()
    rough = max(time.perf_counter() - start, 1e-6)
    if rough > SLOW:
        calls = calls[:1]
    for call in calls[1:]:
        call()
    rounds = 1 if rough * len(calls) > seconds else -(-CALLS // len(calls))
    graph = library.record(calls * rounds)
    count = len(calls) * rounds
    launch = graph if graph is not None else lambda: [call() for call in calls * rounds]
    launch()
    repeats = max(1, min(20, int(seconds / (rough * count))))
    times = SAMPLES if rough * count < 0.03 else 3 if rough * count < 0.3 else 1
    samples = [library.elapsed(launch, repeats) / (repeats * count) for _ in range(times)]
    middle = statistics.median(samples)
    return Time(middle, (max(samples) - min(samples)) / max(middle, 1e-12), graph is not None, "" if graph else library.reason)


class Ours:
    """CuPy and the kernels of csrc."""

    name = "minidiff"

    def __init__(self) -> None:
        import cupy

        self.cupy = cupy
        self.kept: list[Any] = []
        self.reason = ""  # why the last recording failed

    def synchronize(self) -> None:
        self.cupy.cuda.Device().synchronize()

    def record(self, calls: list[Callable[[], Any]]) -> Callable[[], Any] | None:
        """One function that makes all the calls, as a CUDA graph; None if they can't be recorded."""
        cuda = self.cupy.cuda
        pool, stream = cuda.MemoryPool(), cuda.Stream(non_blocking=True)
        graph, self.reason = None, ""
        with cuda.using_allocator(pool.malloc), stream:
            stream.begin_capture()
            try:
                for call in calls:
                    call()
            except Exception as problem:  # CuPy says in many ways that it can't
                self.reason = f"{type(problem).__name__}: {problem}"[:300]
            try:
                graph = stream.end_capture()
            except Exception as problem:
                self.reason = self.reason or f"{type(problem).__name__}: {problem}"[:300]
        self.kept = [] if self.reason else [pool, graph]
        return None if self.reason or graph is None else graph.launch

    def elapsed(self, launch: Callable[[], Any], repeats: int) -> float:
        """Seconds between two events around `repeats` launches."""
        start, end = self.cupy.cuda.Event(), self.cupy.cuda.Event()
        start.record()
        for _ in range(repeats):
            launch()
        end.record()
        end.synchronize()
        return self.cupy.cuda.get_elapsed_time(start, end) / 1e3

    def array(self, values: Any) -> Any:
        return self.cupy.asarray(values)

    def numpy(self, array: Any) -> Any:
        return self.cupy.asnumpy(array)


class Theirs:
    """PyTorch. Without a GPU (a dry run) on the CPU, by the clock."""

    name = "PyTorch"

    def __init__(self) -> None:
        import torch

        self.torch = torch
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.backends.cudnn.benchmark = True
        self.reason = ""  # why the last recording failed
        self.allow_tf32(False)

    def allow_tf32(self, allowed: bool) -> None:
        self.torch.backends.cudnn.allow_tf32 = allowed
        self.torch.backends.cuda.matmul.allow_tf32 = allowed

    def synchronize(self) -> None:
        if self.device == "cuda":
            self.torch.cuda.synchronize()

    def record(self, calls: list[Callable[[], Any]]) -> Callable[[], Any] | None:
        if self.device == "cpu":
            return None
        torch = self.torch
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for call in calls[: len(set(map(id, calls)))]:
                call()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                for call in calls:
                    call()
        except Exception as problem:  # some operations can't be recorded
            torch.cuda.synchronize()
            self.reason = f"{type(problem).__name__}: {problem}"[:300]
            return None
        return graph.replay

    def elapsed(self, launch: Callable[[], Any], repeats: int) -> float:
        if self.device == "cpu":
            begin = time.perf_counter()
            for _ in range(repeats):
                launch()
            return time.perf_counter() - begin
        start, end = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(repeats):
            launch()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1e3

    def array(self, values: Any) -> Any:
        return self.torch.as_tensor(values, device=self.device)

    def numpy(self, tensor: Any) -> Any:
        return tensor.detach().cpu().numpy()


class Ceilings(NamedTuple):
    """What this GPU reaches: bytes a second (read plus written), float32 operations a second without and with tensor cores (TF32)."""

    bytes_per_second: float
    flops: float
    flops_tf32: float

    def floor(self, operations: float, moved: float, tf32: bool = False) -> float:
        """Seconds that no program is much faster than."""
        return max(operations / (self.flops_tf32 if tf32 else self.flops), moved / self.bytes_per_second)


def ceilings(theirs: Theirs, small: bool) -> Ceilings:
    """Measured: a large copy, and large products of random matrices."""
    torch, n, size = theirs.torch, 256 if small else 8192, 2**12 if small else 2**28
    source, target = torch.randn(size, device=theirs.device), torch.empty(size, device=theirs.device)
    copied = measure(theirs, [lambda: target.copy_(source)], 0.05)
    a, b, c = (torch.randn(n, n, device=theirs.device) for _ in range(3))
    times = []
    for tf32 in (False, True):
        theirs.allow_tf32(tf32)
        times.append(measure(theirs, [lambda: torch.mm(a, b, out=c)], 0.05).seconds)
    theirs.allow_tf32(False)
    return Ceilings(8 * size / copied.seconds, *(2 * n**3 / t for t in times))
