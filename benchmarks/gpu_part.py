"""One part of gpu.py, in a process of its own: a crash on the GPU then costs this part only. Writes one line of JSON per result.

    python benchmarks/gpu_part.py machine results.jsonl --seconds 60
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import sys
import time
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "tests")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", help="machine, kernels-OPERATION, ladder, training-CHANNELS or compile-CHANNELS")
    parser.add_argument("results", type=Path)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--dry-run", action="store_true")
    for selection in ("shapes", "batches", "versions"):
        parser.add_argument(f"--{selection}", nargs="*")
    options = parser.parse_args()
    end = time.monotonic() + options.seconds

    def emit(result: dict) -> None:
        with options.results.open("a") as file:
            file.write(json.dumps(result) + "\n")

    def out_of_time() -> bool:
        return time.monotonic() > end

    with stand_in() if options.dry_run else contextlib.nullcontext():
        try:
            run(options, emit, out_of_time)
        except Exception as problem:
            traceback.print_exc()
            emit({"kind": "failed", "part": options.part, "why": f"{type(problem).__name__}: {problem}"[:1000]})
            raise SystemExit(1) from problem


def run(options: argparse.Namespace, emit, out_of_time) -> None:
    from gpu_timing import Ceilings, Theirs, ceilings

    part, dry, results = options.part, options.dry_run, options.results

    if part == "machine":
        emit({"kind": "machine", **machine()})
        emit({"kind": "ceilings", **ceilings(Theirs(), small=dry)._asdict()})
    elif part.startswith("kernels-"):
        import gpu_kernels

        rows = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
        found = [{key: row[key] for key in Ceilings._fields} for row in rows if row["kind"] == "ceilings"]
        known = Ceilings(**found[-1]) if found else ceilings(Theirs(), small=dry)
        only = gpu_kernels.Only(options.shapes, options.batches, options.versions)
        gpu_kernels.run(emit, part.partition("-")[2], known, out_of_time, dry, only)
    elif part == "ladder":
        import gpu_ladder

        gpu_ladder.run(emit, out_of_time, dry)
    elif part.startswith("training-"):
        import gpu_training

        gpu_training.run(emit, int(part.partition("-")[2]), out_of_time, dry)
    elif part.startswith("compile-"):
        import gpu_training

        gpu_training.run_compiled(emit, int(part.partition("-")[2]), out_of_time, dry)
    else:
        raise ValueError(f"there is no part {part!r}")


def machine() -> dict:
    """What this is measured on."""
    import cupy
    import numpy
    import torch

    from minidiff import kernels

    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.runtime.getDevice())
    driver, toolkit = cupy.cuda.runtime.driverGetVersion(), cupy.cuda.runtime.runtimeGetVersion()
    return {
        "gpu": properties["name"].decode(), "multiprocessors": properties["multiProcessorCount"],
        "memory_gib": round(properties["totalGlobalMem"] / 2**30, 1), "l2_mib": round(properties["l2CacheSize"] / 2**20, 1),
        "driver": dotted(driver), "toolkit": dotted(toolkit), "cupy": cupy.__version__, "torch": torch.__version__,
        "numpy": numpy.__version__, "python": platform.python_version(), "status": kernels.status(),
    }  # fmt: skip


def dotted(version: int) -> str:
    return f"{version // 1000}.{version % 1000 // 10}"


def stand_in():
    """The module of the tests that stands for CuPy."""
    from support import fake_cupy

    return fake_cupy.installed()


if __name__ == "__main__":
    main()
