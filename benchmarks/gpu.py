"""All that needs a GPU, in two commands: build and test, then measure. Writes runs/gpu/<gpu>.md and .json.

    python benchmarks/gpu.py --minutes 2.4 --parts build machine "kernel tests" training-32    # is it right?
    python benchmarks/gpu.py --minutes 7.4       # all of it, on a machine with an NVIDIA GPU, nvcc, CuPy and PyTorch
    python benchmarks/gpu.py --dry-run --out /tmp/dry    # the same lines on any machine, with tiny shapes and a stand-in for CuPy

Each part has its share of the time and runs in its own process; the report is written anew after each, so that what is known survives
whatever happens later. A part that fails or runs out of time is named in the report; after a build that fails nothing else is begun.
docs/gpu.md says how to read it.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import gpu_report
from gpu_shapes import BATCHES, DRY_BATCH, SHAPES

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PYTHON = sys.executable
LEAST = 5.0  # seconds; with less, a part is not begun
ENDINGS = ("SIGTERM", "SIGHUP")  # Ctrl-C is an exception already
COUNT_GPUS = "import cupy; assert cupy.cuda.runtime.getDeviceCount(), 'no device'"


class Part(NamedTuple):
    """name; share: of the time, in seconds; command: a list of words."""

    name: str
    share: float
    command: list[str]
    environment: dict[str, str] = {}


def parts(options: argparse.Namespace, results: Path) -> list[Part]:
    """What is done, in order: the figures first, then the tests that take long."""
    dry = ["--dry-run"] if options.dry_run else []
    only = [word for name in ("shapes", "batches", "versions") if (chosen := getattr(options, name)) for word in (f"--{name}", *chosen)]

    def measuring(name: str, share: float) -> Part:
        seconds = f"{(10 if dry else 0.85) * share:.0f}"
        return Part(name, share, [PYTHON, str(HERE / "gpu_part.py"), name, str(results), "--seconds", seconds, *dry, *only])

    def sanitizer(tool: str) -> Part:
        words = [
            shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer", "--tool", tool, "--error-exitcode", "42",
            "--target-processes", "all", *pytest, "tests/kernels", *device, "-k", "(equal or channels_last or unaligned) and fast",
        ]  # fmt: skip
        if options.dry_run:
            words = [PYTHON, "-c", f"print('compute-sanitizer --tool {tool} runs on a GPU only')"]
        return Part(f"compute-sanitizer {tool}", 50, words)

    pytest = [PYTHON, "-m", "pytest", "-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib", "-q", "--tb=short", "-rf"]
    several = ["-n", str(min(8, os.cpu_count() or 1))] if importlib.util.find_spec("xdist") else []
    kernels = "tests/kernels/test_linear.py" if options.dry_run else "tests/kernels"
    device = [] if options.dry_run else ["--device", "cuda"]
    everything = ["tests/optim/test_flat.py"] if options.dry_run else ["tests", *several]
    chosen = [
        Part("build", 60, [PYTHON, str(HERE / "gpu_build.py"), *dry]),
        measuring("machine", 40),
        Part("kernel tests", 80, [*pytest, kernels, *several, *device, "-k", "not planted and not gdb and not setup"]),
        measuring("kernels-conv2d", 90),  # a process for each operation: one that crashes costs no other
        measuring("kernels-attention", 45),
        measuring("training-32", 80),
        measuring("training-64", 60),
        measuring("kernels-group_norm_swish", 25),
        measuring("kernels-conv_transpose2d", 40),
        measuring("ladder", 30),
        sanitizer("memcheck"),
        sanitizer("racecheck"),
        measuring("compile-32", 100),
        Part("test suite", 140, [*pytest, *everything, *device, "--deselect", "tests/kernels/test_setup.py"]),
        measuring("compile-64", 100),
        sanitizer("initcheck"),
    ]
    if options.dry_run:  # a busy laptop may be slow
        chosen = [part._replace(share=10 * part.share) for part in chosen]
    return [part for part in chosen if not options.parts or part.name in options.parts]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "gpu", help="where the report goes")
    parser.add_argument("--minutes", type=float, default=7.4, help="when to stop, whatever is still missing")
    parser.add_argument("--parts", nargs="*", metavar="PART", help="only these: build 'kernel tests' kernels-conv2d training-32 ...")
    parser.add_argument("--shapes", nargs="*", metavar="N,N,...", help="only shapes of gpu_shapes.py that begin so: 64,64,28 128,128,7")
    parser.add_argument("--batches", nargs="*", metavar="N", help="only these batches: 128 32")
    parser.add_argument("--versions", nargs="*", metavar="VERSION", help="only these versions of the kernels: fast tf32 'fast, plan by model'")
    parser.add_argument("--dry-run", action="store_true", help="run every line on the CPU, with tiny shapes")
    options = parser.parse_args()
    check_selection(parser, options)
    todo = parts(options, options.out / f"gpu-{os.getpid()}.jsonl")
    if missing := what_is_missing(options, todo):
        parser.exit(2, f"error: {missing}\n")
    for name in ENDINGS:  # else a batch system that ends this would leave nvcc at work
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), end_by_signal)
    start = time.monotonic()
    end = start + 60 * options.minutes
    options.out.mkdir(parents=True, exist_ok=True)
    results = options.out / f"gpu-{os.getpid()}.jsonl"
    results.write_text("")
    outcomes: list[dict] = []
    target = options.out / "gpu.md"
    for part in todo:
        outcomes.append(run(part, end))
        target = write(options, results, outcomes, [p.name for p in todo[len(outcomes) :]], time.monotonic() - start)
        if part.name == "build" and outcomes[-1]["state"] != "done":
            break  # whatever came now would measure CuPy, or fail
    results.unlink()
    print(target.read_text())
    print(f"wrote {target} and {target.with_suffix('.json').name} after {time.monotonic() - start:.0f} s")
    if any(outcome["state"] != "done" for outcome in outcomes):
        raise SystemExit(1)


def check_selection(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """End the program if nothing would be measured of what --shapes or --batches name."""
    known = [",".join(map(str, shape)) + "," for shapes in SHAPES.values() for shape in shapes]
    for begin in options.shapes or []:
        if not any(shape.startswith(f"{begin},") for shape in known):
            parser.error(f"--shapes: wanted how a shape of benchmarks/gpu_shapes.py begins, such as 64,64,28, got {begin!r}")
    batches = [str(batch) for batch in (*BATCHES, DRY_BATCH)]
    for batch in options.batches or []:
        if batch not in batches:
            parser.error(f"--batches: wanted some of {', '.join(batches)}, got {batch!r}")


def run(part: Part, end: float) -> dict:
    """Run a part within its share, or within what is left.    -> its outcome for the report."""
    limit = min(part.share, end - time.monotonic() - 3)
    outcome = {"name": part.name, "state": "done", "seconds": 0.0, "tail": ""}
    if limit < LEAST:
        return {**outcome, "state": "no time left"}
    print(f"== {part.name} (at most {limit:.0f} s)", flush=True)
    begin = time.monotonic()
    environment = {**os.environ, **part.environment, "PYTHONUNBUFFERED": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    with tempfile.TemporaryFile() as output:  # a file, not a pipe: nobody waits for whoever holds its other end
        try:
            process = subprocess.Popen(
                part.command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        except OSError as problem:
            return {**outcome, "state": "not there", "tail": str(problem)}
        try:
            if process.wait(limit):
                outcome["state"] = f"failed ({process.returncode})"
        except subprocess.TimeoutExpired:
            kill(process)
            outcome["state"] = "ran out of time"
        except BaseException:  # this program is ended
            kill(process)
            raise
        output.seek(0)
        said = output.read().decode(errors="replace")
    print(said[-1500:], flush=True)
    summary = re.findall(r"^.*\b(?:passed|failed|error|ERROR SUMMARY|built)\b.*$", said, re.MULTILINE)
    tail = said[-2500:] if outcome["state"] != "done" else "\n".join(summary[-4:])[-500:]
    return {**outcome, "seconds": round(time.monotonic() - begin, 1), "tail": tail}


def kill(process: subprocess.Popen) -> None:
    """End a part with all that it started: it has a session of its own."""
    os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)


def end_by_signal(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


def what_is_missing(options: argparse.Namespace, todo: list[Part]) -> str:
    """Why the figures can't be had here, or "". Asked before anything is compiled."""
    measures = any("gpu_part.py" in word for part in todo for word in part.command)
    if measures and importlib.util.find_spec("torch") is None:
        return "the benchmark compares with PyTorch, which is not installed: pip install torch"
    if options.dry_run:
        return ""
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed: pip install cupy-cuda12x on a machine with an NVIDIA GPU, or try --dry-run"
    asked = subprocess.run([PYTHON, "-c", COUNT_GPUS], capture_output=True, text=True)  # in a process: this one stays off the GPU
    if asked.returncode:
        return f"there is no GPU that CuPy can use ({(asked.stderr.strip().splitlines() or ['it crashed'])[-1]}); try --dry-run"
    return ""


def write(options: argparse.Namespace, results: Path, outcomes: list[dict], missing: list[str], seconds: float) -> Path:
    """The report of what is known so far.    -> its path"""
    rows = [json.loads(line) for line in results.read_text().splitlines() if line.endswith("}")]
    machine = next((row for row in rows if row["kind"] == "machine"), None)
    name = re.sub(r"[^a-z0-9]+", "-", machine["gpu"].lower()).strip("-") if machine else "gpu"
    target = options.out / f"{name}.md"
    everything = {"outcomes": outcomes, "missing": missing, "seconds": round(seconds), "dry_run": options.dry_run, "results": rows}
    target.write_text(gpu_report.report(everything))
    target.with_suffix(".json").write_text(json.dumps(everything, indent=1) + "\n")
    if name != "gpu":
        for suffix in (".md", ".json"):
            (options.out / f"gpu{suffix}").unlink(missing_ok=True)
    return target


if __name__ == "__main__":
    main()
