"""The tables and the picture of docs/ladder.md: what each rung of csrc/ladder/ buys, by the emulator's counter.

    python benchmarks/ladder.py                                       # counts; needs g++ when minidiff was built, no GPU
    python benchmarks/ladder.py --times runs/gpu/nvidia-h200.json     # with the microseconds that gpu.py's part "ladder" measured

The counter knows no caches and no time. Where nothing was measured, the table says so.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

import minidiff
from minidiff import functional, kernels
from minidiff.kernels.cuda.cost import Cost
from minidiff.kernels.cuda.ladder import NORM_WHILE_LOADING, RUNGS, Norm, norm_while_loading

DOCS = Path(__file__).resolve().parents[1] / "docs"
PICTURE = DOCS / "images" / "ladder_roofline.png"
NOT_MEASURED = "not measured yet"
# an H200: a copy, read plus written; float32 products by cuBLAS; the same rounded to TF32. docs/benchmarks/nvidia-h200.md
BYTES_PER_SECOND, FLOPS, FLOPS_TF32 = 2713e9, 51.1e12, 358e12

ON_TENSOR_CORES = ("11_warpgroups",)

# What is counted: small, but full tiles, and no tap outside of the image.
PROBLEMS = {
    "conv2d": "64 channels from 32, 3 x 3, one image of 8 x 16 results",
    "attention": "2 heads, 64 queries and keys of 32 numbers",
    "group_norm": "2 images of 32 channels, 16 x 16, in 4 groups, with Swish",
}


def draws() -> Callable[..., np.ndarray]:
    """Normal numbers, the same ones for each problem."""
    return partial(np.random.default_rng(0).standard_normal, dtype=np.float32)


def run(operation: str) -> None:
    """The problem, by the kernel that is chosen."""
    normal = draws()
    if operation == "conv2d":
        functional.conv2d(normal((1, 32, 10, 18)), normal((64, 32, 3, 3)))
    elif operation == "attention":
        functional.attention(normal((1, 2, 64, 32)), normal((1, 2, 64, 32)), normal((1, 2, 64, 32)))
    else:
        functional.group_norm_swish(normal((2, 32, 16, 16)), 4, normal(32), normal(32))


def counts() -> dict[str, dict[str, Cost]]:
    """The cost of each rung, by operation and rung: of its launch with the most multiply-adds."""
    found: dict[str, dict[str, Cost]] = {}
    for operation, rungs in RUNGS.items():
        name = "group_norm_swish" if operation == "group_norm" else operation
        for rung in rungs:
            with kernels.count() as costs, minidiff.use_kernels(**{name: rung}):
                run(operation)
            found.setdefault(operation, {})[rung] = max(costs, key=lambda cost: cost.multiply_adds)
    found["conv2d"][NORM_WHILE_LOADING] = normed()[-1]
    found["conv2d"] = dict(sorted(found["conv2d"].items()))
    return found


def normed() -> list[Cost]:
    """The two launches of the rung that normalises: in 4 groups, before the convolution of the table."""
    normal = draws()
    norm = Norm(4, normal(32), normal(32))
    with kernels.count() as costs:
        norm_while_loading(normal((1, 32, 10, 18)), norm, normal((64, 32, 3, 3)))
    return costs


def instructions(operation: str) -> dict[str, str]:
    """By rung: instructions of the hot loop for each multiply-add on sm_90, the head of 32 numbers, if there are several.

    They are read from docs/benchmarks/compiled_kernels.md, which benchmarks/sass.py writes.
    """
    compiled = DOCS / "benchmarks" / "compiled_kernels.md"
    if operation == "group_norm":  # it is made of few multiply-adds, and waits for memory
        return {}
    lines = compiled.read_text().splitlines() if compiled.exists() else []
    found: dict[str, str] = {}
    archs = next((line.split(" | ")[2:] for line in lines if line.startswith("| source")), [])
    place = next((n for n, arch in enumerate(archs) if "sm_90" in arch), 0)
    for line in lines:
        name = re.match(rf"\| ladder/{operation}\.cu \| `{operation}_(\d\d)::kernel(<32>|<4>|)` \| (.*) \|$", line)
        share = name and re.search(r"; (\d+)% FFMA", name[3].split(" | ")[place])
        if share:
            found[name[1]] = f"{100 / int(share[1]):.3g}"
    return found


def table(costs: dict[str, Cost], times: dict[str, dict], compiled: dict[str, str]) -> str:
    """As Markdown, a line for each rung.    times: the rows of gpu.py, by rung; compiled: `instructions`."""
    lines = [
        "| rung | bytes of global memory | of them written | turns of shared memory | by conflicts | multiply-adds | instructions for each | "
        "barriers | busy lanes | microseconds | % of PyTorch |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for rung, c in costs.items():
        time = times.get(rung)
        measured = [NOT_MEASURED, ""]
        if time:
            measured = [f"{1e6 * time['seconds']:.1f}", f"{100 * time['theirs'] / time['seconds']:.0f}"]
        cells = [f"{c.sectors_read + c.sectors_written:,}", f"{c.sectors_written:,}", f"{c.wavefronts:,}", f"{c.bank_conflicts:,}",
                 f"{c.multiply_adds:,}", compiled.get(rung[:2], ""), f"{c.barriers:,}", f"{c.busy_lanes:.0%}", *measured]  # fmt: skip
        lines.append(f"| `{rung}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def replaced(page: str, name: str, text: str) -> str:
    """The page with this text between the marks of a table.    Raises: ValueError if there are none."""
    marks = re.compile(rf"(<!-- {name}: benchmarks/ladder.py -->\n).*?(<!-- end -->)", re.DOTALL)
    if len(marks.findall(page)) != 1:
        raise ValueError(f"docs/ladder.md must have one place for the table {name!r}")
    return marks.sub(lambda found: found[1] + "\n" + text + "\n\n" + found[2], page)


def bounds(c: Cost, tensor_cores: bool = False) -> tuple[float, float, float]:
    """Operations per byte; the operations a second that memory allows at most, without caches; those that shared memory allows.

    A multiprocessor makes 128 multiply-adds a cycle, its tensor cores 1,024 in TF32, and its shared memory serves one turn.
    """
    flops, a_cycle = (FLOPS_TF32, 1024) if tensor_cores else (FLOPS, 128)
    intensity = 2 * c.multiply_adds / (c.sectors_read + c.sectors_written)
    cycles_of_arithmetic, cycles_of_shared = c.multiply_adds / a_cycle, c.wavefronts
    shared = flops * min(1.0, cycles_of_arithmetic / max(cycles_of_shared, 1e-9))
    return intensity, min(flops, intensity * BYTES_PER_SECOND), shared


def points(costs: dict[str, Cost]) -> Iterator[tuple[str, float, float]]:
    """(the rung's number, operations per byte, the lower of its bounds)"""
    for rung, cost in costs.items():
        intensity, memory, shared = bounds(cost, tensor_cores=rung in ON_TENSOR_CORES)
        yield rung[:2], intensity, min(memory, shared)


def roofline(found: dict[str, dict[str, Cost]], target: Path) -> None:
    """Draw the bounds of conv2d and attention under the ceilings."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 5.2))
    x = np.geomspace(0.05, 1000, 200)
    for ceiling, label, style in ((FLOPS, "float32, 51.1 TFLOP/s", "-"), (FLOPS_TF32, "TF32, 358 TFLOP/s", "--")):
        axes.plot(x, np.minimum(ceiling, x * BYTES_PER_SECOND) / 1e12, "k" + style, lw=1.2)
        axes.text(380, ceiling / 1e12 * 1.08, label, ha="right", fontsize=9)
    axes.text(0.5, 1.9, "memory, 2713 GB/s", rotation=37, fontsize=9)
    for operation, colour, marker in (("conv2d", "C0", "o"), ("attention", "C3", "s")):
        places: dict[tuple[float, float], list[str]] = {}
        for number, intensity, bound in points(found[operation]):
            places.setdefault((round(intensity, 2), bound), []).append(number)
        xs, ys = zip(*places, strict=True)
        axes.plot(xs, np.array(ys) / 1e12, marker, color=colour, label=f"{operation}: at most, by the counter", ms=7)
        for (intensity, bound), numbers in places.items():
            right = operation == "attention" or numbers[0] == "10"
            axes.annotate(", ".join(numbers), (intensity, bound / 1e12), textcoords="offset points", color=colour, fontsize=9,
                          xytext=(8, -13 if numbers[0] == "10" else -4) if right else (-8, {"05": -11, "06": 5}.get(numbers[0], -2)), ha="left" if right else "right")  # fmt: skip
    axes.set(xscale="log", yscale="log", xlim=(0.05, 400), ylim=(0.1, 600), ylabel="10^12 operations a second",
             xlabel="operations per byte of global memory (counted without caches)",
             title="The ladder under an H200's measured ceilings: bounds, not times")  # fmt: skip
    axes.legend(loc="lower right", fontsize=9)
    axes.grid(True, which="major", alpha=0.3)
    figure.tight_layout()
    figure.savefig(target, dpi=110, metadata={"Software": None})
    plt.close(figure)


def measured_times(path: Path) -> dict[str, dict[str, dict]]:
    """The rows of kind "ladder" in a report of gpu.py, by operation and rung; of several shapes the first."""
    found: dict[str, dict[str, dict]] = {}
    for row in json.loads(path.read_text())["results"]:
        if row["kind"] == "ladder" and "seconds" in row:
            found.setdefault(row["operation"], {}).setdefault(row["rung"], row)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=Path, help="a .json of benchmarks/gpu.py")
    options = parser.parse_args()
    times = measured_times(options.times) if options.times else {}
    found = counts()
    page = DOCS / "ladder.md"
    text = page.read_text()
    for operation, costs in found.items():
        text = replaced(text, operation, table(costs, times.get(operation, {}), instructions(operation)))
    page.write_text(text)
    roofline(found, PICTURE)
    print(f"wrote {page} and {PICTURE}")


if __name__ == "__main__":
    main()
