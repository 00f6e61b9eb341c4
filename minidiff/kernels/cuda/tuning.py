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

ROUNDS = 2  # of which the faster counts
LAUNCHES = 4  # per round

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
    """The candidate that takes least time.

    While a graph is recorded nothing can be timed: then the first one, if none was timed before.
    """
    if key not in _times:
        if is_recording_a_graph(xp):
            return candidates[0]
        _times[key] = {plan: seconds(xp, plan, launch) for plan in candidates}
    times = _times[key]
    return min(times, key=times.__getitem__)


def seconds(xp: Any, plan: Plan, launch: Callable[[Plan], None]) -> float:
    """Of one launch, by events on the device."""
    start, end = xp.cuda.Event(), xp.cuda.Event()
    launch(plan)
    rounds = []
    for _ in range(ROUNDS):
        start.record()
        for _ in range(LAUNCHES):
            launch(plan)
        end.record()
        end.synchronize()
        rounds.append(xp.cuda.get_elapsed_time(start, end) / 1e3 / LAUNCHES)
    return min(rounds)
