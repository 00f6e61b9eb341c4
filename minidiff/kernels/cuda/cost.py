"""The cost of emulated kernels, by their threads' accesses: bytes, wavefronts, multiply-adds.

    with minidiff.kernels.count() as costs:
        with minidiff.use_kernels(conv2d="tiled"):
            conv2d(x, weight)
    print(costs)

csrc/emulator/cost.h says how a GPU's warps are told from threads that run one after another.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from minidiff.kernels.cuda.library import checks, load


@dataclass(frozen=True)
class Cost:
    """One launch. All numbers are sums over its threads, warps and blocks."""

    kernel: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    global_read: int  # bytes that the threads asked for
    global_written: int
    sectors_read: int  # bytes that move: whole sectors of 32, once for each access of a warp
    sectors_written: int
    shared_read: int  # bytes
    shared_written: int
    wavefronts: int  # turns of the 32 banks of shared memory
    bank_conflicts: int  # those of them that different banks for each lane would save
    multiply_adds: int
    multiplications: int  # of floats, those of the multiply-adds too
    additions: int
    barriers: int  # __syncthreads() of a block
    warp_steps: int  # pieces of code without branches that a warp went through ...
    lane_steps: int  # ... and its lanes: 32 times as many if no lane ever waits for others

    @property
    def coalescing(self) -> float:
        """The share of the bytes that move which somebody asked for; above 1 where lanes share."""
        moved = self.sectors_read + self.sectors_written
        return (self.global_read + self.global_written) / moved if moved else 1.0

    @property
    def busy_lanes(self) -> float:
        """The share of the lanes that work while their warp does: 1 if no warp diverges."""
        return self.lane_steps / (32 * self.warp_steps) if self.warp_steps else 1.0


class Costs(list[Cost]):
    """The launches in their order; `print` shows them as a table."""

    def __str__(self) -> str:
        columns = {
            "kernel": lambda c: c.kernel,
            "grid": lambda c: "x".join(map(str, c.grid)),
            "block": lambda c: "x".join(map(str, c.block)),
            "bytes read": lambda c: f"{c.sectors_read:,}",
            "written": lambda c: f"{c.sectors_written:,}",
            "coalescing": lambda c: f"{c.coalescing:.0%}",
            "wavefronts": lambda c: f"{c.wavefronts:,}",
            "conflicts": lambda c: f"{c.bank_conflicts:,}",
            "multiply-adds": lambda c: f"{c.multiply_adds:,}",
            "barriers": lambda c: f"{c.barriers:,}",
            "busy lanes": lambda c: f"{c.busy_lanes:.0%}",
        }
        rows = [list(columns), *([show(cost) for show in columns.values()] for cost in self)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
            for row in rows
        )


@contextmanager
def count() -> Iterator[Costs]:
    """Inside the block, the costs of each launch of an emulated kernel are counted.

    The list is full when the block ends. Accesses are checked as in `kernels.checks()`. There are
    no caches: what is read twice counts twice. Multiply-adds are those of the code that g++ made
    for x86-64; elsewhere, and without objdump, only those of tensor cores count.
    Raises: RuntimeError without _kernels_cpu; RuntimeError inside of another count().
    """
    module, reason = load("cpu")
    if module is None:
        raise RuntimeError(f"kernels.count: {reason}")
    if module.set_counting(True):
        raise RuntimeError("kernels.count: it counts already, in a block around this one")
    costs = Costs()
    try:
        with checks():
            yield costs
    finally:
        module.set_counting(False)
        costs += [
            Cost(**{**cost, "grid": tuple(cost["grid"]), "block": tuple(cost["block"])})
            for cost in module.take_costs()
        ]
