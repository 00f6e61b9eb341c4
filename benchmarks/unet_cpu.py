"""The same U-Net in minidiff and in PyTorch on this CPU, side by side: a training step, a sampling step, and the memory of a step.

    python benchmarks/unet_cpu.py                                # network W1: 32x32x1, 32/64/128 channels, batch 64; a few minutes
    python benchmarks/unet_cpu.py --network mnist --rounds 15    # that of examples/train_mnist_ddpm.py --patch-size 1
    python benchmarks/unet_cpu.py --write docs/benchmarks/unet_cpu.md

Each contestant is a process of its own, so that their thread pools don't disturb one another (minidiff's has worker processes below it);
they take turns, A B A B, with one warm-up call before each timed one. The ratio is the median of the rounds' ratios. A round in which other
programs used more than --others cores is measured again: it says little, and less about PyTorch, whose threads wait for one another.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
NETWORKS = {
    "w1": {"size": 32, "settings": {"image_channels": 1, "n_channels": 32, "ch_mults": [1, 2, 2], "cumulative": True}},
    "mnist": {"size": 28, "settings": {"image_channels": 1, "n_channels": 16, "ch_mults": [1, 2, 4]}},
}
VARIANTS = {"torch-bf16": "bf16 autocast", "torch-channels-last": "channels last"}  # of PyTorch
TASKS = {"train": "training step (forward, backward, AdamW)", "sample": "sampling step (forward only)"}


class Contestant:
    """A process that runs `unet_cpu_worker.py` and answers one line of JSON to each command."""

    def __init__(self, name: str, options: argparse.Namespace):
        job = {"network": NETWORKS[options.network], "batch": options.batch, "threads": options.threads}
        path = os.pathsep.join([str(HERE.parent), str(HERE.parent / "tests"), *sys.path])
        # a core type that is forced on OpenBLAS can halve the speed of NumPy's products; PyTorch does not read it
        forced = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
        environment = {key: value for key, value in os.environ.items() if key not in forced}
        environment |= {"OMP_NUM_THREADS": str(options.threads), "PYTHONPATH": path}
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "unet_cpu_worker.py"), name, json.dumps(job)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        self.facts = self.answer()

    def ask(self, command: str) -> dict:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self) -> dict:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the worker process ended early, with code {self.process.wait()}")
        return json.loads(line)

    def close(self) -> None:
        self.process.communicate("quit\n")


def measure(options: argparse.Namespace) -> dict:
    """Everything that the report says."""
    contestants = {name: Contestant(name, options) for name in ("minidiff", "torch", *VARIANTS)}
    # Fresh processes: the first training step of each is the one whose memory is looked at, before allocators have settled
    memory = {name: c.ask("memory") for name, c in contestants.items()}
    seconds: dict[str, dict[str, list[float]]] = {task: {name: [] for name in contestants} for task in TASKS}
    rounds, disturbed = 0, 0
    while rounds < options.rounds and disturbed < 10 * options.rounds:
        answers = {task: {name: c.ask(task) for name, c in contestants.items()} for task in TASKS}
        others = max(answer["cores_of_others"] for of_task in answers.values() for answer in of_task.values())
        quiet = others <= options.others
        rounds, disturbed = rounds + quiet, disturbed + (not quiet)
        for task in TASKS if quiet else ():
            for name in contestants:
                seconds[task][name].append(answers[task][name]["seconds"])
        times = ", ".join(" / ".join(f"{answer['seconds']:.3f}" for answer in answers[task].values()) for task in TASKS)
        print(f"{'round ' + str(rounds) if quiet else 'disturbed'}: {times} s; {others:.2f} cores of others", file=sys.stderr, flush=True)
    if not rounds:
        raise SystemExit(f"other programs used more than {options.others} of a core in each of {disturbed} rounds: try again later")
    families = {name: contestants[name].ask("profile")["families"] for name in ("minidiff", "torch")}
    facts = {name: c.facts for name, c in contestants.items()}
    for contestant in contestants.values():
        contestant.close()
    return {
        "options": dict(vars(options)), "facts": facts, "memory": memory, "seconds": seconds, "disturbed": disturbed, "families": families,
        "machine": machine(),
    }  # fmt: skip


def machine() -> dict:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    found = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    cpu = found.get("model name", "unknown CPU")
    if "cpu family" in found:
        cpu += f" (family {found['cpu family']}, model {found.get('model', '?')})"
    return {"cpu": cpu, "cores": len(os.sched_getaffinity(0)), "python": platform.python_version(), "system": platform.platform()}


def report(result: dict) -> str:
    """The result as Markdown."""
    options, facts, families = result["options"], result["facts"], result["families"]
    lines = [
        f"# U-Net on a CPU: minidiff beside PyTorch (network {options['network']}, batch {options['batch']}, {options['threads']} cores)",
        "",
        f"{result['machine']['cpu']}, {result['machine']['cores']} cores; NumPy {facts['minidiff']['numpy']} "
        f"with {facts['minidiff']['blas']}, native kernels: {facts['minidiff']['native']}; "
        f"PyTorch {facts['torch']['torch']} eager ({facts['torch']['capability']}); {facts['minidiff']['parameters']:,} parameters. "
        f"Medians of {len(result['seconds']['train']['torch'])} rounds, the quartiles in brackets; the ratio is the median of the rounds' "
        f"ratios. {result['disturbed']} rounds in which other programs used more than {options['others']} of a core were left out.",
        "",
        f"| | minidiff | PyTorch | ratio | {' | '.join(f'ratio to {words}' for words in VARIANTS.values())} |",
        f"|---|---|---|---|{'---|' * len(VARIANTS)}",
    ]
    for task, words in TASKS.items():
        ours, theirs = result["seconds"][task]["minidiff"], result["seconds"][task]["torch"]
        others = [_spread(_ratios(ours, result["seconds"][task][variant]), "") for variant in VARIANTS]
        ratio = f"**{_spread(_ratios(ours, theirs), '')}**"
        lines.append(f"| {words} | {_spread(ours, 's')} | {_spread(theirs, 's')} | {' | '.join([ratio, *others])} |")
    ours, theirs = (result["memory"][name]["peak_mib"] for name in ("minidiff", "torch"))
    lines.append(f"| peak memory of a training step, above the idle process | {ours:.0f} MiB | {theirs:.0f} MiB | {ours / theirs:.2f} |{' |' * len(VARIANTS)}")
    lines += ["", "A training step by kind of operation (minidiff: core time, all in one process; PyTorch: by its profiler):", ""]
    lines += ["| | minidiff, core ms | share | PyTorch, ms | share |", "|---|---|---|---|---|"]
    totals = {name: sum(of.values()) for name, of in families.items()}
    for family in sorted(set(families["minidiff"]) | set(families["torch"]), key=lambda f: -families["minidiff"].get(f, 0)):
        ours, theirs = (families[name].get(family, 0.0) for name in ("minidiff", "torch"))
        lines.append(f"| {family} | {ours:.0f} | {ours / totals['minidiff']:.0%} | {theirs:.0f} | {theirs / totals['torch']:.0%} |")
    lines.append(f"| sum | {totals['minidiff']:.0f} | | {totals['torch']:.0f} | |")
    return "\n".join(lines) + "\n"


def _ratios(ours: list[float], theirs: list[float]) -> list[float]:
    return [a / b for a, b in zip(ours, theirs, strict=True)]


def _spread(values: list[float], unit: str) -> str:
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    return f"{middle:.2f}{' ' + unit if unit else ''} ({low:.2f}-{high:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=NETWORKS, default="w1")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--others", type=float, default=0.15, metavar="CORES", help="what other programs may use in a round that counts")
    parser.add_argument("--write", type=Path, metavar="FILE.md", help="write the report there, and the figures beside it as .json")
    options = parser.parse_args()
    result = measure(options)
    text = report(result)
    print(text)
    if options.write:
        options.write.parent.mkdir(parents=True, exist_ok=True)
        command = " ".join(["python", "benchmarks/unet_cpu.py", *sys.argv[1:]])
        options.write.write_text(f"{text}\nMade by `{command}`.\n")
        result["options"]["write"] = str(options.write)
        options.write.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
