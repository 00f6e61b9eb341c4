"""Part of gpu.py: each kernel version of csrc/ against PyTorch and against the floor, at the U-Net's shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from gpu_shapes import BATCHES, DRY_BATCH, SHAPES
from gpu_timing import Ceilings, Ours, Theirs, Time, measure, sets_for

from minidiff import kernels
from minidiff.engine.registry import _kernels as table
from minidiff.kernels.cuda import attention as attention_kernels
from minidiff.kernels.cuda import tuning

NAIVE = 1e11  # operations: with more, the naive version would take seconds
TOLERANCE = {"fp32": 1e-5, "tf32": 3e-3}  # |result - float64| / |float64|, Euclidean norms
FFMA = "fast, by FFMA"  # attention without its rule (minidiff/kernels/cuda/attention.py), by which "fast" takes tensor cores for some shapes
UNTUNED = "fast, plan by model"  # minidiff/kernels/cuda/plan.py; in the other columns plans are tried out, as cudnn.benchmark does


class Case(NamedTuple):
    """A row of the report. ours: {version: one call per set of inputs}, theirs: {way: PyTorch's}, a way that begins with "tf32" being
    allowed to round; check: a version -> its relative error."""

    operation: str
    shape: str
    batch: int
    operations: float
    moved: float  # bytes
    ours: dict[str, list[Callable[[], Any]]]
    theirs: dict[str, list[Callable[[], Any]]]
    check: Callable[[str], float]


class Only(NamedTuple):
    """What to measure, as the command line says it; None: everything.    shapes: ["64,64,28"], how those of gpu_shapes.py begin."""

    shapes: list[str] | None = None
    batches: list[str] | None = None
    versions: list[str] | None = None

    def has(self, shape: tuple[int, ...], batch: int) -> bool:
        named = ",".join(map(str, shape)) + ","
        return (self.shapes is None or any(named.startswith(f"{begin},") for begin in self.shapes)) and (
            self.batches is None or str(batch) in self.batches
        )


def run(emit: Callable[[dict], None], operation: str, ceilings: Ceilings, out_of_time: Callable[[], bool], dry: bool,
        only: Only) -> None:  # fmt: skip
    """Measure an operation at its shapes, the largest batch first, and hand each result to `emit`."""
    ours, theirs = Ours(), Theirs()
    shapes, cases = SHAPES[operation], CASES[operation]
    known: set = set()
    for batch in (DRY_BATCH,) if dry else BATCHES:
        for shape in shapes[-1:] if dry else shapes[:-1]:
            if not only.has(shape, batch):
                continue
            where = f"{operation} {shape}, batch {batch}"
            if out_of_time():
                emit({"kind": "cut", "part": "kernels", "at": where})
                return
            try:
                for case in cases(ours, theirs, batch, *shape):
                    if only.versions is not None:
                        case = case._replace(ours={name: calls for name, calls in case.ours.items() if name in only.versions})
                    emit(measured(case, ours, theirs, ceilings))
            except Exception as problem:  # such as too little memory for the reference: the other shapes go on
                emit({"kind": "failed", "part": where, "why": f"{type(problem).__name__}: {problem}"[:500]})
            emit(plans(known))  # now: a part that runs out of time is killed
            known = set(tuning.tuned())


def plans(known: set) -> dict:
    """The seconds of each [tile, splits] that was tried, the model's choice first: what to improve minidiff/kernels/cuda/plan.py with.
    known: the convolutions that earlier rows have."""
    found = [{"convolution": list(key), "tried": [[*plan, round(seconds, 9)] for plan, seconds in times.items()]}
             for key, times in tuning.tuned().items() if key not in known]  # fmt: skip
    return {"kind": "plans", "found": found}


def measured(case: Case, ours: Ours, theirs: Theirs, ceilings: Ceilings) -> dict:
    """The row of the report."""
    row: dict[str, Any] = {
        "kind": "kernel", "operation": case.operation, "shape": case.shape, "batch": case.batch,
        "floor": ceilings.floor(case.operations, case.moved), "floor_tf32": ceilings.floor(case.operations, case.moved, tf32=True),
        "ours": {}, "theirs": {}, "errors": {},
    }  # fmt: skip
    for version, calls in case.ours.items():
        if version == "naive" and case.operations > NAIVE:
            row["ours"][version] = {"skipped": "too long"}
            continue
        tf32 = version == "tf32"
        kernels.allow_tf32(tf32)
        kernels.tune_plans(version != UNTUNED)  # PyTorch tries its algorithms, too: cudnn.benchmark
        try:
            error = case.check(version)
            row["errors"][version] = error
            if not error <= TOLERANCE["tf32" if tf32 else "fp32"]:
                row["ours"][version] = {"wrong": error}
                continue
            row["ours"][version] = as_dict(measure(ours, calls))
        except Exception as problem:  # one version must not cost the others
            row["ours"][version] = {"failed": f"{type(problem).__name__}: {problem}"[:300]}
        finally:
            kernels.allow_tf32(False)
            kernels.tune_plans(False)
            ours.kept = []
    for way, calls in case.theirs.items():
        theirs.allow_tf32(way.startswith("tf32"))
        try:
            row["theirs"][way] = as_dict(measure(theirs, calls))
        except Exception as problem:  # a backend that does not take these shapes
            row["theirs"][way] = {"failed": f"{type(problem).__name__}: {problem}"[:300]}
        finally:
            theirs.allow_tf32(False)
    return row


def as_dict(time: Time) -> dict:
    found = {"seconds": time.seconds, "spread": round(time.spread, 3), "graph": time.graph}
    return found if time.graph else {**found, "reason": time.reason}


def relative(result: Any, reference: Any) -> float:
    """|result - reference| / |reference|; NaN stays NaN."""
    return float(np.linalg.norm(result.astype(np.float64) - reference) / max(np.linalg.norm(reference), 1e-300))


def draw(sets: int, *shapes: tuple[int, ...]) -> list[list[np.ndarray]]:
    """Random arrays of these shapes, `sets` times the same: on the device each is a copy of its own, which is what the cache sees."""
    rng = np.random.default_rng(0)
    return [[rng.standard_normal(shape, dtype=np.float32) for shape in shapes]] * sets


def by_version(operation: str, make: Callable[[str, Callable], list[Callable[[], Any]]]) -> dict[str, list[Callable[[], Any]]]:
    """{version: calls}, the kernels of csrc/ as they are registered. One that refuses these shapes has calls that raise what it said."""
    found: dict[str, list[Callable[[], Any]]] = {}
    for version, entry in table[operation].items():
        if "cpu" in entry.devices or version[0].isdigit():  # NumPy, or CuPy in its place; the rungs have a part of their own
            continue
        if "cuda" not in (*entry.devices, *entry.by_name):  # C++ for processors
            continue
        try:
            found[version] = make(version, entry.function)
        except Exception as problem:

            def refuse(problem: Exception = problem) -> None:
                raise problem

            found[version] = [refuse]
    return found


def convolution_cases(ours: Ours, theirs: Theirs, batch: int, c_in, c_out, size, kernel, stride, padding, transposed) -> Iterator[Case]:
    """Forward, input gradient and weight gradient."""
    torch, operation = theirs.torch, "conv_transpose2d" if transposed else "conv2d"
    out = (size - 1) * stride - 2 * padding + kernel if transposed else (size + 2 * padding - kernel) // stride + 1
    x_shape, y_shape = (batch, c_in, size, size), (batch, c_out, out, out)
    w_shape = (c_in, c_out, kernel, kernel) if transposed else (c_out, c_in, kernel, kernel)
    pixels = size * size if transposed else out * out
    flops = 2.0 * batch * pixels * c_in * c_out * kernel * kernel
    numbers = [int(np.prod(s)) for s in (x_shape, w_shape, y_shape)]
    drawn = draw(sets_for(4 * sum(numbers)), x_shape, w_shape, (c_out,), y_shape)
    mine, other = ([[library.array(a) for a in arrays] for arrays in drawn] for library in (ours, theirs))
    options = {"stride": stride, "padding": padding}
    function = torch.nn.functional.conv_transpose2d if transposed else torch.nn.functional.conv2d
    name = f"{c_in} -> {c_out}, {size}x{size}, {kernel}x{kernel}" + (f", stride {stride}" if stride > 1 else "")

    x, w, b, dy = (t.double() for t in other[0])
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=False, allow_tf32=False):
        y = function(x, w, b, **options)
        dx, dw = (ours_numpy(g) for g in aten_backward(torch, dy, x, w, stride, padding, transposed, (True, True)))
    exact = {"forward": ours_numpy(y), "input gradient": dx, "weight gradient": dw}
    del x, w, b, dy, y

    wanted = {"forward": None, "input gradient": (True, False, False), "weight gradient": (False, True, False)}
    for direction, mask in wanted.items():

        def call(function_of_version, arrays, mask=mask):
            x, w, b, dy = arrays
            if mask is None:
                return lambda: function_of_version(x, w, b, stride, padding)[0]
            backward = function_of_version(x, w, b, stride, padding)[1]
            return lambda: next(g for g in backward(dy, mask) if g is not None)

        def call_theirs(arrays, mask=mask):
            x, w, b, dy = arrays
            if mask is None:
                return lambda: function(x, w, b, **options)
            return lambda: aten_backward(torch, dy, x, w, stride, padding, transposed, mask[:2])

        theirs_calls = [call_theirs(arrays) for arrays in other]
        as_tensor_cores_like_it = [call_theirs([t.contiguous(memory_format=torch.channels_last) if t.ndim == 4 else t for t in arrays])
                                   for arrays in other]  # fmt: skip
        ways = {"fp32": theirs_calls, "tf32": theirs_calls, "tf32, channels last": as_tensor_cores_like_it}

        def check(version, mask=mask, direction=direction, call=call):
            function = table[operation]["fast" if version == UNTUNED else version].function
            return relative(ours.numpy(call(function, mine[0])()), exact[direction])

        def calls(version, f, call=call):
            kernels.allow_tf32(version == "tf32")
            try:
                return [call(f, arrays) for arrays in mine]
            finally:
                kernels.allow_tf32(False)

        versions = by_version(operation, calls)
        yield Case(
            f"{operation}, {direction}", name, batch, flops, 4.0 * sum(numbers), {**versions, UNTUNED: versions["fast"]},
            ways, check,
        )  # fmt: skip


def aten_backward(torch: Any, dy, x, w, stride, padding, transposed, mask) -> Any:
    """dx and dweight as PyTorch's autograd computes them, those that `mask` asks for."""
    two = [stride] * 2, [padding] * 2, [1, 1], transposed, [0, 0], 1
    return torch.ops.aten.convolution_backward(dy, x, w, None, *two, [*mask, False])[:2]


def ours_numpy(tensor: Any) -> np.ndarray:
    return tensor.detach().cpu().numpy()


def attention_cases(ours: Ours, theirs: Theirs, batch: int, heads: int, tokens: int, size: int) -> Iterator[Case]:
    """Forward, and forward with backward."""
    torch, shape = theirs.torch, (batch, heads, tokens, size)
    sdpa = torch.nn.functional.scaled_dot_product_attention
    drawn = draw(sets_for(16 * int(np.prod(shape))), shape, shape, shape, shape)
    mine, other = ([[library.array(a) for a in arrays] for arrays in drawn] for library in (ours, theirs))
    for arrays in other:
        for tensor in arrays[:3]:
            tensor.requires_grad_(True)
    with torch.no_grad():  # the textbook's formula, for a few images at a time
        few = min(batch, 4)
        q, k, v = (t.detach()[:few].double() for t in other[0][:3])
        exact = ours_numpy(torch.softmax(q @ k.mT / size**0.5, dim=-1) @ v)
    leaves = [t.detach()[:few].double().requires_grad_(True) for t in other[0][:3]]
    p = torch.softmax(leaves[0] @ leaves[1].mT / size**0.5, dim=-1)
    exact_gradients = [ours_numpy(g) for g in torch.autograd.grad(p @ leaves[2], leaves, other[0][3][:few].double())]
    del p, leaves, q, k, v
    numbers = 4.0 * np.prod(shape)

    def forward(f, arrays):
        return lambda: f(*arrays[:3])[0]

    def both(f, arrays):
        return lambda: f(*arrays[:3])[1](arrays[3], (True, True, True))

    def both_theirs(arrays):
        return lambda: torch.autograd.grad(sdpa(*arrays[:3]), arrays[:3], arrays[3])

    def kernel(version):
        return by_ffma if version == FFMA else table["attention"][version].function

    def check(version):
        return relative(ours.numpy(forward(kernel(version), mine[0])()[:few]), exact)

    def check_both(version):
        found = both(kernel(version), mine[0])()[:3]
        return max(relative(ours.numpy(a[:few]), b) for a, b in zip(found, exact_gradients, strict=True))

    def without_tape(arrays):
        plain = [t.detach() for t in arrays[:3]]
        return lambda: sdpa(*plain)

    def by_backend(make):
        """PyTorch's two ways in float32; the efficient one multiplies by 3xTF32 on tensor cores, whatever allow_tf32 says."""
        from torch.nn.attention import SDPBackend, sdpa_kernel

        def only(backend, call):
            def call_it():
                with sdpa_kernel(backend):
                    return call()

            return call_it

        chosen = {"math": SDPBackend.MATH} | ({"efficient": SDPBackend.EFFICIENT_ATTENTION} if theirs.device == "cuda" else {})
        return {name: [only(backend, make(arrays)) for arrays in other] for name, backend in chosen.items()}

    def versions(direction):
        found = by_version("attention", lambda version, f: [direction(f, a) for a in mine])
        return {**found, FFMA: [direction(by_ffma, a) for a in mine]}

    name, pairs = f"{heads} heads of {size}, {tokens} tokens", 1.0 * batch * heads * tokens**2 * size
    yield Case("attention, forward", name, batch, 4 * pairs, 4 * numbers, versions(forward), by_backend(without_tape), check)
    yield Case("attention, forward + backward", name, batch, 14 * pairs, 4 * numbers + 8 * numbers, versions(both),
               by_backend(both_theirs), check_both)  # fmt: skip


def by_ffma(*arrays: Any) -> Any:
    """Attention, version "fast", as it is without the rule that gives some shapes to tensor cores."""
    rule = dict(attention_kernels.TENSOR_CORES_FROM)
    attention_kernels.TENSOR_CORES_FROM.clear()
    try:
        return table["attention"]["fast"].function(*arrays)
    finally:
        attention_kernels.TENSOR_CORES_FROM.update(rule)


def group_norm_cases(ours: Ours, theirs: Theirs, batch: int, channels: int, size: int) -> Iterator[Case]:
    """GroupNorm + Swish: forward, and forward with backward."""
    torch, shape, groups = theirs.torch, (batch, channels, size, size), 2 if channels < 8 else 8
    drawn = draw(sets_for(8 * int(np.prod(shape))), shape, (channels,), (channels,), shape)
    mine, other = ([[library.array(a) for a in arrays] for arrays in drawn] for library in (ours, theirs))
    for arrays in other:
        for tensor in arrays[:3]:
            tensor.requires_grad_(True)

    def formula(x, weight, bias):
        return torch.nn.functional.silu(torch.nn.functional.group_norm(x, groups, weight, bias))

    leaves = [t.detach().double().requires_grad_(True) for t in other[0][:3]]
    y = formula(*leaves)
    exact = ours_numpy(y)
    exact_gradients = [ours_numpy(g) for g in torch.autograd.grad(y, leaves, other[0][3].double())]

    def forward(f, arrays):
        return lambda: f(arrays[0], groups, arrays[1], arrays[2])[0]

    def both(f, arrays):
        return lambda: f(arrays[0], groups, arrays[1], arrays[2])[1](arrays[3])

    def check(version):
        return relative(ours.numpy(forward(table["group_norm_swish"][version].function, mine[0])()), exact)

    def check_both(version):
        dx, _, dweight, dbias = both(table["group_norm_swish"][version].function, mine[0])()
        return max(relative(ours.numpy(a), b) for a, b in zip((dx, dweight, dbias), exact_gradients, strict=True))

    def without_tape(arrays):
        plain = [t.detach() for t in arrays[:3]]
        return lambda: formula(*plain)

    def both_theirs(arrays):
        return lambda: torch.autograd.grad(formula(*arrays[:3]), arrays[:3], arrays[3])

    name, numbers = f"{channels} channels, {size}x{size}", float(np.prod(shape))
    yield Case("group_norm_swish, forward", name, batch, 10 * numbers, 8 * numbers,
               by_version("group_norm_swish", lambda version, f: [forward(f, a) for a in mine]), {"fp32": [without_tape(a) for a in other]},
               check)  # fmt: skip
    yield Case("group_norm_swish, forward + backward", name, batch, 30 * numbers, 20 * numbers,
               by_version("group_norm_swish", lambda version, f: [both(f, a) for a in mine]), {"fp32": [both_theirs(a) for a in other]},
               check_both)  # fmt: skip


CASES: dict[str, Callable[..., Iterator[Case]]] = {
    "conv2d": partial(convolution_cases, transposed=False),
    "conv_transpose2d": partial(convolution_cases, transposed=True),
    "attention": attention_cases,
    "group_norm_swish": group_norm_cases,
}
