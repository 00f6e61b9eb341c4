"""Every version of the attention kernels against softmax(Q K^T) V in float64, with all memory accesses checked where they are emulated."""

import json
import math
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import minidiff
from minidiff import functional, kernels
from minidiff.engine.backend import to_cpu
from minidiff.engine.registry import Unsupported, use_kernels
from minidiff.kernels.cuda import attention as kernel
from minidiff.kernels.cuda.attention import VERSIONS, attention
from minidiff.kernels.cuda.library import load


def reference(query, key, value, dy, mask=None, is_causal=False, scale=None):
    """y, dquery, dkey, dvalue, dlogits in float64, with every p_ij written out."""
    q, k, v, dy = (a.astype(np.float64) for a in (query, key, value, dy))
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    s = scale * np.einsum("...id,...jd->...ij", q, k)
    if mask is not None:
        s = np.where(mask, s, -np.inf) if mask.dtype == bool else s + mask
    if is_causal:
        s = np.where(np.arange(s.shape[-1]) <= np.arange(s.shape[-2])[:, None], s, -np.inf)
    largest = s.max(axis=-1, keepdims=True)
    p = np.exp(s - np.where(np.isfinite(largest), largest, 0))
    p /= np.maximum(p.sum(axis=-1, keepdims=True), 1e-300)
    dp = np.einsum("...id,...jd->...ij", dy, v)
    ds = p * (dp - (p * dp).sum(axis=-1, keepdims=True))
    dq, dk = scale * np.einsum("...ij,...jd->...id", ds, k), scale * np.einsum("...ij,...id->...jd", ds, q)
    return np.einsum("...ij,...jd->...id", p, v), dq, dk, np.einsum("...ij,...id->...jd", p, dy), ds


def inputs(shape_q, tokens_k, value_size=None, seed=0):
    """query, key, value and dy."""
    rng = np.random.default_rng(seed)
    *lead, tokens_q, size = shape_q
    value_size = size if value_size is None else value_size
    shapes = (*lead, tokens_q, size), (*lead, tokens_k, size), (*lead, tokens_k, value_size), (*lead, tokens_q, value_size)
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def assert_close(name, result, expected, tolerance=1e-5):
    """Every element within `tolerance` of the largest one."""
    assert result.dtype == np.float32 and result.shape == expected.shape, (name, result.dtype, result.shape)
    largest = np.abs(expected).max()
    error = np.abs(to_cpu(result) - expected).max() / (largest if largest > 1e-12 else 1)  # one key: dq = dk = 0, but for rounding
    assert error <= tolerance, f"{name} is wrong by {error:.2g} of its largest element"


def compare(version, device, arrays, mask=None, **options):
    expected = reference(*arrays, mask=mask, **options)
    q, k, v, dy = (device.array(a) for a in arrays)
    if mask is not None:
        mask = device.array(mask) if mask.dtype != bool else device.xp.asarray(mask)
    y, backward = attention(version)(q, k, v, mask, **options)
    results = (y, *backward(dy, (True, True, True, False))[:3])
    for name, result, wanted in zip(("y", "dquery", "dkey", "dvalue"), results, expected, strict=False):
        assert_close(name, result, wanted)


# query (..., heads, tokens, size), tokens of key, is_causal: below, at and just over the tiles of 32 and 64; primes; sizes that are no
# multiple of 4; 257 tokens are several tiles and a bit
TABLE = [
    ((1, 1, 1), 1, False),
    ((2, 3, 1, 8), 7, False),
    ((1, 2, 7, 13), 33, False),
    ((2, 1, 33, 32), 7, True),
    ((2, 33, 32), 33, True),
    ((1, 1, 64, 33), 64, False),
    ((1, 65, 40), 31, True),
    ((31, 64), 65, True),
    ((1, 1, 17, 65), 65, True),
    ((1, 1, 33, 128), 70, False),
    ((1, 7, 32), 257, False),
    ((1, 257, 8), 1, False),
    ((1, 130, 1), 131, True),
    ((2, 2, 2, 2, 5), 3, False),
]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("shape", "tokens_k", "is_causal"), TABLE)
def test_forward_and_backward_equal_the_reference(version, shape, tokens_k, is_causal, device):
    compare(version, device, inputs(shape, tokens_k), is_causal=is_causal)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("size", "value_size"), [(8, 40), (40, 8), (3, 128), (64, 65)])
def test_values_may_be_of_another_size(version, size, value_size, device):
    compare(version, device, inputs((2, 9, size), 11, value_size), scale=0.3)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("shape", [(), (35,), (5, 1), (2, 1, 1, 35), (1, 3, 5, 35), (2, 3, 5, 35)])
@pytest.mark.parametrize("kind", ["bool", "number"])
def test_masks_broadcast(version, shape, kind, device):
    rng = np.random.default_rng(1)
    mask = np.asarray(rng.random(shape) < 0.7) if kind == "bool" else np.asarray(rng.standard_normal(shape), np.float32)
    compare(version, device, inputs((2, 3, 5, 8), 35), mask=mask)


@pytest.mark.parametrize("shape", [(2, 1, 1, 5, 9), (1, 3, 2, 1, 9), (3, 1, 5, 9)])
def test_a_mask_broadcasts_over_some_of_several_leading_axes(shape, device):
    compare("fast", device, inputs((2, 3, 2, 5, 8), 9), mask=np.random.default_rng(2).random(shape) < 0.7)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_mask_and_causality_apply_together(version, device):
    mask = np.random.default_rng(3).random((70, 70)) < 0.5
    compare(version, device, inputs((1, 70, 16), 70), mask=mask, is_causal=True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["bool", "number"])
def test_a_query_that_may_look_at_nothing_gets_zeros(version, kind, device):
    arrays = inputs((1, 2, 20, 8), 70)
    mask = np.ones((2, 20, 70), bool)
    mask[0, 3] = mask[1, :] = False  # one row, and all rows of a head
    as_given = mask if kind == "bool" else np.where(mask, 0, -np.inf).astype(np.float32)
    compare(version, device, arrays, mask=as_given)
    q, k, v, dy = (device.xp.asarray(a) for a in arrays)
    y, backward = attention(version)(q, k, v, device.xp.asarray(as_given))
    dq, dk, dv, _ = backward(dy, (True, True, True, False))
    for result in (y[0, 0, 3], dq[0, 0, 3], y[0, 1], dq[0, 1], dk[0, 1], dv[0, 1]):
        assert not to_cpu(result).any()


@pytest.mark.parametrize("version", VERSIONS)
def test_large_logits_do_not_overflow(version, device):
    """Whole numbers, so that logits of some 10,000 have no rounding error that exp would blow up. Each query then sees a single key."""
    q, k, v, dy = inputs((1, 20, 16), 40)
    q, k = np.round(60 * q), np.round(60 * k)
    assert np.abs(q @ k.swapaxes(-1, -2)).max() > 1e4
    y, backward = attention(version)(*(device.xp.asarray(a) for a in (q, k, v)), scale=1.0)
    dq, dk, dv, _ = backward(device.xp.asarray(dy), (True,) * 3)
    expected = reference(q, k, v, dy, scale=1.0)
    assert_close("y", y, expected[0])
    assert_close("dvalue", dv, expected[3])
    largest_term = np.abs(dy @ v.swapaxes(-1, -2)).max() * max(np.abs(q).max(), np.abs(k).max())  # of sums that are next to 0
    for result, want in ((dq, expected[1]), (dk, expected[2])):
        assert np.abs(to_cpu(result) - want).max() <= 1e-6 * largest_term


@pytest.mark.parametrize("version", VERSIONS)
def test_a_nan_is_not_hidden(version, device):
    q, k, v, _ = inputs((1, 4, 8), 6)
    q[0, 2, 5] = np.nan
    y, _ = attention(version)(*(device.xp.asarray(a) for a in (q, k, v)))
    assert np.isnan(to_cpu(y)[0, 2]).all() and not np.isnan(to_cpu(y)[0, [0, 1, 3]]).any()


TILES = [*(("fast", tile) for tile in ("small", "narrow", "medium", "large")), ("tf32x3", "small"), ("tf32x3", "large")]


@pytest.mark.parametrize(("version", "tile"), TILES)
@pytest.mark.parametrize(("size", "parts"), [(20, 1), (64, 2), (100, 3), (30, 4)])
def test_every_tile_and_any_number_of_parts(version, tile, size, parts, device):
    """Called directly, with NaN around the results as well: a kernel that writes too far removes it."""
    arrays = inputs((1, 2, 67, size), 131)
    expected = reference(*arrays, is_causal=True)
    q, k, v, dy = (device.array(a) for a in arrays)
    y, lse, delta = device.empty(dy.shape), device.empty(q.shape[:-1]), device.empty(q.shape[:-1])
    dq, dk, dv = device.empty((parts, *q.shape)), device.empty(k.shape), device.empty(v.shape)
    scale = 1 / math.sqrt(size)
    device.module.attention_forward(version, q, k, v, None, True, scale, y, lse, tile, device.stream)
    device.module.attention_backward(version, q, k, v, None, True, scale, y, lse, dy, delta, dq, dk, dv, tile, device.stream)
    for name, result, want in zip(("y", "dquery", "dkey", "dvalue"), (y, dq.sum(axis=0), dk, dv), expected, strict=False):
        assert_close(name, result, want)
    assert device.margins_intact()


def test_parts_keep_the_gpu_busy_but_each_has_work(device):
    def parts(heads, keys):
        return device.module.attention_fast_parts(heads, keys, 64)

    assert parts(1, 1) == parts(1, 32) == 1  # tiles of 32 keys where there are few
    assert parts(1, 33) == 2
    assert parts(10**6, 10**4) == 1
    assert all(parts(n, 64 * 10) in (1, 2, 3, 4, 5, 10, 20) for n in range(1, 600, 7))  # of 10 tiles, 6 parts would leave one without


def test_parts_of_tf32x3_are_more_where_they_save_a_round(emulated):
    """On 132 multiprocessors, with two blocks each for heads of 64."""
    parts = load("cpu")[0].attention_tf32x3_parts
    assert parts(1, 64, 64) == 1
    assert parts(1, 65, 64) == 2
    assert parts(512, 1024, 64) == 1  # two rounds, and with two parts four half as long
    assert parts(128, 1024, 64) == 2  # 256 blocks for 264 places
    assert parts(10**6, 10**4, 64) == 1
    assert all(parts(n, 64 * 10, 64) in (1, 2, 3, 4, 5, 10) for n in range(1, 600, 7))


@pytest.mark.parametrize("version", VERSIONS)
def test_the_gradient_is_the_same_in_every_run(version, device):
    q, k, v, dy = (device.xp.asarray(a) for a in inputs((1, 40, 16), 70))
    runs = [attention(version)(q, k, v)[1](dy, (True, True, True)) for _ in range(2)]
    for a, b in zip(*(run[:3] for run in runs), strict=True):
        assert (to_cpu(a) == to_cpu(b)).all()


class OnGpu:
    """As much of a CuPy array as `chosen` looks at."""

    def __init__(self, capability, *shape):
        self.device, self.shape = SimpleNamespace(compute_capability=capability), shape


@pytest.mark.parametrize(
    ("capability", "size", "queries", "keys", "taken"),
    [
        ("90", 64, 1024, 1024, "tf32x3"),
        ("80", 40, 512, 512, "tf32x3"),
        ("75", 64, 1024, 1024, "fast"),  # no tensor cores for TF32
        ("86", 64, 1024, 1024, "fast"),  # slow ones
        ("90", 64, 511, 1024, "fast"),
        ("90", 64, 1024, 511, "fast"),
        ("90", 65, 1024, 1024, "fast"),
        ("90", 32, 1024, 1024, "fast"),
    ],
)
def test_fast_is_tf32x3_where_a_rule_says_so(capability, size, queries, keys, taken, monkeypatch):
    monkeypatch.setattr(kernel, "TENSOR_CORES_FROM", {64: 512})
    q, k = OnGpu(capability, 1, queries, size), OnGpu(capability, 1, keys, size)
    assert kernel.chosen("fast", q, k, k, lambda numbers: True) == taken
    assert kernel.chosen("fast", q, k, k, lambda numbers: False) == "fast"


def test_the_rule_is_not_asked_where_it_does_not_apply():
    long, short = OnGpu("90", 1, 1024, 64), OnGpu("80", 1, 7, 8)
    assert kernel.chosen("tiled", long, long, long, bool) == "tiled"
    assert kernel.chosen("tf32x3", short, long, long, bool) == "tf32x3"
    emulated = inputs((1, 1024, 64), 1024)[:3]
    assert kernel.chosen("fast", *emulated, bool) == "fast"
    old = OnGpu("75", 1, 7, 8)
    with pytest.raises(Unsupported, match=r"tf32x3 needs tensor cores: a GPU of compute capability 8\.0 or newer"):
        kernel.chosen("tf32x3", old, old, old, bool)


def test_tf32x3_is_refused_where_its_tiles_do_not_fit(emulated):
    q, k, v, _ = inputs((1, 3, 65), 3)
    with kernels.checks(capability="8.6"), use_kernels(attention="tf32x3"), pytest.raises(RuntimeError, match="tiles of 65 numbers do not fit"):
        functional.attention(q, k, v)
    q, k, v, _ = inputs((1, 3, 64), 3)
    with kernels.checks(capability="8.0"), use_kernels(attention="tf32x3"):
        functional.attention(q, k, v)


@pytest.mark.parametrize("version", VERSIONS)
def test_arrays_may_be_strided_or_unaligned(version, device):
    q, k, v, dy = inputs((2, 5, 8), 9)
    expected = reference(q, k, v, dy)
    strided = [device.xp.asarray(np.ascontiguousarray(a.swapaxes(0, 1))).swapaxes(0, 1) for a in (q, k, v, dy)]
    unaligned = [device.xp.asarray(np.append(np.float32(0), a.reshape(-1)))[1:].reshape(a.shape) for a in (q, k, v, dy)]
    for a in (strided, unaligned):
        y, backward = attention(version)(*a[:3])
        for name, result, want in zip(("y", "dquery", "dkey", "dvalue"), (y, *backward(a[3], (True,) * 3)[:3]), expected, strict=False):
            assert_close(name, result, want)


@pytest.mark.parametrize("is_causal", [False, True])
def test_a_mask_of_numbers_has_a_gradient(is_causal, device):
    arrays = inputs((2, 5, 8), 9)
    mask = np.random.default_rng(4).standard_normal((5, 9)).astype(np.float32)
    *_, ds = reference(*arrays, mask=mask, is_causal=is_causal)
    q, k, v, dy = (device.xp.asarray(a) for a in arrays)
    _, backward = attention("fast")(q, k, v, device.xp.asarray(mask), is_causal)
    assert_close("dmask", backward(dy, (True,) * 4)[3], ds)
    assert backward(dy, (True, True, True, False))[3] is None


@pytest.mark.parametrize("version", VERSIONS)
def test_the_operation_runs_the_kernels_and_checks_them(version, device):
    q, k, v, dy = (device.xp.asarray(a) for a in inputs((2, 6, 8), 7))
    mask = device.xp.asarray(np.random.default_rng(5).standard_normal((6, 7)).astype(np.float32))
    tensors = [minidiff.Tensor(a, requires_grad=True) for a in (q, k, v, mask)]
    with use_kernels("check", attention=version):
        functional.attention(*tensors).backward(dy)
    expected = reference(*(to_cpu(a) for a in (q, k, v, dy)), mask=to_cpu(mask))
    for name, tensor, want in zip(("query", "key", "value"), tensors, expected[1:4], strict=False):
        assert_close(name, tensor.grad, want)
    assert_close("mask", tensors[3].grad, expected[4].sum(axis=0))


WRONG = {
    "float64": (lambda q, k, v: (q.astype("float64"), k.astype("float64"), v.astype("float64")), "query is float64, the kernels compute in float32"),
    "float mask of float64": (lambda q, k, v: (q, k, v, q[:, :, 0].astype("float64")), "mask must be bool .* or float32 .*, got float64"),
    "a large head": (lambda q, k, v: (q.repeat(17, -1), k.repeat(17, -1), v), "a head of 136 numbers; the kernels take 128 at most"),
    "sizes of query and key": (lambda q, k, v: (q[..., :4], k, v), "query and key must agree in their last size, got 4 and 8"),
    "tokens of key and value": (lambda q, k, v: (q, k, v[:, :3]), "key and value must have as many tokens, got 9 and 3"),
    "heads": (lambda q, k, v: (q[:1], k, v), r"must agree in all but the last two sizes, got \(1, 5, 8\)"),
    "one axis": (lambda q, k, v: (q[0, 0], k, v), r"query must be \(..., heads, tokens, size\), got shape \(8,\)"),
    "no queries": (lambda q, k, v: (q[:, :0], k, v), r"a size is 0: query \(2, 0, 8\), key \(2, 9, 8\)"),
    "a mask that does not fit": (lambda q, k, v: (q, k, v, q), r"broadcast to \(..., heads, T, S\) = \(2, 5, 9\), got shape \(2, 5, 8\)"),
}


@pytest.mark.parametrize("case", WRONG)
def test_arguments_that_do_not_fit_are_refused_with_the_reason(case, device):
    change, message = WRONG[case]
    arguments = change(*(device.xp.asarray(a) for a in inputs((2, 5, 8), 9)[:3]))
    for version in VERSIONS:
        with use_kernels(attention=version), pytest.raises((RuntimeError, ValueError, TypeError), match=message):
            functional.attention(*arguments)


def test_an_explicit_choice_of_kernel_never_falls_back(device):
    arrays = [device.xp.asarray(a.astype(np.float64)) for a in inputs((2, 5, 8), 9)[:3]]
    message = r"attention: kernel 'fast' does not take these arguments \(query is float64"
    with use_kernels(attention="fast"), pytest.raises(RuntimeError, match=message):
        functional.attention(*arrays)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": "quick"}, "version must be naive, tiled, fast or tf32x3"),
        ({"tile": "huge"}, "tile must be auto, small, narrow, medium or large"),
        ({"value": (1, 2, 3, 4)}, "value must be"),
        ({"lse": (1, 2, 3)}, "lse must be"),
        ({"key": (1, 2, 0, 8), "value": (1, 2, 0, 8)}, "no size may be 0"),
        ({"mask": (1, 3, 5, 6)}, "a size of mask must be 1 or fit the logits"),
        ({"query": (2, 5, 8)}, r"arrays must be \(images, heads, tokens, size\)"),
    ],
)
def test_the_compiled_module_refuses_what_would_leave_an_array(change, message, device):
    """minidiff.kernels.cuda.attention never asks for these."""
    shapes = {"query": (1, 2, 5, 8), "key": (1, 2, 6, 8), "value": (1, 2, 6, 8), "output": (1, 2, 5, 8), "lse": (1, 2, 5), "mask": None}
    shapes.update({name: shape for name, shape in change.items() if name in shapes})
    a = {name: None if shape is None else device.xp.asarray(np.zeros(shape, np.float32)) for name, shape in shapes.items()}
    version, tile = change.get("version", "fast"), change.get("tile", "auto")
    with pytest.raises(ValueError, match=message):
        device.module.attention_forward(version, a["query"], a["key"], a["value"], a["mask"], False, 1.0, a["output"], a["lse"], tile, 0)


def test_the_lines_that_the_page_points_to_are_in_the_kernels():
    root = Path(__file__).parents[2]
    tables = re.split(r"\(`(csrc/attention/fast_\w+\.cu)`\) \|", (root / "docs/attention_kernel.md").read_text())[1:]
    found = 0
    for file, rows in zip(tables[::2], tables[1::2], strict=True):
        source = (root / file).read_text()
        for line in re.findall(r"^\| .* \| `(.+)` \|$", rows, re.MULTILINE):
            assert line in source, f"docs/attention_kernel.md points to a line that {file} does not have: {line}"
            found += 1
    assert found == 16


FIGURES = Path(__file__).resolve().parents[2] / "docs" / "benchmarks" / "nvidia-h200.json"


def microseconds(tile, batch_heads, tokens, size):
    """By the model of fast_forward.cu, at an H200's clock of 1.755 GHz; an emulated GPU has as many multiprocessors."""
    return load("cpu")[0].attention_forward_cycles(tile, batch_heads, tokens, size) / 1755


def test_the_model_of_the_tiles_agrees_with_an_h200(emulated):
    """The tiles are those that `auto` took when these rows were measured, by another rule."""
    if not FIGURES.exists():
        pytest.skip("the docs are not installed")
    took = {(128, 196, 32): "large", (32, 196, 32): "medium", (128, 784, 32): "medium", (32, 784, 32): "medium", (128, 1024, 64): "large", (32, 1024, 64): "large"}
    measured = {}
    for row in json.loads(FIGURES.read_text())["results"]:
        if row["kind"] == "kernel" and row["operation"] == "attention, forward":
            heads, size, tokens = map(int, re.fullmatch(r"(\d+) heads of (\d+), (\d+) tokens", row["shape"]).groups())
            measured[row["batch"], tokens, size] = 1e6 * row["ours"]["fast"]["seconds"], heads
    for case, tile in took.items():
        (batch, tokens, size), (time, heads) = case, measured[case]
        assert 0.9 < microseconds(tile, heads * batch, tokens, size) / time < 1.1, case


def test_the_tile_counts_how_often_the_multiprocessors_are_filled(emulated):
    """196 keys fill 4 tiles of 64 by 77 %, 7 of 32 by 88 %; 1024 tokens fill any."""

    def best(*problem):
        return min(("small", "narrow", "medium", "large"), key=lambda tile: microseconds(tile, *problem))

    assert best(512, 196, 32) == best(512, 784, 32) == "narrow"
    assert best(512, 1024, 64) == best(128, 1024, 64) == "large"
    assert best(4, 196, 32) == best(4, 49, 32) == "small"  # few blocks: as many multiprocessors as possible have one
    assert microseconds("large", 512, 196, 128) == microseconds("narrow", 512, 196, 64) == math.inf  # not to be chosen
    with kernels.checks(capability="7.5"):  # 64 KB for a block: 40 multiprocessors
        assert microseconds("large", 512, 196, 64) == math.inf
