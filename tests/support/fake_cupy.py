"""A module that stands for CuPy on a machine without a GPU, so that the lines which only run there are run by the tests.

Arrays are those of support/strict_arrays.py: they refuse to mix with NumPy, and transfers to and from the host are counted. On top of that:

ElementwiseKernel   the body is compiled by g++ and run in a loop: its C++ is the one that CuPy compiles
kernels of csrc     run emulated
add.at              is refused for floats: CuPy's adds by atomics, so that no two runs are alike
CUDA graphs         calls made while a stream captures are recorded and take no effect, as on a GPU; `launch` runs them again on the
                    same memory. What CuPy refuses during a capture is refused: transfers, cuBLAS, joining more than 8 arrays
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from support.strict_arrays import StrictArray, _given, _StrictModule, _taken, _wrapped

from minidiff.engine import backend
from minidiff.kernels.cuda import library

BLAS = {"matmul", "__matmul__", "dot", "vdot", "tensordot", "einsum"}


class Watcher:
    """Counts transfers, and records what is called while a stream captures."""

    def __init__(self) -> None:
        self.transfers = {"H2D": 0, "D2H": 0}
        self.capture: Graph | None = None

    def transfer(self, what: str, direction: str) -> None:
        if self.capture is not None:
            raise RuntimeError(f"the current stream is capturing, so {direction} transfers are disallowed ({what})")
        self.transfers[direction] += 1

    def before(self, function: Any, args: Any, kwargs: Any) -> None:
        if self.capture is None:
            return
        name = getattr(function, "__name__", "")
        if name in BLAS and not (name != "einsum" and all(np.ndim(a) == 1 for a in args[:2])):  # two vectors: multiplied and summed
            raise NotImplementedError(f"calling cuBLAS API during stream capture is currently unsupported ({name})")
        if name in ("concatenate", "stack") and len(args[0]) > 8:
            raise RuntimeError(f"the current stream is capturing, so H2D transfers are disallowed ({name} of more than 8 arrays)")
        self.capture.keep(arrays_in((args, kwargs)))

    def after(self, function: Any, args: Any, kwargs: Any, result: Any) -> None:
        if self.capture is not None:
            self.capture.calls.append((function, args, kwargs, _given(result)))


class Graph:
    """What was called, to be called again. Everything is undone at the end of the capture: on a GPU nothing has happened then."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, Any, Any, Any]] = []
        self.before: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def keep(self, arrays: list[np.ndarray]) -> None:
        for array in arrays:
            owner = array
            while isinstance(owner.base, np.ndarray):
                owner = owner.base
            self.before.setdefault(id(owner), (owner, owner.copy()))

    def undo(self) -> None:
        for array, values in self.before.values():
            array[...] = values

    def launch(self, stream: Any = None) -> None:
        for function, args, kwargs, result in self.calls:
            again = function(*args, **kwargs)
            for new, old in zip(arrays_in(again, scalars=True), arrays_in(result), strict=False):
                if not np.may_share_memory(new, old):
                    old[...] = new


def arrays_in(value: Any, scalars: bool = False) -> list[np.ndarray]:
    if isinstance(value, np.ndarray) or scalars and isinstance(value, np.generic):
        return [value]
    if isinstance(value, (list, tuple)):
        return [array for item in value for array in arrays_in(item, scalars)]
    if isinstance(value, dict):
        return arrays_in(list(value.values()), scalars)
    return []


class ElementwiseKernel:
    """As CuPy's; parameters are `[raw] dtype name`."""

    def __init__(self, in_params: str, out_params: str, operation: str, name: str = "kernel", preamble: str = "", no_return: bool = False):
        assert re.fullmatch(r"\w+", name)
        self.inputs, self.outputs = ([p.split() for p in params.split(",")] if params.strip() else [] for params in (in_params, out_params))
        assert "i" not in [words[-1] for words in self.inputs + self.outputs]
        self.operation, self.name, self.preamble, self.no_return = operation, name, preamble, no_return

    def __call__(self, *args: Any, size: int | None = None) -> Any:
        assert len(args) == len(self.inputs + self.outputs), f"{self.name}: give the outputs, too"
        parameters, values = self.inputs + self.outputs, list(args)
        whole = [a for (*kind, _, _), a in zip(parameters, args, strict=True) if isinstance(a, StrictArray) and "raw" not in kind]
        assert (size is None) == bool(whole), f"{self.name}: size is given if and only if all arrays are raw"
        shape = np.broadcast_shapes(*(a.shape for a in whole)) if whole else (size,)
        for (*kind, dtype, name), value in zip(parameters, values, strict=True):
            if isinstance(value, StrictArray):
                assert value.dtype == dtype, f"{self.name}: {name} is {value.dtype}, not {dtype}"
                assert value.flags.c_contiguous and (kind or value.shape == shape), f"{self.name}: {name} is not contiguous or broadcast"
            else:
                assert not kind and not isinstance(value, np.ndarray), f"{self.name}: {name} is {type(value).__name__}"
        count = int(np.prod(shape))
        function = self.compiled(tuple(isinstance(value, StrictArray) for value in values))
        types = [dtype for *_, dtype, _ in parameters]

        def run(*given: Any) -> None:
            passed = [
                ctypes.c_void_p(v.ctypes.data) if isinstance(v, np.ndarray) else np.ctypeslib.as_ctypes_type(np.dtype(t))(v)
                for v, t in zip(given, types, strict=True)
            ]
            function(ctypes.c_longlong(count), *passed)

        run.__name__ = self.name
        _wrapped(run)(*values)
        outputs = values[len(self.inputs) :]
        return None if self.no_return else outputs[0] if len(outputs) == 1 else tuple(outputs)

    @functools.cache  # noqa: B019
    def compiled(self, is_array: tuple[bool, ...]) -> Any:
        ctype = {"float32": "float", "float64": "double", "uint32": "unsigned int", "uint64": "unsigned long long", "int64": "long long"}
        declared, elements = [], []
        for number, (*raw, dtype, name) in enumerate(self.inputs + self.outputs):
            if raw:
                declared.append(f"{ctype[dtype]}* {name}")
            elif is_array[number]:
                declared.append(f"{ctype[dtype]}* _raw_{name}")
                elements.append(f"{'const ' if number < len(self.inputs) else ''}{ctype[dtype]}& {name} = _raw_{name}[i];")
            else:
                declared.append(f"const {ctype[dtype]} {name}")
        return compile_cpp(f"""
            #include <cmath>
            using std::sqrt; using std::log; using std::cos; using std::sin;
            #define __device__
            {self.preamble}
            extern "C" void run(long long _n, {", ".join(declared)}) {{
                for (long long i = 0; i < _n; i++) {{ {" ".join(elements)} {self.operation} ; }}
            }}""").run


@functools.cache
def compile_cpp(source: str) -> ctypes.CDLL:
    folder = Path(tempfile.gettempdir()) / f"minidiff-fake-cupy-{hashlib.sha256(source.encode()).hexdigest()[:16]}"
    library = folder / "kernel.so"
    if not library.exists():
        folder.mkdir(exist_ok=True)
        (folder / "kernel.cpp").write_text(source)
        partial = folder / f"{id(source)}.so"
        command = ["g++", "-std=c++17", "-O1", "-shared", "-fPIC", "-Wall", "-Wno-unused", str(folder / "kernel.cpp"), "-o", str(partial)]
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, f"an elementwise kernel does not compile:\n{result.stderr}\n{source}"
        partial.replace(library)
    return ctypes.CDLL(str(library))


class Stream:
    """Streams are one queue here; what counts is which of them captures."""

    current: Stream

    def __init__(self, non_blocking: bool = False, ptr: int = 1):
        self.ptr, self.graph, self.outer = ptr, None, []

    def __enter__(self) -> Stream:
        self.outer.append(Stream.current)
        Stream.current = self
        return self

    def __exit__(self, *exception: Any) -> None:
        Stream.current = self.outer.pop()

    def begin_capture(self, mode: Any = None) -> None:
        assert self.ptr != 0, "cannot capture on the default (legacy) stream"
        self.graph = Graph()
        StrictArray.watcher.capture = self.graph

    def end_capture(self) -> Graph:
        graph, self.graph, StrictArray.watcher.capture = self.graph, None, None
        graph.undo()
        return graph

    def is_capturing(self) -> bool:
        return self.graph is not None

    def record(self, event: Any = None) -> Event:
        return event or Event()

    def wait_event(self, event: Any) -> None:
        assert isinstance(event, Event)

    def synchronize(self) -> None:
        StrictArray.watcher.transfer("synchronize", "D2H")


class Event:
    """A moment, for timing."""

    def __init__(self, disable_timing: bool = False):
        self.time, self.done = 0.0, False

    def record(self, stream: Any = None) -> None:
        self.time, self.done = time.perf_counter(), True

    def synchronize(self) -> None:
        pass


class Device:
    """The one GPU."""

    def __init__(self, number: int = 0):
        if number != 0:
            raise RuntimeError(f"cudaErrorInvalidDevice: invalid device ordinal ({number})")
        self.id, self.compute_capability, self.attributes = 0, "90", {"MultiProcessorCount": 4}

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *exception: Any) -> None:
        pass

    def use(self) -> None:
        pass

    def synchronize(self) -> None:
        StrictArray.watcher.transfer("synchronize", "D2H")


class MemoryPool:
    def malloc(self, size: int) -> None:
        raise NotImplementedError

    def free_all_blocks(self) -> None:
        pass

    def total_bytes(self) -> int:
        return 0


@contextlib.contextmanager
def using_allocator(allocator: Any):
    assert callable(allocator)
    yield


class EmulatedKernels:
    """The module _kernels_cpu, called with arrays of this library."""

    architectures = "90"

    def __init__(self, module: Any):
        self.module = module

    def devices(self) -> tuple[int, int, int]:
        return 1, 13000, 13000

    def __getattr__(self, name: str) -> Any:
        function = getattr(self.module, name)
        return _wrapped(function) if callable(function) else function


def make_module() -> Any:
    """The module, with NumPy's functions on StrictArrays beside what only CuPy has."""
    module = _StrictModule("cupy", np)
    module.__version__ = "fake"
    module.__spec__ = None
    module.ndarray = StrictArray
    module.ElementwiseKernel = ElementwiseKernel

    def transferred(function: Any) -> Any:
        def call(x: Any, *args: Any, **kwargs: Any) -> Any:
            if isinstance(x, StrictArray):
                return _wrapped(function)(x, *args, **kwargs)
            if np.ndim(x):
                StrictArray.watcher.transfer("an array of NumPy", "H2D")
            return _taken(function(x, *args, **kwargs))

        return call

    def asnumpy(x: Any) -> np.ndarray:
        StrictArray.watcher.transfer("asnumpy", "D2H")
        return _given(x).copy()

    add_at = module.add.at

    def at(array: Any, index: Any, values: Any) -> None:
        if array.dtype.kind == "f":
            raise RuntimeError("add.at adds floats by atomics, in any order: the sum differs from run to run (engine/add_at.py)")
        add_at(array, index, values)

    module.add.at = at
    module.asarray, module.array = transferred(np.asarray), transferred(np.array)
    module.asnumpy = asnumpy
    runtime = SimpleNamespace(
        getDeviceCount=lambda: 1, getDevice=lambda: 0, driverGetVersion=lambda: 13000, runtimeGetVersion=lambda: 13000,
        getDeviceProperties=lambda n: {"name": b"stand-in for a GPU", "multiProcessorCount": 4, "major": 9, "minor": 0,
                                       "totalGlobalMem": 2**30, "l2CacheSize": 2**20, "clockRate": 10**6},
        memGetInfo=lambda: (2**29, 2**30), deviceSynchronize=lambda: None,
    )  # fmt: skip
    module.cuda = SimpleNamespace(
        runtime=runtime, Device=Device, Stream=Stream, Event=Event, MemoryPool=MemoryPool, using_allocator=using_allocator,
        get_current_stream=lambda: Stream.current, get_elapsed_time=lambda a, b: (b.time - a.time) * 1e3, Graph=Graph,
    )  # fmt: skip
    module.get_default_memory_pool = MemoryPool
    return module


@contextlib.contextmanager
def installed():
    """Inside, `import cupy` finds this module and device "cuda" works; yields (module, watcher)."""
    module, watcher = make_module(), Watcher()
    before = sys.modules.get("cupy"), StrictArray.watcher, library.load
    sys.modules["cupy"], StrictArray.watcher, Stream.current = module, watcher, Stream(ptr=0)
    StrictArray.device, StrictArray.data = property(lambda x: Device()), property(lambda x: SimpleNamespace(ptr=x._values.ctypes.data))
    emulated, reason = library.load("cpu")
    library.load = lambda device: (EmulatedKernels(emulated), "") if device == "cuda" and emulated else before[2](device)
    modules = dict(backend._modules)
    for array_type in [t for t, (_, device) in modules.items() if device == "cuda"]:  # CuPy itself
        del backend._modules[array_type]
    backend.register_array_module(StrictArray, module, "cuda")
    try:
        yield module, watcher
    finally:
        del StrictArray.device, StrictArray.data
        backend._modules.clear()
        backend._modules.update(modules)
        backend._known.clear()
        library.load, StrictArray.watcher = before[2], before[1]
        if before[0] is None:
            del sys.modules["cupy"]
        else:
            sys.modules["cupy"] = before[0]


def usable() -> str:
    """Why this module can't do its work here; empty if it can."""
    if not shutil.which("g++"):
        return "no g++ to compile elementwise kernels"
    return library.load("cpu")[1]
