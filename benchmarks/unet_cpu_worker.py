"""One contestant of unet_cpu.py: reads commands from stdin, answers each with one line of JSON.

train, sample: a warm-up call, then the seconds of one more, and how many cores other programs used meanwhile; memory: the peak of the first
training steps; profile: time by kind of operation.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import defaultdict
from functools import partial
from pathlib import Path


def squared_error(model, x_t, t, eps):
    from minidiff import functional as F

    return F.mse_loss(model(x_t, t), eps), None


def minidiff_contestant(job):
    import numpy as np
    from threadpoolctl import threadpool_info

    import minidiff as md
    from minidiff.kernels.cpu import native
    from minidiff.models import UNet, UNetConfig
    from minidiff.optim import AdamW
    from minidiff.sampling.predictor import predictor
    from minidiff.training.workers import Workers

    rng = md.RNG(0)
    model = UNet(UNetConfig(**job["network"]["settings"]), rng)
    optimizer = AdamW(model.named_parameters(), lr=1e-4)
    arrays = {"x_t": batch(job, rng.normal), "t": rng.integers(1, 1001, (job["batch"],)), "eps": batch(job, rng.normal)}
    workers = Workers(model, job["threads"]).__enter__()
    alone = Workers(model, 1)
    eps_theta = predictor(workers)

    def train():
        _, gradients, _ = workers.loss_and_gradients(squared_error, arrays)
        optimizer.step(gradients)

    def sample():
        eps_theta(arrays["x_t"], arrays["t"])

    def profile():
        """Core time of each operation and of its derivative, in one process."""
        with md.profile(show=False) as seen:
            for _ in range(REPEATS):
                _, gradients, _ = alone.loss_and_gradients(squared_error, arrays)
                with seen.section("optimiser"):
                    optimizer.step(gradients)
        spent = defaultdict(float)
        for row in seen.rows:
            family = row.name if row.phase == "section" else _FAMILY.get(row.name, "other")
            spent[family] += row.core_seconds
        return spent

    blas = next((f"{i['internal_api']} {i['version']}, kernels for {i.get('architecture', '?')}" for i in threadpool_info()
                 if i["user_api"] == "blas"), "an unknown BLAS")  # fmt: skip
    module, _ = native.load()
    facts = {"numpy": np.__version__, "blas": blas, "native": module.variant() if module else "none"}
    return train, sample, profile, {**facts, "parameters": model.parameter_count()}


def torch_contestant(job, layout="contiguous_format", bf16=False):
    import torch

    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "models"))
    from torch_unet import UNet

    torch.set_num_threads(job["threads"])
    torch.manual_seed(0)
    layout = getattr(torch, layout)
    model = UNet(**job["network"]["settings"]).to(memory_format=layout)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    x_t, eps = (batch(job, torch.randn).to(memory_format=layout) for _ in range(2))
    t = torch.randint(1, 1001, (job["batch"],))

    def train():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = torch.nn.functional.mse_loss(model(x_t, t).float(), eps)
        loss.backward()
        optimizer.step()

    def sample():
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            model(x_t, t)

    def profile():
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
            for _ in range(REPEATS):
                train()
        spent = defaultdict(float)
        for event in profiler.key_averages():
            name = event.key.removeprefix("aten::")
            spent[next((family for word, family in _TORCH_FAMILY.items() if word in name), "other")] += event.self_cpu_time_total / 1e6
        return spent

    return train, sample, profile, {"torch": torch.__version__, "capability": torch.backends.cpu.get_cpu_capability()}


REPEATS = 3
_FAMILY = {
    "conv2d": "convolution", "conv_transpose2d": "convolution", "group_norm": "normalisation and Swish",
    "group_norm_swish": "normalisation and Swish", "swish": "normalisation and Swish", "attention": "attention and linear",
    "linear": "attention and linear",
}  # fmt: skip
_TORCH_FAMILY = {  # the first word that an operation's name contains decides
    "conv": "convolution", "group_norm": "normalisation and Swish", "native_group": "normalisation and Swish",
    "silu": "normalisation and Swish", "attention": "attention and linear", "mm": "attention and linear", "Adam": "optimiser",
    "foreach": "optimiser",
}  # fmt: skip


def batch(job, normal):
    size = job["network"]["size"]
    return normal((job["batch"], job["network"]["settings"]["image_channels"], size, size))


def processes():
    """This process and its children."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return ["self", *children]


def cpu_seconds():
    """(of all programs, of this process and its children) since they started."""
    user, nice, system, _idle, _iowait, *interrupts = (int(n) for n in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:8])
    of_all = user + nice + system + sum(interrupts)
    own = 0
    for process in processes():
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        own += int(fields[11]) + int(fields[12])  # utime, stime
    ticks = os.sysconf("SC_CLK_TCK")
    return of_all / ticks, own / ticks


def timed(call):
    all_before, own_before = cpu_seconds()
    start = time.perf_counter()
    call()
    seconds = time.perf_counter() - start
    all_after, own_after = cpu_seconds()
    return {"seconds": seconds, "cores_of_others": (all_after - all_before - (own_after - own_before)) / seconds}


def memory_mib(process, entry):
    """VmRSS, what is in memory now, or VmHWM, the most since the mark was last reset."""
    line = next(line for line in Path(f"/proc/{process}/status").read_text().splitlines() if line.startswith(entry))
    return int(line.split()[1]) / 1024


CONTESTANTS = {
    "minidiff": minidiff_contestant,
    "torch": torch_contestant,
    "torch-bf16": partial(torch_contestant, bf16=True),
    "torch-channels-last": partial(torch_contestant, layout="channels_last"),
}


def main():
    train, sample, profile, facts = CONTESTANTS[sys.argv[1]](json.loads(sys.argv[2]))
    print(json.dumps(facts), flush=True)
    for line in sys.stdin:
        command = line.strip()
        if command == "quit":
            break
        if command in ("train", "sample"):
            call = train if command == "train" else sample
            call()
            answer = timed(call)
        elif command == "memory":
            before = {process: memory_mib(process, "VmRSS") for process in processes()}
            for process in before:
                Path(f"/proc/{process}/clear_refs").write_text("5")  # resets VmHWM
            train()
            train()
            answer = {"peak_mib": sum(memory_mib(process, "VmHWM") - rss for process, rss in before.items())}
        else:
            answer = {"families": {family: seconds * 1e3 / REPEATS for family, seconds in profile().items()}}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
