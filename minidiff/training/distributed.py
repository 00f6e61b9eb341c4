"""Ranks that share a batch: data-parallel training by MPI, on one machine or on many.

    mpirun -n 4 python examples/train_mnist_ddpm.py --distributed

Every rank runs the same program. In each step

1. it draws the batch that all others draw: images, t and eps, from a generator in the same state;
2. it takes the gradient of the loss over its own slice of the batch;
3. it adds that to the gradients of the others, by one Allreduce of one vector;
4. it takes the step of the optimiser that all others take.

So no image and no parameter is ever sent. Rank 0 leads: it alone writes files, draws samples and
reads the clock. On GPUs the vector goes by NCCL, everything else by MPI.
Processes on one machine that share their memory are simpler: workers.py.
"""

from __future__ import annotations

import hashlib
import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minidiff.engine.backend import to_cpu
from minidiff.nn import Module
from minidiff.optim.flat import Flat
from minidiff.training.cores import available_cores
from minidiff.training.workers import Arrays, WorkerLost, Workers, gradients_of_slice, slices

PATIENCE = 600.0  # seconds; a preview of rank 0 takes less
CHECK_STEPS = 500  # from one comparison of the parameters to the next
LOOKS = 200  # at an Allreduce, until the clock is read: it moves on only while it is looked at
# what ranks must share before their first step, as a checkpoint describes it
ALIKE = ("step", "model", "optimizer", "rng", "loader", "dataset", "schedule", "prediction", "ema")


class RankLost(WorkerLost):
    """Another rank ended, or did not answer.    status: the exit status of a program"""

    def __init__(self, why: str, status: int = 1):
        super().__init__(why)
        self.status = status


class Ranks(Workers):
    """The processes that `mpirun` started. Each gives its slice of a batch to the gradient.

        with Ranks(model) as ranks: run(trainer, out, ranks, settings)

    It stands where `Workers` does. `map` works in this process alone, since rank 0 alone evaluates.
    communicator: of mpi4py, by default that of all processes. patience: seconds that the other
    ranks have for one step. Inside, BLAS has the cores of this machine divided by its ranks.

    Raises: RuntimeError without mpi4py.
    """

    def __init__(self, model: Module, communicator: Any = None, patience: float = PATIENCE):
        super().__init__(model, 1)
        self.communicator = world() if communicator is None else communicator
        self.rank, self.size = self.communicator.Get_rank(), self.communicator.Get_size()
        self.leads, self.patience = self.rank == 0, patience
        self.bytes = 0  # of gradients and loss, in the last step
        self._steps = 0
        self._working = self._told_to_end = False
        self._nccl: NCCL | None = None

    def __enter__(self) -> Ranks:
        super().__enter__()
        from threadpoolctl import ThreadpoolController

        threads = max(1, available_cores() // ranks_on_this_machine(self.communicator).Get_size())
        self._limit = ThreadpoolController().limit(limits=threads, user_api="blas")
        if next(self.model.parameters()).device != "cpu":
            self._nccl = NCCL(self.communicator)
        return self

    def loss_and_gradients(
        self, function: Callable[..., tuple[Any, Any]], arrays: Arrays, seed: int = 0,
        **options: Any,
    ) -> tuple[Any, dict[str, Any], list[Any]]:  # fmt: skip
        """The mean loss over the whole batch and its gradients; `Workers` says more.

        arrays: of the whole batch. Layers that drop out draw from RNG(seed + rank).
        -> loss (0-d array), {parameter name: gradient}, [rest of this rank's slice]

        Raises: RankLost if another rank ended; ValueError if there are more ranks than images.
        """
        n = len(next(iter(arrays.values())))
        options = {**options, "seed": seed}
        with self._together():
            loss, gradients, rest = gradients_of_slice(
                self.model, None, self.rank, n, function, self.own(dict(arrays)), options
            )
            vector = Flat({**gradients, "": loss.reshape(1)})  # "": no parameter has this name
            self._sum(vector.whole)
            if self._steps % CHECK_STEPS == 1:  # the first time after one update
                self._check_alike({"parameters": digest_of(self.model)})
            self._steps += 1
        total = {name: vector[name] for name in gradients}
        return vector[""].reshape(()), total, [rest]

    def own(self, batch: dict[str, Any]) -> dict[str, Any]:
        """This rank's slice of a batch.

        Raises: ValueError if there are more ranks than images.
        """
        n = len(next(iter(batch.values())))
        if n < self.size:
            raise ValueError(
                f"Ranks: a batch of {n} images can't be shared by {self.size} ranks: wanted at "
                "least one image for each"
            )
        part = slices(n, self.size)[self.rank]
        return {name: array[part] for name, array in batch.items()}

    def begin(self, trainer: Any) -> None:
        """Compare what all ranks must share before the first step.

        Raises: ValueError, which names what differs or why the trainer can't be shared.
        """
        if trainer.needs_whole_batch:
            raise ValueError(
                "Ranks: this trainer looks at all images of a batch after each update (a codebook "
                "does), and a rank has only its slice: train it by Workers"
            )
        if getattr(trainer, "recorded", None) is not None:
            raise ValueError("Ranks: a step that is recorded as a CUDA graph can't be shared")
        facts = trainer.description()
        alike = {name: repr(facts.get(name)).encode() for name in ALIKE}
        with self._together():
            self._check_alike(alike | {"parameters": digest_of(self.model)})

    def agree(self, seconds: float, finished: bool, status: int) -> tuple[float, bool, int]:
        """What holds for all: rank 0's clock and end, and the status of any that has to end."""
        numbers = np.array([self.leads * seconds, self.leads * finished, status], np.float64)
        with self._together():
            self._all(numbers, "MAX")
        return float(numbers[0]), bool(numbers[1]), int(numbers[2])

    def on_signal(self, number: int) -> None:
        """End at once at SIGTERM, which mpirun sends when a rank was lost, before it kills."""
        if number == signal.SIGTERM and self.size > 1:
            self._told_to_end = True
            if self._working:
                self._end_if_told()

    # -- the messages ------------------------------------------------------------------------------

    def _sum(self, vector: Any) -> None:
        """Replace the vector by its sum over all ranks."""
        self.bytes = vector.nbytes
        if self._nccl is not None:
            self._wait(self._nccl.sum(vector))
        else:
            self._all(vector, "SUM")

    def _all(self, numbers: np.ndarray, operation: str) -> None:
        """Replace the array by its sum or maximum over all ranks, element by element."""
        from mpi4py import MPI

        try:
            operation = getattr(MPI, operation)
            self._wait(self.communicator.Iallreduce(MPI.IN_PLACE, numbers, operation).Test)
        except MPI.Exception as error:
            raise self._lost(f"another rank was lost ({error})") from error

    def _wait(self, done: Callable[[], bool]) -> None:
        """Wait for the others. A signal is seen meanwhile, as it is not in MPI's own waiting."""
        start = time.monotonic()
        while not any(done() for _ in range(LOOKS)):
            waited = time.monotonic() - start
            if waited > self.patience:
                raise self._lost(f"another rank did not answer for {self.patience:g} seconds")
            time.sleep(0 if waited < 1 else 1e-3)  # rank 0 may be drawing a preview: leave the core

    def _check_alike(self, facts: Mapping[str, bytes]) -> None:
        digests = [hashlib.sha256(fact).digest()[:8] for fact in facts.values()]
        mine = np.array([np.frombuffer(digest, np.uint64)[0] for digest in digests])
        numbers = np.stack([mine, ~mine])  # the largest complement is that of the smallest number
        self._all(numbers, "MAX")
        wrong = [name for name, a, b in zip(facts, *numbers, strict=True) if a != ~b]
        if wrong:
            raise ValueError(
                f"Ranks: after {self._steps} steps the ranks differ in their {', '.join(wrong)}: "
                "all need the same command, the same data and the same versions"
            )

    def _together(self) -> _Working:
        return _Working(self)

    def _end_if_told(self) -> None:
        if self._told_to_end:
            name = "SIGTERM, which mpirun sends when a rank was lost"
            raise self._lost(f"by {name}", 128 + signal.SIGTERM)

    def _lost(self, why: str, status: int = 1) -> RankLost:
        self.lost = self.lost or why
        if self._nccl is not None:
            self._nccl.abort()
        return RankLost(why, status)


class _Working:
    """Inside, SIGTERM raises RankLost. Outside the optimiser is at work, which must not stop."""

    def __init__(self, ranks: Ranks):
        self.ranks = ranks

    def __enter__(self) -> None:
        self.ranks._working = True
        self.ranks._end_if_told()

    def __exit__(self, *exception: Any) -> None:
        self.ranks._working = False


class NCCL:
    """Sums vectors of several GPUs, one for each rank, as `cupy.cuda.nccl` describes it."""

    def __init__(self, communicator: Any):
        import cupy
        from cupy.cuda import nccl

        self.cupy, self.nccl = cupy, nccl
        leads = communicator.Get_rank() == 0
        name = communicator.bcast(nccl.get_unique_id() if leads else None)
        ranks = communicator.Get_size(), name, communicator.Get_rank()
        self.communicator = nccl.NcclCommunicator(*ranks)

    def sum(self, vector: Any) -> Callable[[], bool]:
        """Begin to replace the vector by its sum.    -> a function: whether that is done"""
        place, stream = vector.data.ptr, self.cupy.cuda.get_current_stream()
        kind = {"f": self.nccl.NCCL_FLOAT32, "d": self.nccl.NCCL_FLOAT64}[vector.dtype.char]
        how = (vector.size, kind, self.nccl.NCCL_SUM, stream.ptr)
        self.communicator.allReduce(place, place, *how)
        event = self.cupy.cuda.Event(disable_timing=True)
        event.record(stream)
        return lambda: event.done

    def abort(self) -> None:
        """Let go of kernels that wait for a rank that is lost: the GPU is free again."""
        self.communicator.abort()


def world() -> Any:
    """The communicator of all processes that mpirun started.

    Raises: RuntimeError, which says what is missing.
    """
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # RuntimeError: mpi4py without an MPI library
        raise RuntimeError(
            "training on several ranks needs mpi4py and an MPI library: pip install "
            f"'minidiff[mpi]', or mpi4py beside the MPI of this machine ({error})"
        ) from error
    return MPI.COMM_WORLD


def ranks_on_this_machine(communicator: Any) -> Any:
    """The communicator of the ranks that share this machine's memory."""
    from mpi4py import MPI

    return communicator.Split_type(MPI.COMM_TYPE_SHARED)


def digest_of(model: Module) -> bytes:
    """A few bytes that are equal if all parameters are, to the bit."""
    digest = hashlib.sha256()
    for array in model.state_dict().values():
        digest.update(np.ascontiguousarray(to_cpu(array)).tobytes())
    return digest.digest()


def leave_by_abort(communicator: Any, status: int) -> None:
    """End all ranks: MPI's own farewell would wait for those that are lost or still at work."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    communicator.Abort(status)
