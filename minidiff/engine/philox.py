"""Philox4x32-10: random numbers that a GPU draws without remembering anything.

Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3". It is a block cipher in
miniature: it turns a counter (four 32-bit words) and a key (two) into four random words, in ten
rounds. So each thread of a GPU computes its own numbers from its own counter, and the state of the
generator is nothing but the next counter.

The formula is written twice: in NumPy, to be read and for the tests, and in CUDA, one thread per
number. Both give the same words. Float results differ in the last bit, where a GPU rounds log and
cos otherwise.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from minidiff.engine.backend import is_recording_a_graph

MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
WEYL = 0x9E3779B9, 0xBB67AE85  # added to the key after each round: the golden ratio and sqrt(3) - 1
ROUNDS = 10
LANES = {"float32": 4, "float64": 2}  # numbers from the four words of a block


def philox(counter: np.ndarray, key: tuple[int, int]) -> np.ndarray:
    """The four random words of each counter.

    counter: uint32 (..., 4), key: two words -> uint32 (..., 4)
    """
    c0, c1, c2, c3 = (
        counter[..., i].astype(np.uint64) for i in range(4)
    )  # 64 bits, for the products
    low = np.uint64(0xFFFFFFFF)
    k0, k1 = key
    for _ in range(ROUNDS):
        product0, product1 = np.uint64(MULTIPLIERS[0]) * c0, np.uint64(MULTIPLIERS[1]) * c2
        c0, c1 = (product1 >> np.uint64(32)) ^ c1 ^ np.uint64(k0), product1 & low
        c2, c3 = (product0 >> np.uint64(32)) ^ c3 ^ np.uint64(k1), product0 & low
        k0, k1 = (k0 + WEYL[0]) & 0xFFFFFFFF, (k1 + WEYL[1]) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=-1).astype(np.uint32)


def words(key: tuple[int, int], start: int, blocks: int) -> np.ndarray:
    """The random words of the counters start, start + 1, ...    -> uint32 (blocks, 4)"""
    count = start + np.arange(blocks, dtype=np.uint64)
    counter = np.zeros((blocks, 4), np.uint32)
    counter[:, 0], counter[:, 1] = count & 0xFFFFFFFF, count >> 32
    return philox(counter, key)


def uniforms(w: np.ndarray, dtype: str, above_0: bool = False) -> np.ndarray:
    """Words (blocks, 4) as numbers in [0, 1), or in (0, 1] for a logarithm.

    -> float32 (blocks, 4) or float64 (blocks, 2)
    """
    if dtype == "float32":
        return ((w >> 8) + above_0).astype(np.float32) * np.float32(2.0**-24)
    high, low = w[:, 0::2].astype(np.uint64) >> 5, w[:, 1::2].astype(np.uint64) >> 6
    return ((high << 26 | low) + above_0).astype(np.float64) * 2.0**-53


def normals(w: np.ndarray, dtype: str) -> np.ndarray:
    """Words as samples of N(0, 1) by Box and Muller: z = sqrt(-2 ln u) (cos 2 pi v, sin 2 pi v).

    -> shape and dtype as `uniforms`
    """
    u, v = uniforms(w, dtype, above_0=True)[:, 0::2], uniforms(w, dtype)[:, 1::2]
    radius, angle = np.sqrt(-2 * np.log(u)), u.dtype.type(2 * math.pi) * v
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1).reshape(
        len(w), LANES[dtype]
    )


def draw(
    xp: Any, normal: bool, key: tuple[int, int], start: int, shape: tuple[int, ...], dtype: str
) -> Any:
    """Numbers `start * lanes`, ... of the stream of this key: standard normal or uniform in [0, 1).

    -> array of `shape` made by xp.
    """
    size = math.prod(shape)
    if xp.__name__ != "cupy":
        w = words(key, start, -(-size // LANES[dtype]))
        values = normals(w, dtype) if normal else uniforms(w, dtype)
        return xp.asarray(values.reshape(-1)[:size].reshape(shape))
    if is_recording_a_graph(xp):
        raise RuntimeError(
            "random numbers can't be drawn inside a CUDA graph: each replay would draw the same "
            "ones again"
        )
    result = xp.empty(shape, dtype)
    if size:
        kernel(xp, normal, dtype)(*(np.uint32(k) for k in key), np.uint64(start), result)
    return result


# -- the same for a GPU: one thread per number -----------------------------------------------------

PREAMBLE = f"""
struct Words {{ unsigned int w[4]; }};

__device__ inline Words philox(unsigned long long count, unsigned int k0, unsigned int k1) {{
    unsigned int c0 = (unsigned int)count, c1 = (unsigned int)(count >> 32), c2 = 0, c3 = 0;
    for (int round = 0; round < {ROUNDS}; round++) {{
        const unsigned long long product0 = {MULTIPLIERS[0]}ull * c0;
        const unsigned long long product1 = {MULTIPLIERS[1]}ull * c2;
        c0 = (unsigned int)(product1 >> 32) ^ c1 ^ k0;
        c1 = (unsigned int)product1;
        c2 = (unsigned int)(product0 >> 32) ^ c3 ^ k1;
        c3 = (unsigned int)product0;
        k0 += {WEYL[0]}u;
        k1 += {WEYL[1]}u;
    }}
    return Words{{{{c0, c1, c2, c3}}}};
}}

__device__ inline float uniform(Words words, int lane, bool above_0, float) {{
    return ((words.w[lane] >> 8) + above_0) * {2.0**-24!r}f;
}}

__device__ inline double uniform(Words words, int lane, bool above_0, double) {{
    const unsigned long long high = words.w[2 * lane] >> 5, low = words.w[2 * lane + 1] >> 6;
    return ((high << 26 | low) + above_0) * {2.0**-53!r};
}}
"""
UNIFORM = """
    const int lanes = 16 / sizeof(REAL);
    y = uniform(philox(start + i / lanes, k0, k1), i % lanes, false, REAL());
"""
NORMAL = """
    const int lanes = 16 / sizeof(REAL), lane = i % lanes;
    const Words words = philox(start + i / lanes, k0, k1);
    const REAL u = uniform(words, lane / 2 * 2, true, REAL());
    const REAL v = uniform(words, lane / 2 * 2 + 1, false, REAL());
    const REAL radius = sqrt(-2 * log(u)), angle = REAL(2 * 3.141592653589793) * v;
    y = radius * (lane % 2 ? sin(angle) : cos(angle));
"""


@functools.cache
def kernel(xp: Any, normal: bool, dtype: str) -> Any:
    """The elementwise kernel of CuPy (xp)."""
    body = (NORMAL if normal else UNIFORM).replace(
        "REAL", "float" if dtype == "float32" else "double"
    )
    name = f"philox_{'normal' if normal else 'uniform'}_{dtype}"
    return xp.ElementwiseKernel(
        "uint32 k0, uint32 k1, uint64 start", f"{dtype} y", body, name, preamble=PREAMBLE
    )
