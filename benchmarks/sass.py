"""What nvcc makes of the kernels: registers, shared memory, spills, and how much of each hot loop is multiply-adds. Needs no GPU.

    python benchmarks/sass.py                                # all sources, for sm_75, 80, 90 and 100: docs/benchmarks/compiled_kernels.md
    python benchmarks/sass.py conv2d/fast.cu --archs 90 --out /tmp/one.md

Registers and spills are what `nvcc -Xptxas -v` says. The hot loop is read from the machine code (SASS), which nvdisasm writes down; pip has it:
nvidia-cuda-nvdisasm. Without it those columns stay empty, and the page says so.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
CSRC = ROOT / "csrc"
PAGE = ROOT / "docs" / "benchmarks" / "compiled_kernels.md"
ARCHS = (75, 80, 90, 100)
DEFAULT = ("conv2d/fast.cu", "conv2d/tf32x3.cu", "conv2d/tf32x3_channels_last.cu", "conv2d/tf32x3_warpgroup.cu", "attention/fast_forward.cu", "attention/fast_backward.cu",
           "attention/tf32_forward.cu", "attention/tf32_backward.cu", "group_norm/")  # fmt: skip
SHARE = 0.8  # of the hot loop of a default version that should be multiply-adds
MULTIPLY_ADDS = ("FFMA", "FFMA2", "HMMA", "HGMMA")  # one number a lane, two, a tile of a warp's, of a warpgroup's


WHAT_THE_REST_IS = [
    "What the other instructions of a convolution's loop are (the table below counts the first two):",
    "",
    "- reads of shared memory, 16 bytes each;",
    "- copies of single numbers, three instructions each: one makes the address, one finds whether it lies inside, one copies. "
    "The taps of a 3 x 3 kernel shift the pixels by one, so that four cannot be copied at once;",
    "- what each slab takes once, about 30: waiting, the barrier, which stage comes next, the table of the taps (2 to 5), and before each group of copies "
    "three LDS that the assembler puts there and that never run (`@!PT`). For a weight gradient 15 more: which image, row and column a pixel is (two divisions "
    "by multiplication, two tables). The blocks that add up the bias gradient have a loop of their own.",
    "",
    "So 32 x 32 cannot reach 80 %. 64 x 64 has slabs of 16 k, which halve what a slab takes once; the others could have them, too, but for 128 x 128, whose shared "
    "memory would grow beyond what a kernel may declare (49,152 bytes). In attention a thread with 2 rows has, for 32 multiply-adds of Q K^T, 6 reads (84 % at most), and for 8 of "
    "P^T dO, with a head of 32 numbers, 2 (80 % at most, without a loop around them).",
]


class Compiled(NamedTuple):
    """One kernel for one architecture, as ptxas reports it. Bytes."""

    kernel: str
    registers: int
    shared: int
    stack: int
    spilled: int  # stores and loads


class Loop(NamedTuple):
    """The loop of a kernel with the most multiply-adds."""

    instructions: int
    multiply_adds: int
    kind: str  # "FFMA" or "HMMA"

    @property
    def share(self) -> float:
        return self.multiply_adds / self.instructions


def reported(said: str) -> list[Compiled]:
    """The kernels in the output of `-Xptxas -v`."""
    found = []
    for entry in re.split(r"^ptxas info\s*: Compiling entry function '", said, flags=re.MULTILINE)[1:]:
        stack, stores, loads = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", entry).groups()
        registers = re.search(r"Used (\d+) registers", entry)[1]
        shared = re.search(r"(\d+) bytes smem", entry)
        found.append(Compiled(entry.partition("'")[0], int(registers), int(shared[1]) if shared else 0, int(stack), int(stores) + int(loads)))
    return found


def functions(sass: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """(mangled name, [(opcode or "label", operands)]) of each function in nvdisasm's text."""
    for part in re.split(r"^\s*\.section\s+\.text\.", sass, flags=re.MULTILINE)[1:]:
        lines = []
        for line in part.splitlines():
            if label := re.match(r"\s*(\.L_\w+):", line):
                lines.append(("label", label[1]))
            elif code := re.match(r"\s*/\*[0-9a-f]+\*/\s+(?:@!?\w+\s+)?([A-Z][A-Z0-9_]*)[^\s;]*\s*([^;]*);", line):
                lines.append((code[1], code[2]))
        yield re.match(r"[\w$.]+", part)[0].rstrip(","), lines


def most(kernel: str) -> float | None:
    """The share of FFMA that no loop over slabs of this RegisterTile (csrc/common/tile.h) exceeds; None for other kernels.

    What the loop itself takes is not in it.
    """
    found = needed(kernel)
    return found.multiply_adds / (found.multiply_adds + found.reads + 3 * found.copies) if found else None


class Needed(NamedTuple):
    """What a thread of a RegisterTile has to do for 8 k."""

    tile: str
    multiply_adds: int
    reads: int  # of shared memory: its rows and columns of each k, four numbers by one instruction
    copies: int  # of numbers: its part of a slab, by three instructions for each


def needed(kernel: str) -> Needed | None:
    """None for a kernel without a RegisterTile."""
    if not (found := re.search(r"RegisterTile<(\d+), (\d+), (\d+), (\d+), ", kernel)):
        return None
    m, n, rows, columns = map(int, found.groups())
    threads = m // rows * (n // columns)
    return Needed(f"{m} x {n}, {rows} x {columns} a thread", 8 * rows * columns, 8 * (rows + columns) // 4, 8 * (m + n) // threads)


def hot_loop(lines: list[tuple[str, str]]) -> Loop | None:
    """The loop with the most multiply-adds of its own, which are not those of loops inside of it; of several, the shortest."""
    places = {name: number for number, (what, name) in enumerate(lines) if what == "label"}
    loops: dict[tuple[int, int], Loop] = {}
    for number, (opcode, operands) in enumerate(lines):
        target = re.search(r"\.L_\w+", operands)
        if opcode == "BRA" and target and places.get(target[0], number) < number:
            body = [what for what, _ in lines[places[target[0]] : number + 1] if what not in ("label", "NOP")]
            counts = {kind: sum(what in kinds for what in body) for kind, kinds in (("FFMA", MULTIPLY_ADDS[:2]), ("HMMA", MULTIPLY_ADDS[2:]))}
            kind = "HMMA" if counts["HMMA"] else "FFMA"
            if counts[kind]:
                loops[places[target[0]], number] = Loop(len(body), counts[kind], kind)

    def inside(place: tuple[int, int]) -> list[tuple[int, int]]:
        return [other for other in loops if other != place and place[0] <= other[0] and other[1] <= place[1]]

    def own(place: tuple[int, int]) -> int:
        inner = inside(place)
        return loops[place].multiply_adds - sum(loops[one].multiply_adds for one in inner if not any(one in inside(other) for other in inner))

    hottest = max(loops, key=lambda place: (own(place), -loops[place].instructions), default=None)
    return loops[hottest] if hottest else None


def tool(name: str) -> str | None:
    """Its path: in CUDA_HOME, on PATH, or from pip."""
    folders = [Path(os.environ["CUDA_HOME"], "bin")] if os.environ.get("CUDA_HOME") else []
    folders += [Path(path, "nvidia", "cu13", "bin") for path in [*sys.path, sysconfig.get_path("purelib")]]
    found = next((folder / name for folder in folders if (folder / name).exists()), None)
    return str(found) if found else shutil.which(name)


def compiled(source: str, arch: int, nvcc: str, nvdisasm: str | None) -> tuple[list[Compiled], dict[str, Loop | None]]:
    """The kernels of a source for an architecture, and their hot loops by kernel.    Raises: RuntimeError if nvcc fails."""
    texts = [CSRC / source, *sorted(CSRC.rglob("*.h")), *sorted(CSRC.glob("ladder/*/*.cu"))]
    stamp = hashlib.sha256(b"".join([nvcc.encode(), *(path.read_bytes() for path in texts)])).hexdigest()[:12]
    target = ROOT / "build" / "sass" / f"{source.replace('/', '_')}-{arch}-{stamp}.cubin"
    said = target.with_suffix(".txt")
    if not said.exists():  # what was compiled before need not be compiled again
        target.parent.mkdir(parents=True, exist_ok=True)
        command = [nvcc, "-std=c++17", "-O3", f"-I{CSRC}", "-cubin", f"-arch=sm_{'90a' if arch == 90 else arch}", "-Xptxas", "-v", str(CSRC / source), "-o", str(target)]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode:
            raise RuntimeError(f"{source} for sm_{arch}: nvcc fails\n{result.stderr}")
        said.write_text(result.stderr + result.stdout)
    kernels = reported(said.read_text())
    if nvdisasm is None:
        return kernels, {}
    sass = subprocess.run([nvdisasm, "-c", str(target)], capture_output=True, text=True, check=True).stdout
    return kernels, {name: hot_loop(lines) for name, lines in functions(sass)}


def readable(names: list[str]) -> list[str]:
    """Without mangling, parameters and namespaces without a name; as they are where there is no c++filt."""
    if not shutil.which("c++filt"):
        return names
    said = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True).stdout.splitlines()
    return [shortened(name) for name in said]


def shortened(name: str) -> str:
    name = re.sub(r"\(anonymous namespace\)::|^void |\((?:int|bool)\)|\(anonymous namespace\)", "", name)
    depth = 0
    for place, letter in enumerate(name):  # the parameters begin at the first bracket outside of <...>
        depth += {"<": 1, ">": -1}.get(letter, 0)
        if letter == "(" and not depth:
            return name[:place]
    return name


def is_default(source: str, kernel: str) -> bool:
    """Whether it belongs to what runs if nobody chooses."""
    return source.startswith(DEFAULT) and "naive" not in kernel


def page(rows: dict[tuple[str, str], dict[int, tuple[Compiled, Loop | None]]], archs: list[int], notes: list[str]) -> str:
    """As Markdown: a line for each kernel."""
    lines = [
        "# What nvcc makes of the kernels",
        "",
        "Written by `python benchmarks/sass.py`. For each kernel and architecture: registers a thread / bytes of shared memory that the kernel "
        "declares (what a launch adds is not in it) / bytes spilled to memory; then how much of the hot loop, the loop with most multiply-adds, "
        "is FFMA, or HMMA for tensor cores, of how many instructions. A loop of tensor cores has few, large instructions: its share says little. "
        "Where the compiler unrolls small products into the loop around them, the share is that of the whole loop.",
        "",
        *WHAT_THE_REST_IS,
        "",
        *notes,
        "",
        "| source | kernel | " + " | ".join(f"sm_{arch}" for arch in archs) + " |",
        "|---|---|" + "---|" * len(archs),
    ]
    for (source, kernel), found in rows.items():
        cells = [cell(*found[arch]) if arch in found else "" for arch in archs]
        mark = "**" if is_default(source, kernel) else ""
        lines.append(f"| {source} | {mark}`{kernel}`{mark} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def cell(kernel: Compiled, loop: Loop | None) -> str:
    spilled = f"**{kernel.spilled}**" if kernel.spilled else "0"
    text = f"{kernel.registers} / {kernel.shared:,} / {spilled}"
    return text + (f"; {loop.share:.0%} {loop.kind} of {loop.instructions}" if loop else "")


def judged(rows: dict[tuple[str, str], dict[int, tuple[Compiled, Loop | None]]], arch: int) -> list[str]:
    """What the default versions (bold in the table) miss on this architecture: a spill, or a hot loop of less than 80 % FFMA."""
    spilling, slow, good = [], [], 0
    for (source, kernel), found in rows.items():
        if not is_default(source, kernel) or arch not in found:
            continue
        entry, loop = found[arch]
        if entry.spilled:
            spilling.append(f"`{kernel}` ({entry.spilled} bytes)")
        if loop and loop.kind == "FFMA" and loop.multiply_adds >= 64:
            if loop.share < SHARE:
                limit = most(kernel)
                slow.append(f"`{kernel}` ({loop.share:.0%}{f', at most {limit:.0%}' if limit else ''})")
            else:
                good += 1
    lines = [f"Default versions (bold) on sm_{arch}: " + ("no spills." if not spilling else f"spills in {', '.join(spilling)}.")]
    if good or slow:
        lines.append(f"Hot loops of FFMA with 64 or more of them: {good} have at least {SHARE:.0%}, {len(slow)} less"
                     + (f": {', '.join(slow)}." if slow else "."))  # fmt: skip
    return lines


def ceilings(rows: dict[tuple[str, str], dict[int, tuple[Compiled, Loop | None]]], arch: int) -> list[str]:
    """For each RegisterTile what its loop needs at least, and what share it reaches."""
    reached: dict[Needed, dict[str, str]] = {}
    for (_, kernel), found in rows.items():
        tile, loop = needed(kernel), found.get(arch, (None, None))[1]
        if tile and loop:
            reached.setdefault(tile, {})[kernel.partition("<")[0]] = f"{loop.share:.1%}"
    if not reached:
        return []
    lines = [
        f"What a thread of each tile has to do for 8 k, and how much of its loop is multiply-adds on sm_{arch}:",
        "",
        "| tile | multiply-adds | reads of 16 bytes, at least | numbers copied | at most | forward, input gradient | weight gradient |",
        "|---|---|---|---|---|---|---|",
    ]
    for tile, shares in sorted(reached.items(), key=lambda item: (-item[0].multiply_adds, item[0].copies)):
        most_of_tile = tile.multiply_adds / (tile.multiply_adds + tile.reads + 3 * tile.copies)
        cells = [tile.tile, tile.multiply_adds, tile.reads, tile.copies, f"{most_of_tile:.0%}", shares.get("correlate", ""), shares.get("weight_gradient", "")]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="*", help="below csrc/, such as conv2d/fast.cu; all, if none is named")
    parser.add_argument("--archs", type=int, nargs="*", default=list(ARCHS))
    parser.add_argument("--out", type=Path, default=PAGE)
    options = parser.parse_args()
    nvcc, nvdisasm = tool("nvcc"), tool("nvdisasm")
    if nvcc is None:
        raise SystemExit('sass.py: no nvcc in CUDA_HOME, PATH or the pip package "cuda-toolkit[nvcc,cudart,cccl]"')
    sources = options.sources or sorted(str(path.relative_to(CSRC)) for path in CSRC.glob("*/*.cu") if path.parent.name != "exercises")
    rows: dict[tuple[str, str], dict[int, tuple[Compiled, Loop | None]]] = {}
    # no tensor cores for TF32 before 8.0
    jobs = [(source, arch) for source in sources for arch in options.archs if arch >= 80 or not Path(source).name.startswith("tf32")]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        results = list(pool.map(lambda job: compiled(*job, nvcc, nvdisasm), jobs))
    for (source, arch), (kernels, loops) in zip(jobs, results, strict=True):
        for name, kernel in zip(readable([k.kernel for k in kernels]), kernels, strict=True):
            rows.setdefault((source, name), {})[arch] = kernel, loops.get(kernel.kernel)
    version = re.search(r"release (\S+),", subprocess.run([nvcc, "--version"], capture_output=True, text=True).stdout)
    notes = [f"nvcc {version[1] if version else 'of unknown version'}."]
    if nvdisasm is None:
        notes.append("No nvdisasm was found, so that there are no hot loops: pip install nvidia-cuda-nvdisasm")
    for arch in (90,):
        notes += ["", *judged(rows, arch), "", *ceilings(rows, arch)] if arch in options.archs else []
    options.out.write_text(page(dict(sorted(rows.items())), options.archs, notes))
    print("\n".join(notes), f"wrote {options.out}", sep="\n")


if __name__ == "__main__":
    main()
