"""The tab U-Net: the network of the shipped weights at work on one image, block by block."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

from minidiff.classroom.code_lines import without_docstring
from minidiff.classroom.page.wire import on_page
from minidiff.data import make_digits, to_float
from minidiff.diffusion.forward import q_sample
from minidiff.diffusion.losses import L_simple
from minidiff.diffusion.targets import regression_target, to_eps, x_0_from_eps
from minidiff.engine.printing import location_of, plain_array
from minidiff.engine.random import RNG
from minidiff.engine.tape import no_grad
from minidiff.models import UNet
from minidiff.nn import Module
from minidiff.sampling import load_denoiser
from minidiff.training import shipped_run

MOST_MAPS = 32


@lru_cache(maxsize=1)
def network() -> Any:
    """The shipped noise predictor on pixels, whose sizes are those of the slides: 28, 14, 7.

    Raises: FileNotFoundError if there is none.
    """
    return load_denoiser(shipped_run("mnist_on_pixels"), UNet)


class Look:
    """What every block made of the current image."""

    t = 0
    x_0: Any = None
    x_t: Any = None
    eps: Any = None
    outputs: dict[str, Any] = {}


look = Look()


def parts(model: Module) -> list[tuple[str, Module]]:
    """The blocks that the drawing shows, in the order in which they run."""
    found = []
    for name, child in model.named_children():
        inside = list(child.named_children())
        listed = name in ("down", "up")
        found += [(f"{name}.{key}", block) for key, block in inside] if listed else [(name, child)]
    order = {"time_emb": 0, "image_proj": 1, "down": 2, "middle": 3, "up": 4, "norm": 5, "final": 6}
    return sorted(found, key=lambda part: order[part[0].partition(".")[0]])


@contextmanager
def watched(model: Module, seen: dict[str, Any]) -> Iterator[None]:
    """Inside, what each block is given and returns is kept in `seen`, by the block's name."""
    blocks = parts(model)

    def watch(name: str, block: Module) -> None:
        forward = block.forward

        def watching(*args: Any, **kwargs: Any) -> Any:
            result = forward(*args, **kwargs)
            seen[name] = np.shape(plain_array(args[0])), plain_array(result)
            return result

        block.forward = watching  # type: ignore[method-assign]

    for name, block in blocks:
        watch(name, block)
    try:
        yield
    finally:
        for _, block in blocks:
            del block.forward


@on_page
def run(t: int = 300, digit: int = 3, seed: int = 0) -> dict[str, Any]:
    """Run the network on a drawn digit with noise.

    -> x_0, x_t, what the network says about the noise and the image, and the blocks with shapes
    """
    denoiser = network()
    images = make_digits(100, seed=seed)
    which = int(np.flatnonzero(images.labels == digit % 10)[0])
    look.x_0 = to_float(images.images[which : which + 1])
    look.eps = RNG(seed).normal(look.x_0.shape)
    look.t = max(1, min(int(t), denoiser.schedule.T))
    look.x_t = q_sample(look.x_0, look.t, look.eps, denoiser.schedule)
    seen: dict[str, Any] = {}
    with watched(denoiser.model, seen), no_grad():
        said = plain_array(denoiser.model(look.x_t, np.array([look.t])))
    look.outputs = {name: output for name, (_, output) in seen.items()}
    eps_hat = to_eps(denoiser.prediction, look.x_t, look.t, said, denoiser.schedule)
    x_0_hat = x_0_from_eps(look.x_t, look.t, eps_hat, denoiser.schedule)
    config = denoiser.model.config
    blocks = [
        {
            "name": name, "kind": type(block).__name__, "parameters": block.parameter_count(),
            "input": list(seen[name][0][1:]), "output": list(seen[name][1].shape[1:]),
            "attention": has_attention(block),
        }
        for name, block in parts(denoiser.model)
    ]  # fmt: skip
    return {
        "t": look.t, "T": denoiser.schedule.T, "x_0": look.x_0[0, 0], "x_t": look.x_t[0, 0],
        "eps": look.eps[0, 0], "eps_hat": eps_hat[0, 0], "x_0_hat": x_0_hat[0, 0].clip(-1, 1),
        "prediction": denoiser.prediction, "blocks": blocks, "patch_size": config.patch_size,
        "parameters": denoiser.model.parameter_count(),
        "error": float(np.sqrt(((eps_hat - look.eps) ** 2).mean())),
    }  # fmt: skip


def has_attention(block: Module) -> bool:
    """Whether an AttentionBlock is inside."""
    return any(type(inner).__name__ == "AttentionBlock" for _, inner in block.named_modules())


def block_called(name: str) -> Module:
    """The block of the drawing.

    Raises: ValueError for another name.
    """
    blocks = dict(parts(network().model))
    if name not in blocks:
        raise ValueError(f"unet: the block must be one of {', '.join(blocks)}, got {name!r}")
    return blocks[name]


@on_page
def block(name: str) -> dict[str, Any]:
    """A block's code, its parameters, and its feature maps for the current image."""
    module = block_called(name)
    forward = type(module).forward
    code = [line for _, line in without_docstring(inspect.getsource(forward))]
    doc = inspect.getdoc(type(module)) or ""
    named = list(module.named_parameters())
    output = look.outputs.get(name)
    maps = output[0, :MOST_MAPS] if output is not None and output.ndim == 4 else None
    return {
        "name": name, "kind": type(module).__name__, "summary": doc.split("\n\n")[0],
        "code": textwrap.dedent("\n".join(code)), "place": location_of(forward),
        "parameters": [
            {"name": key, "shape": list(p.shape), "std": float(p.data.std()), "size": p.size}
            for key, p in named
        ],
        "maps": maps, "vector": output[0] if output is not None and output.ndim == 2 else None,
    }  # fmt: skip


@on_page
def gradient(name: str, parameter: str, index: int = 0) -> dict[str, Any]:
    """d loss / d w for one weight: by the tape, and by moving the weight a little.

    name: of the block; parameter: its name in the block; index: of the number in it
    """
    if look.x_t is None:
        raise ValueError("unet: run the network first")
    denoiser = network()
    found = dict(block_called(name).named_parameters())
    if parameter not in found:
        raise ValueError(f"unet: {name} has no parameter {parameter!r}")
    weight = found[parameter]
    index = int(index) % weight.size
    at = np.unravel_index(index, weight.shape)
    t = np.array([look.t])
    target = regression_target(denoiser.prediction, look.x_0, t, look.eps, denoiser.schedule)

    def loss() -> Any:
        return L_simple(target, denoiser.model(look.x_t, t))

    here = loss()
    here.backward()
    by_tape = float(weight.grad[at])
    for other in denoiser.model.parameters():
        other.grad = None
    value, h = float(weight.data[at]), 1e-2
    sides = []
    for moved in (value + h, value - h):
        changed = weight.data.copy()
        changed[at] = moved
        original = weight.data
        weight.assign(changed)
        with no_grad():
            sides.append(float(loss().data))
        weight.assign(original)
    return {
        "weight": value, "at": [int(i) for i in at], "shape": list(weight.shape),
        "loss": float(here.data), "gradient": by_tape,
        "difference": (sides[0] - sides[1]) / (2 * h), "h": h,
    }  # fmt: skip
