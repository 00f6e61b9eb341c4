"""Part of gpu.py: builds the kernels in place, by the first way that works."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SETUP = [sys.executable, "setup.py", "build_ext", "--inplace"]


def build(kernels: str, folder: Path) -> bool:
    """setup.py in `folder`, for these kernels.    -> whether it went well"""
    print(f"MINIDIFF_KERNELS={kernels!r} {' '.join(SETUP)} (in {folder})", flush=True)
    return subprocess.run(SETUP, cwd=folder, env={**os.environ, "MINIDIFF_KERNELS": kernels}).returncode == 0


def build_in_a_copy(kernels: str) -> bool:
    """For a setuptools that is too old for pyproject.toml: without it, the results copied back."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(ROOT / "setup.py", folder)
        for name in ("csrc", "minidiff"):
            shutil.copytree(ROOT / name, Path(folder, name), ignore=shutil.ignore_patterns("__pycache__", "*.so"))
        if not build(kernels, Path(folder)):
            return False
        for library in Path(folder, "minidiff").glob("*.so"):
            shutil.copy(library, ROOT / "minidiff")
    return True


def main(both: str = "cpu cuda", cuda: str = "cuda") -> int:
    """0 if the CUDA kernels are built."""
    ways = (lambda: build(both, ROOT)), (lambda: build(cuda, ROOT)), (lambda: build_in_a_copy(cuda))
    for number, way in enumerate(ways, 1):
        if way():
            print(f"built, by way {number} of {len(ways)}")
            return 0
    return 1


if __name__ == "__main__":
    if "--dry-run" in sys.argv:  # nothing is compiled
        sys.exit(not (build_in_a_copy("") and main("", "") == 0))
    sys.exit(main())
