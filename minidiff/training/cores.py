"""The number of processes that are worth starting on this machine."""

from __future__ import annotations

import math
import os
from pathlib import Path

from minidiff.engine import debug

CGROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")


def available_cores() -> int:
    """The number of cores that this process may use, at least 1.

    A container's quota of CPU time counts, too: 2.5 cores are 2.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min(cores, math.floor(cpu_quota())))


def default_count() -> int:
    """One for each core, at most 8. Under a debugger 1: two processes at one prompt help nobody."""
    return 1 if debug.attached() else min(available_cores(), 8)


def cpu_quota() -> float:
    """The CPU time per time that the control groups of Linux allow; 1024 where there is no limit.

    The limit may be that of any group above the process's own.
    """
    quotas = [1024.0]
    for folder in _folders():
        try:  # version 2 of the groups: "200000 100000", or "max 100000"
            quota, period = (folder / "cpu.max").read_text().split()
        except (OSError, ValueError):
            try:  # version 1: -1 is no limit
                quota = (folder / "cpu.cfs_quota_us").read_text().strip()
                period = (folder / "cpu.cfs_period_us").read_text().strip()
            except (OSError, ValueError):
                continue
        if quota.isdecimal() and period.isdecimal() and int(period) > 0:
            quotas.append(int(quota) / int(period))
    return min(quotas)


def _folders() -> list[Path]:
    """The folders of the process's group and of those above it, by both versions."""
    roots = [(CGROUPS, "/"), (CGROUPS / "cpu", "/"), (CGROUPS / "cpu,cpuacct", "/")]
    try:
        lines = OWN_GROUPS.read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:  # "0::/user.slice" or "4:cpu,cpuacct:/docker/0a1b"
        _, controllers, path = (line.split(":", 2) + ["", ""])[:3]
        if not controllers:
            roots.append((CGROUPS, path))
        elif "cpu" in controllers.split(","):
            roots += [(CGROUPS / "cpu", path), (CGROUPS / controllers, path)]
    found = []
    for root, path in roots:
        inner = root / path.lstrip("/")
        found += [folder for folder in (inner, *inner.parents) if folder.is_relative_to(root)]
    return list(dict.fromkeys(found))
