"""The BLAS behind NumPy's products: which of its kernels runs, and whether a slower one is forced.

OpenBLAS chooses a kernel for the processor. OPENBLAS_CORETYPE forces another: products then run at
half speed where a processor with AVX-512 gets the kernel of one with AVX2.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path

VECTORS = ("no AVX", "AVX", "AVX2", "AVX-512")  # what processors have, slowest first
CORE_TYPES = {  # of OpenBLAS, by what they use of VECTORS; the others use none
    "sandybridge": 1, "bulldozer": 1, "piledriver": 1, "steamroller": 1, "excavator": 1,
    "haswell": 2, "zen": 2, "skylakex": 3, "cooperlake": 3, "sapphirerapids": 3,
}  # fmt: skip
OF_OPENBLAS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


@cache
def vectors_of_the_processor() -> int | None:
    """The place in VECTORS of what this processor has; None where nothing says so."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    flags = next((line.split() for line in text.splitlines() if line.startswith("flags")), None)
    if flags is None:
        return None  # not an x86
    names = ("avx", "avx2", "avx512f")
    return max((place for place, name in enumerate(names, start=1) if name in flags), default=0)


def blas_line() -> str:
    """What multiplies matrices, and what the processor has."""
    from threadpoolctl import threadpool_info

    found = [library for library in threadpool_info() if library["user_api"] == "blas"]
    names = {
        f"{library['internal_api']} {library['version']}"
        f" with kernels for {library.get('architecture') or 'an unknown processor'}"
        for library in found
    }
    vectors = vectors_of_the_processor()
    has = "" if vectors is None else f"; the processor has {VECTORS[vectors]}"
    return f"matrix products on the CPU: {', '.join(sorted(names)) or 'an unknown BLAS'}{has}"


def slower_than_needed(environment: Mapping[str, str] = os.environ) -> str:
    """A sentence if a core type is forced that is slower than the processor's own, else "" ."""
    forced, own = environment.get("OPENBLAS_CORETYPE", ""), vectors_of_the_processor()
    if not forced or own is None or CORE_TYPES.get(forced.lower(), 0) >= own:
        return ""
    names = " and ".join(name for name in OF_OPENBLAS if environment.get(name))
    return (
        f"OPENBLAS_CORETYPE={forced} makes NumPy multiply matrices with "
        f"{VECTORS[CORE_TYPES.get(forced.lower(), 0)]}, but this processor has {VECTORS[own]}: "
        f"unset {names} before the program starts, and training takes less time"
    )


def warn_if_slower_than_needed() -> None:
    """A UserWarning with that sentence. Python shows the same warning once."""
    sentence = slower_than_needed()
    if sentence:
        warnings.warn(sentence, stacklevel=2)
