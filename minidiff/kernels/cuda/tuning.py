"""The fastest plan, found by trying instead of by the model of plan.py.

If it is switched on, this happens on a GPU at the first call of each convolution. Each plan adds in
another order, so the choice shows in the last bits of a result: two runs need not agree to the last
bit then.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from minidiff.engine.backend import is_recording_a_graph
from minidiff.kernels.cuda.plan import Plan

ROUNDS = 3  # of which the fastest counts
# Launches of a round, as one CUDA graph: a small kernel runs faster than Python can launch it.
LAUNCHES = 10
# Of the time of the model's choice: what takes more is within the noise, and the choice stays.
WORTH = 0.95

_on = False
_times: dict[Hashable, dict[Plan, float]] = {}  # of each convolution that was tuned, in seconds


def tune_plans(on: bool = True) -> None:
    """Try out tiles and splits for each convolution that is new: some milliseconds, once.

    Off at the start, so that runs repeat exactly.
    """
    global _on
    _on = bool(on)


def plans_are_tuned() -> bool:
    return _on


def tuned() -> dict[Hashable, dict[Plan, float]]:
    """The seconds of each plan tried, the model's choice first, for each convolution."""
    return {key: dict(times) for key, times in _times.items()}


def fastest(
    xp: Any, key: Hashable, candidates: tuple[Plan, ...], launch: Callable[[Plan], None]
) -> Plan:
    """The candidate that takes least time, or the first one if no other is clearly faster.

    The first one is the model's. While a graph is recorded nothing can be timed: then it is the
    first one, if none was timed before.
    """
    if key not in _times:
        if is_recording_a_graph(xp):
            return candidates[0]
        _times[key] = {plan: seconds(xp, plan, launch) for plan in candidates}
    times = _times[key]
    best, first = min(times, key=times.__getitem__), next(iter(times))
    return best if times[best] < WORTH * times[first] else first


def seconds(xp: Any, plan: Plan, launch: Callable[[Plan], None]) -> float:
    """Of one launch, by events on the device."""
    start, end = xp.cuda.Event(), xp.cuda.Event()
    launch(plan)  # loads the kernel, which no recording may do
    pool = xp.cuda.MemoryPool()  # for the parts of the sums; it lives as long as the graph
    graph = recorded(xp, pool, lambda: launch(plan))
    rounds = []
    for _ in range(ROUNDS + 1):  # the first one warms up
        start.record()
        graph.launch()
        end.record()
        end.synchronize()
        rounds.append(xp.cuda.get_elapsed_time(start, end) / 1e3 / LAUNCHES)
    return min(rounds[1:])


def recorded(xp: Any, pool: Any, launch: Callable[[], None]) -> Any:
    """LAUNCHES of it as a CUDA graph."""
    stream = xp.cuda.Stream(non_blocking=True)
    with xp.cuda.using_allocator(pool.malloc), stream:
        stream.begin_capture()
        try:
            for _ in range(LAUNCHES):
                launch()
        finally:
            graph = stream.end_capture()
    return graph
