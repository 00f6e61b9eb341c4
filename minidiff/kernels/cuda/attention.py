"""attention by the kernels of csrc/attention/: online softmax, memory linear in the tokens.

docs/attention_kernel.md derives the equations.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from minidiff.engine.registry import Unsupported
from minidiff.kernels.cuda.library import Native, float32, native, register_versions

VERSIONS = ("naive", "tiled", "tf32x3", "fast")
MAX_SIZE = 128  # of a head
# Where "fast" hands over to "tf32x3": {numbers of a head, rounded up to a tile's: the least number
# of tokens, of the shorter sequence}, on GPUs whose tensor cores multiply TF32 at 8 times the rate
# of float32 or more. (Those of 8.6, 8.9 and 12.0: 1 to 2 times, and it takes three products.)
TENSOR_CORES_FROM = {32: 32, 64: 32}  # measured: docs/benchmarks/nvidia-h200.md
TENSOR_CORES_OF = ("80", "90")


def attention(version: str, gradient: str | None = None) -> Callable:
    """attention by the kernels of this version.

    gradient: the version of the backward pass, if it is another one.
    """
    named = version

    def attention_by_kernels(query, key, value, mask=None, is_causal=False, scale=None):
        lib = prepared(named, query, key, value, mask)
        version = chosen(named, query, key, value, lib.module.attention_tf32x3_fits)
        backward = gradient or version
        scale = 1 / math.sqrt(query.shape[-1]) if scale is None else float(scale)
        xp, shapes = lib.xp, (query.shape, key.shape, value.shape)
        q, k, v = (as_images(xp, a) for a in (query, key, value))
        added = None if mask is None else as_added_mask(xp, mask, query.shape)
        mask_is_number = mask is not None and mask.dtype.kind == "f"
        y = xp.empty((*q.shape[:-1], v.shape[-1]), "float32")
        lse = xp.empty(q.shape[:-1], "float32")
        lib.module.attention_forward(
            version, q, k, v, added, is_causal, scale, y, lse, "auto", lib.stream
        )

        def attention_backward(dy, wanted):
            dy = xp.ascontiguousarray(dy).reshape(y.shape)
            parts_of = getattr(lib.module, f"attention_{backward}_parts", None)
            heads, size = q.shape[0] * q.shape[1], max(q.shape[-1], v.shape[-1])
            parts = parts_of(heads, k.shape[2], size) if parts_of is not None else 1
            dq, dk, dv, delta = (
                xp.empty((parts, *q.shape), "float32"),
                xp.empty_like(k),
                xp.empty_like(v),
                xp.empty_like(lse),
            )
            stream = native(q).stream
            lib.module.attention_backward(
                backward,
                q,
                k,
                v,
                added,
                is_causal,
                scale,
                y,
                lse,
                dy,
                delta,
                dq,
                dk,
                dv,
                "auto",
                stream,
            )
            dq = dq[0] if parts == 1 else dq.sum(axis=0)
            dmask = None
            if mask_is_number and len(wanted) > 3 and wanted[3]:
                dmask = mask_gradient(xp, q, k, v, added, is_causal, scale, lse, dy, delta).reshape(
                    *shapes[0][:-1], k.shape[2]
                )
            return *(
                gradient.reshape(shape)
                for gradient, shape in zip((dq, dk, dv), shapes, strict=True)
            ), dmask

        return y.reshape(*shapes[0][:-1], v.shape[-1]), attention_backward

    return attention_by_kernels


def chosen(version: str, query: Any, key: Any, value: Any, fits: Callable[[int], bool]) -> str:
    """The version to run: "tf32x3" in place of "fast" where it is faster, by TENSOR_CORES_FROM.

    fits: whether the tiles of "tf32x3" have room, for heads of so many numbers.
    Raises: Unsupported if "tf32x3" is asked for and the GPU has no tensor cores for TF32.
    """
    capability = getattr(getattr(query, "device", None), "compute_capability", None)
    if capability is None:  # emulated
        return version
    if version == "tf32x3" and int(capability) < 80:
        raise Unsupported("tf32x3 needs tensor cores: a GPU of compute capability 8.0 or newer")
    numbers, tokens = max(query.shape[-1], value.shape[-1]), min(query.shape[-2], key.shape[-2])
    least = TENSOR_CORES_FROM.get(next(size for size in (32, 64, 128) if numbers <= size), math.inf)
    if version == "fast" and capability in TENSOR_CORES_OF and tokens >= least and fits(numbers):
        return "tf32x3"
    return version


def prepared(version: str, query: Any, key: Any, value: Any, mask: Any) -> Native:
    """The module for these arrays.    Raises Unsupported if the kernels do not take them."""
    lib = native(query, key, value, mask)
    float32(
        query=query,
        key=key,
        value=value,
        mask=mask if mask is not None and mask.dtype.kind != "b" else None,
    )
    q, k, v = query.shape, key.shape, value.shape
    if 0 in q or 0 in k or 0 in v:
        raise Unsupported(f"a size is 0: query {q}, key {k}, value {v}")
    if max(q[-1], v[-1]) > MAX_SIZE:
        raise Unsupported(
            f"a head of {max(q[-1], v[-1])} numbers; the kernels take {MAX_SIZE} at most"
        )
    fits = getattr(lib.module, f"attention_{version}_fits", None)
    if fits is not None and not fits(max(q[-1], v[-1])):
        raise Unsupported(
            f"tiles of {max(q[-1], v[-1])} numbers do not fit into this GPU's shared memory; "
            "version tiled takes them"
        )
    return lib


def as_images(xp: Any, array: Any) -> Any:
    """(..., heads, tokens, size) -> (images, heads, tokens, size), contiguous."""
    heads = array.shape[-3] if array.ndim > 2 else 1
    return xp.ascontiguousarray(array).reshape(-1, heads, *array.shape[-2:])


def as_added_mask(xp: Any, mask: Any, query_shape: tuple[int, ...]) -> Any:
    """The mask as numbers to be added, -inf for False.

    -> (images or 1, heads or 1, T or 1, S or 1), contiguous.
    """
    if mask.dtype.kind == "b":
        mask = xp.where(mask, xp.float32(0), xp.float32(-math.inf))
    dimensions = max(len(query_shape), 4)
    mask = mask.reshape((1,) * (dimensions - mask.ndim) + mask.shape)
    images = mask.shape[:-3]
    if (
        len(images) > 1 and max(images) > 1
    ):  # broadcast over some of several leading axes only: no single stride describes that
        mask = xp.broadcast_to(mask, query_shape[:-3] + mask.shape[-3:])
    return xp.ascontiguousarray(mask).reshape(-1, *mask.shape[-3:])


def mask_gradient(xp, q, k, v, added, is_causal, scale, lse, dy, delta):
    """dL/dmask = ds, written out: as large as the logits, so only where somebody wants it."""
    logits = xp.matmul(q, k.swapaxes(-1, -2)) * xp.float32(scale) + added
    if is_causal:
        logits = xp.where(xp.tri(*logits.shape[-2:], dtype=bool), logits, xp.float32(-math.inf))
    p = xp.exp(logits - lse[..., None])
    dp = xp.matmul(dy, v.swapaxes(-1, -2))
    return p * (dp - delta[..., None])


register_versions("attention", attention, VERSIONS)
