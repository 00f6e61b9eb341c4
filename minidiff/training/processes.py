"""One worker process, seen from both ends: the memory they share, tasks, answers, and its end."""

from __future__ import annotations

import math
import mmap
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Mapping
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np

from minidiff.nn import Module
from minidiff.training.allocator import keep_freed_memory
from minidiff.training.context import in_context
from minidiff.training.interrupt import ENDINGS

GLANCE = 0.5  # seconds from one look at a process that does not answer to the next
PATIENCE = 8  # looks at a stopped process, until it is given up
IGNORED = ENDINGS  # they reach all processes, but the caller decides

NO_GUARD = """a worker process ended while it started (exit code {}).
Here each worker process begins by importing your program. A program that starts workers
at its top level does that again in each of them. Put what it does into a function, and
call that below a guard, at the end of the file:

    if __name__ == "__main__":
        main()

or take Workers(model, 1), which starts no process."""


class WorkerLost(RuntimeError):
    """A worker process ended before it answered, or was stopped."""


class Failure:
    """An exception on its way to the caller."""

    def __init__(self, error: BaseException):
        self.error, self.text = portable(error), traceback.format_exc()


def portable(error: BaseException) -> BaseException:
    """The exception if it survives pickling, else a RuntimeError with its type and text."""
    try:
        if type(pickle.loads(pickle.dumps(error))) is type(error):
            return error
    except Exception:  # an __init__ with arguments of its own, an attribute such as a file
        pass
    return RuntimeError(f"{type(error).__name__}: {error}")


class SharedArrays:
    """Arrays of given names and shapes in memory that several processes see."""

    def __init__(self, like: Mapping[str, np.ndarray], context: Any):
        self.layout = {name: (array.shape, array.dtype.str) for name, array in like.items()}
        size = shared_size(like)
        # memory without a name needs no /dev/shm, which is small in containers
        self.block: Any = (
            mmap.mmap(-1, max(1, size))
            if forks(context)
            else context.RawArray("B", size)
        )

    def __getstate__(self) -> dict[str, Any]:
        """Without the layout: `wait_until_ready` sends it."""
        return {"block": self.block, "layout": {}}

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        views, start = {}, 0
        for name, (shape, dtype) in self.layout.items():
            views[name] = np.frombuffer(self.block, dtype, math.prod(shape), start).reshape(shape)
            start += -(-views[name].nbytes // 64) * 64
        return views

    def write(self, values: Mapping[str, np.ndarray]) -> None:
        views = self.arrays
        for name, array in values.items():
            views[name][...] = array


def forks(context: Any) -> bool:
    """Whether processes of this context of `multiprocessing` are copies of the caller."""
    return context.get_start_method() == "fork"


def shared_size(like: Mapping[str, np.ndarray]) -> int:
    """The bytes that SharedArrays of these arrays take."""
    return sum(-(-array.nbytes // 64) * 64 for array in like.values())


class OtherProcess:
    """A worker process, seen from the caller's."""

    def __init__(self, model: Module, parameters: SharedArrays, context: Any):
        self.answer = SharedArrays(parameters.arrays, context)
        self.pipe, theirs = context.Pipe()
        # a process that is spawned gets the model later: if it dies at its start, what does not
        # fit into a pipe would never be read, and the caller would wait for ever
        forked = forks(context)
        self.later = None if forked else (model, parameters.layout)
        self.process = context.Process(
            target=_serve,
            args=(theirs, self.pipe, model if forked else None, parameters, self.answer),
            daemon=True,
        )
        self.process.start()
        theirs.close()
        self.lost = ""  # why, if it is

    def wait_until_ready(self) -> None:
        """Wait for a process that was spawned, and give it the model.

        Raises: RuntimeError if the process ends while it starts.
        """
        try:
            self._patiently(self.pipe.recv)
            self._patiently(lambda: self.pipe.send(self.later))
        except (EOFError, OSError):
            self.process.join(5)
            raise RuntimeError(NO_GUARD.format(self.process.exitcode)) from None

    def start(self, message: Any) -> None:
        """Hand over a task that `packed` made. Whether that went well, `result` tells."""
        try:
            self._patiently(lambda: self.pipe.send_bytes(message))
        except OSError:
            self.lost = self.lost or self._how_it_ended()

    def result(self) -> Any:
        """What the task returned, a Failure, or a WorkerLost."""
        if self.lost:
            return WorkerLost(self.lost)
        try:
            shared, result = self._patiently(self.pipe.recv)
        except (EOFError, OSError):
            self.lost = self.lost or self._how_it_ended()
            return WorkerLost(self.lost)
        if not shared:
            return result
        arrays = self.answer.arrays
        loss, names, rest = result
        return loss, {name: arrays[name] for name in names}, rest

    def stop(self) -> None:
        """Let it end, by force if it does not."""
        try:
            if not self.lost and not is_stopped(self.process.pid):
                self.pipe.send(None)
                self.process.join(10)
        except OSError:  # it is gone already
            pass
        self.process.kill()
        self.process.join()
        self.pipe.close()

    def _how_it_ended(self) -> str:
        self.process.join(5)
        code = self.process.exitcode
        if code is not None and code < 0:
            memory = ", perhaps because memory ran out" if -code == 9 else ""
            return f"a worker process was killed by signal {-code}{memory}"
        return f"a worker process ended (exit code {code})"

    def _patiently(self, call: Callable[[], Any]) -> Any:
        """call() in a thread: a process that is stopped would hold the caller for ever.

        Ctrl-C ends the waiting.
        """
        outcome: list[Any] = []

        def work() -> None:
            try:
                outcome.extend((call(), None))
            except BaseException as error:
                outcome.extend((None, error))

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(GLANCE)
        looks = 0
        while thread.is_alive():
            looks = looks + 1 if is_stopped(self.process.pid) else 0
            if looks >= PATIENCE:
                self.lost = "a worker process was stopped and did not go on"
                self.process.kill()
            thread.join(GLANCE)
        value, error = outcome
        if error is not None:
            raise error
        return value


def is_stopped(pid: int) -> bool:
    """Whether a process waits for SIGCONT. Only Linux can tell."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"
    except (OSError, IndexError):
        return False


def packed(*message: Any) -> Any:
    """A task for OtherProcess.start."""
    return ForkingPickler.dumps(message)


def _serve(
    pipe: Any, callers_end: Any, model: Any, parameters: SharedArrays, answer: SharedArrays
) -> None:
    """The life of a worker process: wait for a task, do it, answer.

    It ends when it is told to, or when the caller is gone. model: None if it comes later, after a
    "ready" of this process.
    """
    callers_end.close()
    for name in IGNORED:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    keep_freed_memory()
    if model is None:
        try:
            pipe.send("ready")
            model, parameters.layout = pipe.recv()
        except (EOFError, OSError):  # the caller is gone
            return
        answer.layout = parameters.layout
    shared = parameters.arrays
    for name, parameter in model.named_parameters():
        parameter.assign(shared[name])
    from threadpoolctl import ThreadpoolController  # here: a browser has none

    with ThreadpoolController().limit(limits=1, user_api="blas"):
        try:
            while (message := pipe.recv()) is not None:
                pipe.send_bytes(_answer(message, model, answer))
        except (EOFError, OSError):  # the caller is gone
            return


def _answer(message: tuple[Any, ...], model: Module, answer: SharedArrays) -> Any:
    """Do a task.    -> the pickled answer: whether it lies in the shared arrays, and the rest"""
    task, shared, index, n, function, arrays, options, training, context = message
    try:
        model.train(training)
        with in_context(context):
            result = task(model, answer, index, n, function, arrays, options)
    except Exception as error:
        return ForkingPickler.dumps((False, Failure(error)))
    try:
        return ForkingPickler.dumps((shared, result))
    except Exception as error:
        wrong = TypeError(f"the result of a worker cannot be pickled: {error}")
        return ForkingPickler.dumps((False, Failure(wrong)))
