"""What the front page draws: digits that appear out of noise, by DDIM, and a link to every slide."""

from __future__ import annotations

from html import escape
from pathlib import Path

import numpy as np
from docutils import nodes
from docutils.parsers.rst import Directive
from slide_pictures import LINEAR, digits

from minidiff import no_grad
from minidiff.classroom.sources import make_source
from minidiff.classroom.tables.slides import SLIDES
from minidiff.diffusion.ddim import ddim_steps
from minidiff.engine.random import RNG
from minidiff.pictures import save_gif
from minidiff.training.shipped import shipped_run

FILE = Path(__file__).parents[1] / "_static" / "drawn" / "digits_appearing.gif"
STEPS, SHAPE = 40, (16, 1, 28, 28)
BY_NETWORK = "DDIM in 40 steps by the network whose weights come with the package; every frame is one x_t."
EXACT = "DDIM in 40 steps with the exact predictor of 200 drawn digits, which needs no training; every frame is one x_t."


def predictor():
    """eps_theta and its schedule: of the shipped network, or the exact one where no weights are. And what it is in words."""
    try:
        source = make_source(str(shipped_run("mnist")))
    except FileNotFoundError:
        return digits().eps_theta(LINEAR), LINEAR, EXACT
    return source.eps_theta, source.schedule, BY_NETWORK


def draw(path: Path) -> None:
    """x_T and every x_t after it; and beside it, as text, which predictor it was."""
    eps_theta, schedule, caption = predictor()
    with no_grad():
        walk = list(ddim_steps(eps_theta, SHAPE, schedule, RNG(11), steps=STEPS, clip=1.0))
    frames = [walk[0].x_t, *(step.x_prev for step in walk)]
    times = [schedule.T, *(step.t for step in walk[1:]), 0]
    path.parent.mkdir(parents=True, exist_ok=True)
    save_gif(path, [np.clip(frame, -1, 1) for frame in frames], titles=[f"t = {t}" for t in times], seconds=5, hold=3)
    path.with_suffix(".txt").write_text(caption, encoding="utf-8")


class DigitsAppearing(Directive):
    """`{digits-appearing}`: the picture and what it is."""

    def run(self):
        caption = FILE.with_suffix(".txt").read_text(encoding="utf-8")
        html = f'<img src="_static/drawn/{FILE.name}" alt="Sixteen digits appear out of noise"><figcaption>{caption}</figcaption>'
        return [nodes.raw("", html, format="html")]


class SlideNumbers(Directive):
    """`{slide-numbers}`: one link for each slide."""

    def run(self):
        links = "".join(
            f'<a href="deck/{slide.number:02}.html" title="{escape(slide.title)}">{slide.number}</a>' for slide in SLIDES
        )
        return [nodes.raw("", f'<p class="slide-numbers"><b>Slide</b> {links}</p>', format="html")]


def write_picture(app) -> None:
    if not FILE.with_suffix(".txt").exists():
        draw(FILE)


def setup(app):
    app.add_directive("digits-appearing", DigitsAppearing)
    app.add_directive("slide-numbers", SlideNumbers)
    app.connect("builder-inited", write_picture)
    return {"parallel_read_safe": True}
