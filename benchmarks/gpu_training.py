"""Part of gpu.py: a training step and a sampling step of the MNIST U-Net, beside the same network in PyTorch."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from gpu_timing import Ours, Theirs

from minidiff import kernels
from minidiff.data import Loader
from minidiff.diffusion.ddim import ddim_steps
from minidiff.diffusion.losses import L_simple
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.backend import to_cpu, to_device
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor, gradients
from minidiff.models import UNet, UNetConfig
from minidiff.optim import AdamW
from minidiff.sampling.predictor import predictor
from minidiff.training.cuda_graph import RecordedPredictor
from minidiff.training.trainer import Trainer, TrainerSettings
from minidiff.training.workers import Workers

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "models"))

SCHEDULE = make_schedule("linear", 1000)
EMA, MAX_NORM, LR = 0.995, 1.0, 2e-3
TOLERANCE = 1e-4  # of the loss and of the gradient's norm; float32 in another order


class Setting:
    """The network, the batch and how often to measure."""

    def __init__(self, channels: int, dry: bool):
        self.channels = channels
        self.batch, self.size, self.steps, self.rounds = (4, 4, 2, 1) if dry else (128, 28, 20, 5)
        self.network: dict[str, Any] = {"image_channels": 1, "n_channels": channels, "ch_mults": [1, 2, 2], "is_attn": [False, False, True]}
        if dry:
            self.network = {"image_channels": 1, "n_channels": 4, "ch_mults": [1], "is_attn": [False], "n_heads": 1}
        rng = np.random.default_rng(0)
        self.images = rng.integers(0, 256, (self.batch * 8, 1, self.size, self.size), np.uint8)
        self.shape = (self.batch, 1, self.size, self.size)


Maker = Callable[[], tuple[Callable[[int], Any], Callable[[], str]]]


def run(emit: Callable[[dict], None], channels: int, out_of_time: Callable[[], bool], dry: bool) -> None:
    """Measure minidiff and PyTorch, those with a CUDA graph first, and hand each result to `emit`.

    Both try out their convolutions at the first step.
    """
    kernels.tune_plans()
    setting, ours, theirs = Setting(channels, dry), Ours(), Theirs()
    for check in (lambda: same_network(setting, ours, theirs), lambda: same_losses(setting)):
        try:
            found = check()
        except Exception as problem:  # the steps can be timed all the same
            found = {"failed": f"{type(problem).__name__}: {problem}"[:500]}
        emit({"kind": "check", "channels": channels, "batch": setting.batch, **found})
    contestants: list[tuple[str, str, Maker]] = [
        ("train", "minidiff, CUDA graph", lambda: our_training(setting, graph=True)),
        ("train", "PyTorch, CUDA graph", lambda: their_recorded_training(setting, theirs)),
        ("sample", "minidiff, CUDA graph", lambda: our_sampling(setting, graph=True)),
        ("sample", "PyTorch, CUDA graph", lambda: their_recorded_sampling(setting, theirs)),
        ("train", "PyTorch eager", lambda: their_training(setting, theirs, compiled=False)),
        ("sample", "PyTorch eager", lambda: their_sampling(setting, theirs, compiled=False)),
        ("train", "minidiff, call by call", lambda: our_training(setting, graph=False)),
        ("sample", "minidiff, call by call", lambda: our_sampling(setting, graph=False)),
    ]
    compete(emit, setting, contestants, ours, theirs, out_of_time)


def run_compiled(emit: Callable[[dict], None], channels: int, out_of_time: Callable[[], bool], dry: bool) -> None:
    """Measure torch.compile, whose preparation takes longest."""
    setting, theirs = Setting(channels, dry), Theirs()
    contestants: list[tuple[str, str, Maker]] = [
        ("train", "torch.compile", lambda: their_training(setting, theirs, compiled=not dry)),
        ("sample", "torch.compile", lambda: their_sampling(setting, theirs, compiled=not dry)),
    ]
    compete(emit, setting, contestants, None, theirs, out_of_time)


def compete(emit: Callable[[dict], None], setting: Setting, contestants: list[tuple[str, str, Maker]], ours: Any, theirs: Theirs,
            out_of_time: Callable[[], bool]) -> None:  # fmt: skip
    """Prepare, warm up and time one after another."""
    row = {"channels": setting.channels, "batch": setting.batch}
    for task, name, make in contestants:
        if out_of_time():
            emit({"kind": "cut", "part": f"training {setting.channels}", "at": f"{task}, {name}"})
            continue
        try:
            library = ours if name.startswith("minidiff") else theirs
            begin = time.perf_counter()
            call, note = make()
            call(3)
            library.synchronize()
            warmed = time.perf_counter() - begin
            samples = [library.elapsed(lambda call=call: call(setting.steps), 1) / setting.steps for _ in range(setting.rounds)]
            emit({"kind": "step", **row, "task": task, "contestant": name, "seconds": statistics.median(samples),
                  "spread": round((max(samples) - min(samples)) / statistics.median(samples), 3), "preparation": round(warmed, 1),
                  "note": note()})  # fmt: skip
        except Exception as problem:  # torch.compile may lack a compiler, a graph memory: the others go on
            emit({"kind": "step", **row, "task": task, "contestant": name, "failed": f"{type(problem).__name__}: {problem}"[:400]})


def build(setting: Setting) -> UNet:
    return UNet(UNetConfig(**setting.network), RNG(0)).to("cuda")  # type: ignore[return-value]


def torch_twin(setting: Setting, theirs: Theirs) -> Any:
    """The U-Net in PyTorch with the same parameters."""
    from torch_unet import UNet as TorchUNet

    network = TorchUNet(**setting.network)
    state = UNet(UNetConfig(**setting.network), RNG(0)).state_dict()
    network.load_state_dict({name: theirs.torch.from_numpy(np.array(array)) for name, array in state.items()})
    return network.to(theirs.device)


def same_network(setting: Setting, ours: Ours, theirs: Theirs) -> dict:
    """Loss and gradient of one batch in both libraries: that the same thing is measured."""
    rng = np.random.default_rng(1)
    x_t, eps = (rng.standard_normal(setting.shape, dtype=np.float32) for _ in range(2))
    t = rng.integers(1, 1001, setting.batch)
    model, network = build(setting), torch_twin(setting, theirs)
    loss = L_simple(to_device(eps, "cuda"), model(Tensor(to_device(x_t, "cuda")), t))
    names = dict(model.named_parameters())
    found = dict(zip(names, gradients(loss, list(names.values())), strict=True))
    their_loss = ((network(theirs.array(x_t), theirs.array(t)) - theirs.array(eps)) ** 2).mean()
    their_loss.backward()
    worst = 0.0
    norm = float(sum(float((p.grad.double() ** 2).sum()) for p in network.parameters())) ** 0.5
    for name, parameter in network.named_parameters():
        difference = to_cpu(found[name]).astype(np.float64) - parameter.grad.cpu().numpy()
        worst = max(worst, float(np.linalg.norm(difference)) / norm)
    error = abs(float(to_cpu(loss.data)) - float(their_loss.detach())) / float(their_loss.detach())
    return {"loss_error": error, "gradient_error": worst, "agrees": bool(error <= TOLERANCE and worst <= TOLERANCE)}


def same_losses(setting: Setting) -> dict:
    """The losses of some steps with and without a CUDA graph, from the same seeds: the kernels are the same, and so must be the numbers."""
    losses = []
    for graph in (False, True):
        call, _, trainer = our_trainer(setting, graph)
        call(8)
        losses.append(trainer.losses)
    error = float(np.abs(losses[0] - losses[1]).max() / np.abs(losses[0]).max())
    return {"graph_error": error, "graph_agrees": bool(error <= TOLERANCE)}


# -- minidiff ----------------------------------------------------------------------------------------------------


def our_training(setting: Setting, graph: bool) -> tuple[Callable[[int], Any], Callable[[], str]]:
    return our_trainer(setting, graph)[:2]


def our_trainer(setting: Setting, graph: bool) -> tuple[Callable[[int], Any], Callable[[], str], Trainer]:
    """(n steps of the Trainer, what is to be said about them, the Trainer)"""
    rng, model = RNG(1), build(setting)
    loader = Loader(setting.images, None, setting.batch, rng, drop_last=True)
    optimizer = AdamW(model.named_parameters(), lr=LR, weight_decay=0.0)
    trainer = Trainer(model, SCHEDULE, loader, optimizer, RNG(2, "cuda"), TrainerSettings(ema_decay=EMA, max_norm=MAX_NORM, graph=graph))
    steps = trainer.steps(Workers(model, 1))

    def note() -> str:
        recorded = trainer.recorded.recorded if trainer.recorded is not None else None
        said = "" if recorded is None else f"{recorded.launches} launches; {recorded.reason or 'recorded'}; "
        return said + f"losses {trainer.losses[0]:.4f} ... {trainer.losses[-1]:.4f}"

    return lambda n: [next(steps) for _ in range(n)][-1], note, trainer


def our_sampling(setting: Setting, graph: bool) -> tuple[Callable[[int], Any], Callable[[], str]]:
    """(n steps of DDIM, what is to be said about them)"""
    model = build(setting)
    model.eval()
    eps_theta = RecordedPredictor(model) if graph else predictor(Workers(model, 1))

    def endless() -> Iterator[Any]:
        while True:
            yield from ddim_steps(eps_theta, setting.shape, SCHEDULE, RNG(3, "cuda"), steps=1000, clip=1.0)

    steps = endless()
    last: list[Any] = []

    def call(n: int) -> None:
        for _ in range(n):
            last[:] = [next(steps)]

    def note() -> str:
        finite = bool(np.isfinite(to_cpu(last[0].x_prev)).all())
        said = f"{eps_theta.recorded.launches} launches; {eps_theta.recorded.reason or 'recorded'}; " if graph else ""
        return said + ("finite" if finite else "NOT FINITE")

    return call, note


# -- PyTorch: the same work, written as one would there ------------------------------------------------------------


def their_training(setting: Setting, theirs: Theirs, compiled: bool) -> tuple[Callable[[int], Any], Callable[[], str]]:
    torch, device = theirs.torch, theirs.device
    network = torch_twin(setting, theirs)
    average = [p.detach().clone() for p in network.parameters()]
    optimizer = torch.optim.AdamW(network.parameters(), lr=LR, weight_decay=0.0, fused=device == "cuda")
    model = torch.compile(network, mode="reduce-overhead") if compiled else network
    alpha_bar = torch.as_tensor(SCHEDULE.tables["alpha_bar"], dtype=torch.float32, device=device)
    order, losses = np.random.default_rng(0), []

    def step() -> None:
        chosen = order.integers(0, len(setting.images), setting.batch)
        x_0 = torch.from_numpy(setting.images[chosen].astype(np.float32) * np.float32(2 / 255) - 1).to(device, non_blocking=True)
        t = torch.randint(1, 1001, (setting.batch,), device=device)
        eps = torch.randn(x_0.shape, device=device)
        at_t = alpha_bar[t][:, None, None, None]
        x_t = at_t.sqrt() * x_0 + (1 - at_t).sqrt() * eps
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.mse_loss(model(x_t, t), eps)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), MAX_NORM, foreach=True)
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(average, [p.detach() for p in network.parameters()], 1 - EMA)
        losses.append(loss.detach())

    return lambda n: [step() for _ in range(n)], lambda: f"losses {float(losses[0]):.4f} ... {float(losses[-1]):.4f}"


def their_sampling(setting: Setting, theirs: Theirs, compiled: bool) -> tuple[Callable[[int], Any], Callable[[], str]]:
    torch, device = theirs.torch, theirs.device
    network = torch_twin(setting, theirs).eval()
    model = torch.compile(network, mode="reduce-overhead") if compiled else network
    alpha_bar = SCHEDULE.tables["alpha_bar"]
    x = [torch.randn(setting.shape, device=device)]
    times = [1000]

    def step() -> None:
        t = times[0]
        times[0] = t - 1 if t > 1 else 1000
        a, a_prev = float(alpha_bar[t]), float(alpha_bar[t - 1])
        with torch.no_grad():
            eps = model(x[0], torch.full((setting.batch,), t, device=device))
            x_0 = ((x[0] - (1 - a) ** 0.5 * eps) / a**0.5).clamp(-1, 1)
            eps = (x[0] - a**0.5 * x_0) / (1 - a) ** 0.5
            x[0] = a_prev**0.5 * x_0 + (1 - a_prev) ** 0.5 * eps

    return lambda n: [step() for _ in range(n)], lambda: "finite" if bool(torch.isfinite(x[0]).all()) else "NOT FINITE"


def recorded(theirs: Theirs, step: Callable[[], Any]) -> Callable[[], Any]:
    """The step as one CUDA graph, after three on a stream of their own; without a GPU (a dry run) the step itself."""
    torch = theirs.torch
    if theirs.device == "cpu":
        return step
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def their_recorded_training(setting: Setting, theirs: Theirs) -> tuple[Callable[[int], Any], Callable[[], str]]:
    """PyTorch's strongest form: noise, network, gradient, clipping, AdamW and average are one launch; only the images are sent."""
    torch, device = theirs.torch, theirs.device
    network = torch_twin(setting, theirs)
    parameters = list(network.parameters())
    average = [p.detach().clone() for p in parameters]
    optimizer = torch.optim.AdamW(parameters, lr=LR, weight_decay=0.0, fused=device == "cuda", capturable=device == "cuda")
    alpha_bar = torch.as_tensor(SCHEDULE.tables["alpha_bar"], dtype=torch.float32, device=device)
    order, losses = np.random.default_rng(0), []
    sent = torch.zeros(setting.shape, device=device)  # where the graph reads its images
    loss_of_step = torch.zeros((), device=device)

    def compute() -> None:
        t = torch.randint(1, 1001, (setting.batch,), device=device)
        eps = torch.randn(setting.shape, device=device)
        at_t = alpha_bar[t][:, None, None, None]
        x_t = at_t.sqrt() * sent + (1 - at_t).sqrt() * eps
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.mse_loss(network(x_t, t), eps)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, MAX_NORM, foreach=True)
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(average, [p.detach() for p in parameters], 1 - EMA)
            loss_of_step.copy_(loss)

    replay = recorded(theirs, compute)

    def step() -> None:
        chosen = order.integers(0, len(setting.images), setting.batch)
        sent.copy_(torch.from_numpy(setting.images[chosen].astype(np.float32) * np.float32(2 / 255) - 1), non_blocking=True)
        replay()
        losses.append(loss_of_step.clone())

    return lambda n: [step() for _ in range(n)], lambda: f"losses {float(losses[0]):.4f} ... {float(losses[-1]):.4f}"


def their_recorded_sampling(setting: Setting, theirs: Theirs) -> tuple[Callable[[int], Any], Callable[[], str]]:
    """A step of DDIM as one launch: t and the coefficients are read from arrays on the device."""
    torch, device = theirs.torch, theirs.device
    network = torch_twin(setting, theirs).eval()
    alpha_bar = torch.as_tensor(SCHEDULE.tables["alpha_bar"], dtype=torch.float32, device=device)
    x = torch.randn(setting.shape, device=device)
    t = torch.full((setting.batch,), 1000, device=device)

    def compute() -> None:
        with torch.no_grad():
            a, a_prev = alpha_bar[t][:, None, None, None], alpha_bar[t - 1][:, None, None, None]
            eps = network(x, t)
            x_0 = ((x - (1 - a).sqrt() * eps) / a.sqrt()).clamp(-1, 1)
            eps = (x - a.sqrt() * x_0) / (1 - a).sqrt()
            x.copy_(a_prev.sqrt() * x_0 + (1 - a_prev).sqrt() * eps)
            t.copy_((t - 2) % 1000 + 1)

    replay = recorded(theirs, compute)
    return lambda n: [replay() for _ in range(n)], lambda: "finite" if bool(torch.isfinite(x).all()) else "NOT FINITE"
