"""The results of gpu.py as Markdown."""

from __future__ import annotations

import statistics
from typing import Any


def report(everything: dict[str, Any]) -> str:
    """The whole page, of whatever is there."""
    rows = everything["results"]
    kinds = ("machine", "ceilings", "kernel", "ladder", "check", "step", "cut", "failed")
    of_kind = {kind: [row for row in rows if row["kind"] == kind] for kind in kinds}
    title = of_kind["machine"][0]["gpu"] if of_kind["machine"] else "an unknown GPU"
    lines = [f"# minidiff on {title}", ""]
    if everything["dry_run"]:
        lines += ["**A dry run on a CPU with tiny shapes: the figures mean nothing.**", ""]
    for machine in of_kind["machine"]:
        lines.append(
            f"{machine['multiprocessors']} multiprocessors, {machine['memory_gib']} GiB, L2 {machine['l2_mib']} MiB, driver for CUDA "
            f"{machine['driver']}, CuPy {machine['cupy']} (CUDA {machine['toolkit']}), PyTorch {machine['torch']}."
        )
    for ceilings in of_kind["ceilings"]:
        lines.append(
            f"Measured ceilings: {ceilings['bytes_per_second'] / 1e9:,.0f} GB/s (copy, read plus written), {ceilings['flops'] / 1e12:.1f} "
            f"TFLOP/s float32, {ceilings['flops_tf32'] / 1e12:.1f} TFLOP/s TF32 (products of large random matrices)."
        )
    lines += ["", f"`python benchmarks/gpu.py`, {everything['seconds']} s in all. What became of each part:", ""]
    lines += ["| part | outcome | seconds |", "|---|---|---|"]
    lines += [f"| {o['name']} | {outcome(o)} | {o['seconds']:.0f} |" for o in everything["outcomes"]]
    lines += [f"| {name} | not begun | |" for name in everything["missing"]]
    for cut in of_kind["cut"]:
        lines += ["", f"{cut['part']}: out of time at {cut['at']}."]
    for failure in of_kind["failed"]:
        lines += ["", f"{failure['part']} failed: `{failure['why']}`"]
    lines += training(of_kind["check"], of_kind["step"]) + kernels(of_kind["kernel"]) + ladder(of_kind["ladder"])
    for o in everything["outcomes"]:
        if o["state"] != "done" and o["tail"]:
            lines += ["", f"## The end of what `{o['name']}` said", "", "```", o["tail"].replace("```", "'''"), "```"]
    return "\n".join(lines) + "\n"


def outcome(part: dict) -> str:
    said = part["tail"].strip().splitlines()
    return part["state"] + (f": {said[-1].strip(' =')}" if part["state"] == "done" and said else "")


def training(checks: list[dict], steps: list[dict]) -> list[str]:
    """The table of the steps, and whether both libraries computed the same."""
    if not steps and not checks:
        return []
    lines = ["", "## MNIST U-Net: a training step and a sampling step", ""]
    for check in checks:
        line = f"{check['channels']} channels, batch {check['batch']}: "
        if "agrees" in check:
            line += f"both networks {verdict(check['agrees'])} (loss to {check['loss_error']:.1e}, "
            line += f"gradients to {check['gradient_error']:.1e} of their norm).  "
        elif "graph_agrees" in check:
            line += f"the losses with and without a CUDA graph {verdict(check['graph_agrees'])} ({check['graph_error']:.1e}).  "
        else:
            line += f"**a comparison failed**: `{check['failed']}`  "
        lines.append(line)
    lines += ["", "Median over rounds of 20 steps; the ratio is to PyTorch eager (below 1 is faster).", ""]
    lines += ["| channels | task | contestant | ms | spread | ratio | preparation, s | |", "|---|---|---|---|---|---|---|---|"]
    for step in steps:
        head = f"| {step['channels']} | {step['task']} | {step['contestant']} |"
        if "failed" in step:
            lines.append(f"{head} failed | | | | `{step['failed'][:200]}` |")
            continue
        eager = [
            s["seconds"] for s in steps
            if s["contestant"] == "PyTorch eager" and (s["channels"], s["task"]) == (step["channels"], step["task"]) and "seconds" in s
        ]  # fmt: skip
        ratio = f"{step['seconds'] / eager[0]:.2f}" if eager else ""
        note = step["note"].replace("|", "/")
        lines.append(f"{head} {1e3 * step['seconds']:.3f} | {step['spread']:.0%} | {ratio} | {step['preparation']} | {note} |")
    return lines


def verdict(agrees: bool) -> str:
    return "agree" if agrees else "**DO NOT AGREE**"


def kernels(rows: list[dict]) -> list[str]:
    """For each operation a table: our versions, PyTorch's, the floor, and the ratios that count."""
    lines: list[str] = []
    for operation in dict.fromkeys(row["operation"] for row in rows):
        mine = [row for row in rows if row["operation"] == operation]
        versions = list(mine[0]["ours"])
        tf32 = "tf32" in versions
        lines += ["", f"## {operation}", "", "Microseconds; * marks calls that could not be recorded in a CUDA graph, launches included."]
        lines += [f"Speed: PyTorch's time / ours (fast){', TF32 against TF32' if tf32 else ''}; floor: the floor's share of our time.", ""]
        lines.append(
            f"| shape | batch | {' | '.join(versions)} | PyTorch |{' PyTorch TF32 |' if tf32 else ''} floor | speed |"
            f"{' speed TF32 |' if tf32 else ''} share of floor | error of fast |"
        )
        lines.append("|---" * (len(versions) + 7 + 2 * tf32) + "|")
        speeds = []
        for row in sorted(mine, key=lambda r: (r["batch"], r["shape"])):
            fast, best = seconds(row["ours"].get("fast")), fastest(row["theirs"], tf32=False)
            theirs = seconds(row["theirs"].get(best))
            speed = theirs / fast if fast and theirs else None
            if speed:
                speeds.append(speed)
            cells = [row["shape"], str(row["batch"]), *(cell(row["ours"][v]) for v in versions), named(row["theirs"], best)]
            if tf32:
                best = fastest(row["theirs"], tf32=True)
                cells.append(named(row["theirs"], best))
            cells += [f"{1e6 * row['floor']:.1f}", f"{speed:.2f}" if speed else ""]
            if tf32:
                ours, others = seconds(row["ours"].get("tf32")), seconds(row["theirs"].get(best))
                cells.append(f"{others / ours:.2f}" if ours and others else "")
            error = row["errors"].get("fast")
            cells += [f"{row['floor'] / fast:.0%}" if fast else "", f"{error:.1e}" if error is not None else ""]
            lines.append(f"| {' | '.join(cells)} |")
        if speeds:
            lines += ["", f"Speed over these rows: median {statistics.median(speeds):.2f}, lowest {min(speeds):.2f}."]
    return lines


def ladder(rows: list[dict]) -> list[str]:
    """A table of the rungs. They are timed in CUDA graphs, as the versions are."""
    if not rows:
        return []
    lines = ["", "## The ladder", "", "Microseconds; share: PyTorch's time / the rung's. What each rung is: docs/ladder.md.", ""]
    lines += ["| operation | shape | rung | time | PyTorch | share |", "|---|---|---|---|---|---|"]
    for row in rows:
        share = f"{row['theirs'] / row['seconds']:.0%}" if "seconds" in row else ""
        lines.append(f"| {row['operation']} | {row['shape']} | {row['rung']} | {cell(row)} | {1e6 * row['theirs']:.1f} | {share} |")
    return lines


def fastest(theirs: dict[str, dict], tf32: bool) -> str:
    """Which of PyTorch's ways is its fastest, of those that may round to TF32 or of those that may not."""
    ways = [way for way in theirs if way.startswith("tf32") == tf32]
    return min(ways, key=lambda way: seconds(theirs[way]) or float("inf"), default="")


def named(theirs: dict[str, dict], way: str) -> str:
    """Its time, with its name where PyTorch has several ways."""
    several = len([w for w in theirs if w.startswith("tf32") == way.startswith("tf32")]) > 1
    return cell(theirs.get(way)) + (f" ({way.removeprefix('tf32, ')})" if several and way in theirs else "")


def seconds(entry: dict | None) -> float | None:
    return None if entry is None else entry.get("seconds")


def cell(entry: dict | None) -> str:
    if entry is None:
        return ""
    if "wrong" in entry:
        return f"**WRONG** ({entry['wrong']:.1e})"
    if "skipped" in entry:
        return entry["skipped"]
    if "failed" in entry:
        return f"failed: {entry['failed'][:60].replace('|', '/')}"
    return f"{1e6 * entry['seconds']:.1f}{'' if entry['graph'] else '*'}"
