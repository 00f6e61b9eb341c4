"""The tab Digits: an image's way from noise by the shipped weights, with every term of each step."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from minidiff.classroom.index import all_equations
from minidiff.classroom.page.lines import run_with_values
from minidiff.classroom.page.wire import on_page
from minidiff.classroom.tables.latex import LATEX
from minidiff.diffusion import ddim, noise_prediction, reverse
from minidiff.diffusion.ddim import ddim_steps
from minidiff.diffusion.ddpm import ddpm_steps
from minidiff.diffusion.schedule import Schedule, respace
from minidiff.diffusion.step import Step
from minidiff.engine.random import RNG
from minidiff.models import UNet
from minidiff.sampling import TextToImage, eps_predictor, load_denoiser, load_text_to_image
from minidiff.training import Workers, shipped_run

MOST_IMAGES = 10


@lru_cache(maxsize=1)
def pixel_model() -> Any:
    """The shipped noise predictor of images.    Raises: FileNotFoundError if there is none."""
    return load_denoiser(shipped_run("mnist"), UNet)


@lru_cache(maxsize=1)
def text_model() -> TextToImage:
    """The shipped latent model.    Raises: FileNotFoundError if there is none."""
    return load_text_to_image(shipped_run("ldm"))


class Walk:
    """The steps of a sampler so far, and where it goes on."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.rest: Iterator[Step] = iter(())
        self.schedule: Schedule | None = None
        self.decode: Callable[[Any], Any] | None = None
        self.clip: float | None = None
        self.eta = 0.0


walk = Walk()


@on_page
def about() -> dict[str, Any]:
    """What the weights are, and the words that the latent model knows."""
    model, text = pixel_model(), text_model()
    captions = text.captions
    return {
        "parameters": model.model.parameter_count(),
        "T": model.schedule.T, "shape": list(model.sample_shape), "made": model.facts["made"],
        "text_parameters": text.denoiser.model.parameter_count(),
        "latent_shape": list(text.denoiser.sample_shape), "nouns": list(captions.nouns),
        "adjectives": [word for word in captions.vocabulary.words if word not in captions.nouns],
    }  # fmt: skip


@on_page
def start(
    sampler: str = "ddim", S: int = 20, eta: float = 0.0, seed: int = 0, n: int = 1,
    prompt: str = "", guidance: float = 2.0,
) -> dict[str, Any]:  # fmt: skip
    """Begin at noise.

    prompt: "" draws with the pixel model, words with the latent model; n: how many images
    sampler: "ddim" with S steps and eta; "ddpm" on the chain of S of its T times
    """
    if not 1 <= n <= MOST_IMAGES:
        raise ValueError(f"digits: n must be in 1..{MOST_IMAGES}, got {n}")
    rng = RNG(seed)
    if prompt:
        model = text_model()
        workers = Workers(model.denoiser.model, 1)
        eps_theta = model.eps_theta(workers, [prompt] * n, guidance)
        schedule, shape, clip = model.denoiser.schedule, model.denoiser.sample_shape, None
        walk.decode = model.autoencoder.decode
    else:
        pixels = pixel_model()
        workers = Workers(pixels.model, 1)
        eps_theta = eps_predictor(workers, pixels.prediction, pixels.schedule)
        schedule, shape, clip, walk.decode = pixels.schedule, pixels.sample_shape, 1.0, None
    begin = (n, *shape)
    walk.steps, walk.schedule, walk.clip, walk.eta = [], schedule, clip, eta
    if sampler == "ddim":
        walk.rest = ddim_steps(eps_theta, begin, schedule, rng, steps=S, eta=eta, clip=clip)
    elif sampler == "ddpm":
        tau = ddim.make_tau(schedule.T, S)
        walk.rest = ddpm_steps(eps_theta, begin, schedule, rng, clip=clip, tau=tau)
        walk.schedule = respace(schedule, tau)
    else:
        raise ValueError(f"digits: the sampler must be ddim or ddpm, got {sampler!r}")
    return {"S": S, "T": schedule.T}


@on_page
def more(count: int = 1) -> dict[str, Any]:
    """The next steps: the first image's terms as pictures, and all images where they stand."""
    shown = []
    for step in walk.rest:
        walk.steps.append(step)
        shown.append(terms_of(step))
        if len(shown) == count:
            break
    last = walk.steps[-1] if walk.steps else None
    done = last is None or last.terms.get("t_prev", last.t - 1) == 0
    return {"steps": shown, "images": images_of(last), "done": done}


def terms_of(step: Step) -> dict[str, Any]:
    """Of the first image: {name: (H, W) or a number}; channels of latents are laid side by side."""
    terms = {name: tiled(value[0]) if np.ndim(value) else value for name, value in step}
    return {"t": step.t, "names": list(step.names), "terms": terms, "decoded": decoded(step)}


def decoded(step: Step) -> Any:
    """x_0_hat of the first image as a picture, for a latent model; else None."""
    if walk.decode is None:
        return None
    return tiled(walk.decode(step.x_0_hat[:1])[0])


def images_of(step: Step | None) -> Any:
    """What every image looks like now: x_0_hat, and at the end x_0.    -> (n, H, W)"""
    if step is None:
        return None
    finished = step.terms.get("t_prev", step.t - 1) == 0
    x = step.x_prev if finished else step.x_0_hat
    x = x if walk.decode is None else walk.decode(x)
    return np.stack([tiled(image) for image in x])


def tiled(image: Any) -> Any:
    """(C, H, W) -> (H, W), for four channels (2 H, 2 W)."""
    if len(image) == 1:
        return image[0]
    side = int(np.ceil(len(image) ** 0.5))
    C, H, W = image.shape
    room = np.zeros((side * side, H, W), image.dtype)
    room[:C] = image
    return room.reshape(side, side, H, W).transpose(0, 2, 1, 3).reshape(side * H, side * W)


# -- how a term was made ---------------------------------------------------------------------------

MAKERS: dict[str, dict[str, tuple[Callable[..., Any], str]]] = {
    "ddim": {
        "eps_hat": (noise_prediction.predict, ""),
        "x_0_hat": (noise_prediction.clip_x_0, "sampling.clip_x_0"),
        "sigma_t": (ddim.ddim_sigma, "ddim.sigma"),
        "direction": (ddim.ddim_direction, "ddim.direction"),
        "z": (noise_prediction.fresh_noise, ""),
        "x_prev": (ddim.ddim_step, "ddim.step"),
    },
    "ddpm": {
        "eps_hat": (noise_prediction.predict, ""),
        "x_0_hat": (noise_prediction.clip_x_0, "sampling.clip_x_0"),
        "mu": (reverse.mu_theta, "reverse.mu_theta"),
        "sigma_t": (reverse.sigma_squared, "reverse.sigma_squared"),
        "z": (noise_prediction.fresh_noise, ""),
        "x_prev": (reverse.p_step, "reverse.p_step"),
    },
}
WORDS = {  # of what no formula on the deck makes
    "x_t": r"\mathbf{x}_t",
    "eps_hat": r"\hat{\boldsymbol\epsilon} = \boldsymbol\epsilon_\theta(\mathbf{x}_t, t)",
    "x_0_hat": r"\hat{\mathbf{x}}_0 = \frac{\mathbf{x}_t"
    r" - \sqrt{1-\bar\alpha_t}\,\hat{\boldsymbol\epsilon}}{\sqrt{\bar\alpha_t}}",
    "z": r"\mathbf{z} \sim \mathcal{N}(\mathbf{0}, \mathbf{I})",
}


@on_page
def term(index: int, name: str) -> dict[str, Any]:
    """How the term `name` of a step was made: its formula, the loop's line, and the line's code.

    The function runs once more on the arrays of that step, so that its lines show their values.
    """
    if not 0 <= index < len(walk.steps):
        raise ValueError(f"digits: there is no step {index} yet")
    step = walk.steps[index]
    reply: dict[str, Any] = {"loop": loop_lines(step.algorithm), "latex": WORDS.get(name, "")}
    maker = MAKERS[step.algorithm].get(name)
    if maker is None:
        return reply
    function, id = maker
    reply["id"] = id
    reply["latex"] = WORDS.get(name) or LATEX[id]
    arguments = arguments_of(function, step)
    if arguments is not None:
        reply["code"] = run_with_values(function, **arguments)
    return reply


def arguments_of(function: Callable[..., Any], step: Step) -> dict[str, Any] | None:
    """The arguments with which the sampler called it; None if the Step has not all of them."""
    facts = {**step.terms, "t": step.t, "schedule": walk.schedule, "clip": walk.clip,
             "eta": walk.eta}  # fmt: skip
    parameters = inspect.signature(function).parameters.values()
    needed = [p.name for p in parameters if p.default is p.empty]
    if not set(needed) <= set(facts):
        return None
    names = [p.name for p in parameters if p.name in facts]
    return {name: facts[name] for name in names}


@lru_cache(maxsize=4)
def loop_lines(algorithm: str) -> list[dict[str, Any]]:
    """The lines of the sampler's loop, from its `for` on."""
    function: Any = {"ddim": ddim_steps, "ddpm": ddpm_steps}[algorithm]
    source = textwrap.dedent(inspect.getsource(function))
    loop = next(node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.For))
    lines = source.splitlines()[loop.lineno - 1 : loop.end_lineno]
    return [{"text": line, "values": {}} for line in textwrap.dedent("\n".join(lines)).splitlines()]


all_equations()  # registers the formulas, so that their ids are known
