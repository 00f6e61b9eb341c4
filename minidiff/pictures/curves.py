"""Curves of a training run as PNG files: losses, and the use of a codebook.

Every file appears only when it is complete, and no figure touches pyplot's state.
"""

from typing import Any

import numpy as np
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from minidiff.engine.backend import to_cpu
from minidiff.pictures.figures import Figure, save_figure
from minidiff.pictures.images import DPI, INK, PAPER, Path


def save_loss_curve(
    path: Path, steps: Any, losses: Any, smoothed: Any = None, title: str = "Training loss"
) -> None:
    """Write the loss over the training steps as a PNG, on a logarithmic axis if it is positive.

    steps, losses, and smoothed where given: (M,) each, M >= 1. `smoothed` is drawn over a paler
    `losses`.
    """
    curves = {"losses": losses} if smoothed is None else {"losses": losses, "smoothed": smoothed}
    steps, curves = _matching("save_loss_curve", "steps", steps, curves)
    figure, axes = _axes(title, "training step", "loss")
    style = "." if len(steps) == 1 else "-"
    pale = 1 if smoothed is None else 0.35
    axes.plot(steps, curves["losses"], style, color="C0", alpha=pale, label="each step")
    if smoothed is not None:
        axes.plot(steps, curves["smoothed"], style, color="C0", linewidth=3, label="smoothed")
        axes.legend(fontsize=15, frameon=False)
    if min(curve.min() for curve in curves.values()) > 0:
        _log_scale(axes)
    save_figure(figure, path)


def save_loss_per_t(
    path: Path, t: Any, loss: Any, bins: int = 40, title: str = "Loss at each step of the diffusion"
) -> None:
    """Write the loss over t as a PNG.

    Single losses are dots. A line joins the means over `bins` equal parts of t's range.
    t, loss: (M,) each, M >= 1; a value of t may come more than once.
    """
    t, curves = _matching("save_loss_per_t", "t", t, {"loss": loss})
    loss = curves["loss"]
    edges = np.linspace(t.min(), t.max() + 1, bins + 1)
    part = np.digitize(t, edges) - 1
    filled = np.unique(part)
    middle = [t[part == i].mean() for i in filled]
    mean = [loss[part == i].mean() for i in filled]
    figure, axes = _axes(title, "t   (1: almost clean, T: noise)", "loss")
    axes.plot(t, loss, ".", color="C0", alpha=0.3, markersize=7, label="one image")
    axes.plot(middle, mean, ".-", color="C1", linewidth=3, label="mean")
    axes.legend(fontsize=15, frameon=False)
    if loss.min() > 0:
        _log_scale(axes)
    save_figure(figure, path)


def save_code_usage(path: Path, counts: Any, title: str = "How often each code is chosen") -> None:
    """Write how often each code is chosen as bars, the commonest code first.    counts: (K,) ints

    A codebook in good use falls gently. A collapsed one is a cliff.
    """
    counts = to_cpu(counts)
    if counts.ndim != 1 or len(counts) == 0:
        raise ValueError(
            f"save_code_usage: counts has shape {counts.shape} but (K,) with K >= 1 is wanted"
        )
    figure, axes = _axes(title, "code, by rank", "share of all latents")
    share = np.sort(counts)[::-1] / max(1, counts.sum())
    axes.bar(np.arange(1, len(share) + 1), share, width=1.0, color="C0")
    axes.axhline(1 / len(share), color=INK, linestyle="--", label="all codes equally")
    axes.legend(fontsize=15)
    save_figure(figure, path)


def save_perplexity(
    path: Path, perplexities: Any, n_codes: int, title: str = "Perplexity of the codebook"
) -> None:
    """Write how many codes are in use, effectively, step by step.    perplexities: (steps,)"""
    curve, count = {"y": np.asarray(perplexities)}, np.arange(1, len(perplexities) + 1)
    steps, curves = _matching("save_perplexity", "perplexities", count, curve)
    figure, axes = _axes(title, "training step", "codes in use, effectively")
    axes.plot(steps, curves["y"], "." if len(steps) == 1 else "-", color="C0")
    axes.axhline(n_codes, color=INK, linestyle="--", label=f"K = {n_codes}")
    axes.set_ylim(0, 1.05 * n_codes)
    axes.legend(fontsize=15)
    save_figure(figure, path)


def _axes(title: str, x_label: str, y_label: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=(10, 6), dpi=DPI, facecolor=PAPER, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=20, color=INK, pad=12)
    axes.set_xlabel(x_label, fontsize=17, color=INK)
    axes.set_ylabel(y_label, fontsize=17, color=INK)
    axes.tick_params(labelsize=15, which="both")
    axes.grid(True, which="both", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _log_scale(axes: Any) -> None:
    """A logarithmic y axis with a few labels that don't overlap, whatever its range."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    decades = np.log10(high / low)
    if decades < 1:  # there may be no 1, 2 or 5 in it
        locator: Any = MaxNLocator(6)
    elif decades < 4:
        locator = LogLocator(subs=(1, 2, 5))
    else:
        locator = LogLocator(numticks=9)
    axes.yaxis.set_major_locator(locator)
    # 0.05 reads better on a wall than 5 x 10^-2
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_locator(NullLocator())


def _matching(
    function: str, x_name: str, x: Any, curves: dict[str, Any]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """x and the curves as (M,) arrays of one length.

    Raises: ValueError if a length or a shape differs.
    """
    x = to_cpu(x)
    if x.ndim != 1 or len(x) == 0:
        raise ValueError(f"{function}: {x_name} has shape {x.shape} but (M,) with M >= 1 is wanted")
    arrays = {name: to_cpu(curve).astype(np.float64) for name, curve in curves.items()}
    for name, array in arrays.items():
        if array.shape != x.shape:
            raise ValueError(
                f"{function}: {name} has shape {array.shape} but {x_name} has {x.shape}"
            )
    return x, arrays
