"""The exercises in CUDA: their cases, their definitions, well-known wrong forms and hints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minidiff.classroom.exercises.tables.cases import normal


class KernelExercise(NamedTuple):
    """A kernel of csrc/exercises/ whose body the student writes.

    summary: what it computes; definition: the same in NumPy; cases: matrices, some of whose sizes
    are multiples of nothing; faults: (what it is, text of the right code, text of the wrong one);
    known: numbers that come out of a fault, by what it is
    """

    name: str
    summary: str
    definition: Callable[[Any], Any]
    cases: Callable[[], list[np.ndarray]]
    faults: tuple[tuple[str, str, str], ...]
    known: dict[str, Callable[[Any], Any]]
    hints: tuple[str, ...]
    most_moved: float = 1.5  # bytes that move, in multiples of those that are asked for


def softmax(x: Any) -> Any:
    """exp(x - max) / sum, over the last axis."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def _rows() -> list[np.ndarray]:
    large = normal(3, 2, 150)
    large[1] += 200  # exp of it is more than float32 holds
    return [normal(1, 3, 128), normal(2, 2, 77), large, normal(4, 1, 1000)]


def _matrices() -> list[np.ndarray]:
    return [normal(1, 64, 96), normal(2, 32, 32), normal(3, 45, 70), normal(4, 1, 33)]


def _per_tile(x: Any) -> Any:
    """The squares are at their places, but each is not turned."""
    rows, columns = x.shape
    y = np.full((columns, rows), np.nan)
    for i in range(0, rows, 32):
        for j in range(0, columns, 32):
            square = x[i : i + 32, j : j + 32]
            if square.shape == (32, 32):
                y[j : j + 32, i : i + 32] = square
    return y


def _own_sums(x: Any) -> Any:
    """Each number divided by what its thread alone has added up, of 128 threads."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    thread = np.arange(x.shape[1]) % 128
    return e / np.stack([e[:, thread == t].sum(axis=1) for t in thread], axis=1)


_BARRIER = "__syncthreads();  // the square is complete"

KERNEL_EXERCISES = {
    e.name: e
    for e in (
        KernelExercise(
            "transpose_tile", "y[j, i] = x[i, j] through a tile in shared memory",
            lambda x: x.T, _matrices,
            (
                ("no barrier", _BARRIER, ""),
                ("x beyond its edge", "if (from_row < rows && from_column < columns) tile", "tile"),
                ("y beyond its edge", "if (to_row < columns && to_column < rows) y", "y"),
                ("each square is not turned", "= tile[threadIdx.x][threadIdx.y]",
                 "= tile[threadIdx.y][threadIdx.x]"),
                ("without the tile: every lane of a warp writes to another sector",
                 "if (to_row < columns && to_column < rows) y[size_t(to_row) * rows + to_column] = "
                 "tile[threadIdx.x][threadIdx.y];",
                 "if (from_row < rows && from_column < columns) "
                 "y[size_t(from_column) * rows + from_row] = tile[threadIdx.y][threadIdx.x];"),
            ),
            {"each square is not turned": _per_tile,
             "the numbers are copied, not turned": lambda x: x.reshape(x.shape[::-1])},
            ("Two steps with a barrier between: everybody reads one number of x into the tile, "
             "then everybody writes one number of y out of it.",
             "The block at (blockIdx.x, blockIdx.y) reads the square at row blockIdx.y * TILE, and "
             "writes the one at row blockIdx.x * TILE.",
             "Neighbours in threadIdx.x must be neighbours in memory, when reading and when "
             "writing. So only the tile is read across. Both steps need their own bounds.",
             "tile[TILE][TILE + 1] keeps a column out of one bank."),
        ),
        KernelExercise(
            "softmax_row", "y = exp(x - max) / sum of exp(x - max), a block for each row",
            softmax, _rows,
            (
                ("the largest is not subtracted", "largest = partial[0];", "largest = 0;"),
                ("every thread has its own sum", "expf(x[j] - largest) / partial[0]",
                 "expf(x[j] - largest) / sum"),
                ("only as many columns as threads",
                 "for (int j = threadIdx.x; j < columns; j += THREADS) y[j]",
                 "if (int j = threadIdx.x; j < columns) y[j]"),
                ("no barrier before the memory is used again",
                 "__syncthreads();  // everybody has read it", ""),
                ("no barrier after the sums", "__syncthreads();  // all sums are there", ""),
                ("columns beyond the last", "for (int j = threadIdx.x; j < columns; j += THREADS) "
                 "largest", "for (int j = threadIdx.x; j < columns + THREADS; j += THREADS) "
                 "largest"),
                ("not divided by the sum", " / partial[0]", ""),
            ),
            {"not divided by the sum": lambda x: np.exp(x - x.max(axis=-1, keepdims=True)),
             "every thread has its own sum": _own_sums},
            ("Three passes over the row: the largest, the sum, the result. In each, thread t takes "
             "the columns t, t + THREADS, ...",
             "What the threads found must be joined: each writes to its place of a shared array, "
             "then half of them take two numbers each, then a quarter, and so on.",
             "__syncthreads() stands behind every line that writes what another thread reads, and "
             "outside of every if.",
             "The same shared array serves twice if a barrier stands between the last reading of "
             "the maximum and the first writing of a sum."),
        ),
    )
}  # fmt: skip
