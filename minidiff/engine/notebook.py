"""HTML for notebooks: a Step with its images, an Equation as formula and code."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np

from minidiff.engine.backend import is_array, to_cpu
from minidiff.engine.printing import describe, plain_array

SHOWN = 8
"""So many images of a batch are shown."""


def terms_html(title: str, terms: Mapping[str, Any]) -> str:
    """A table with a row for each term: images as images, everything else as text."""
    rows = (
        f"<tr><td><code>{escape(name)}</code></td><td>{value_html(value)}</td></tr>"
        for name, value in terms.items()
    )
    return f"<b>{escape(title)}</b><table>{''.join(rows)}</table>"


def value_html(value: Any) -> str:
    """The images of a (B, 1 or 3, H, W) array, -1 black and 1 white; else text."""
    array = plain_array(value)
    text = escape(describe(value))
    if not is_array(array) or not is_batch_of_images(array.shape):
        return f"<code>{text}</code>"
    images = np.asarray(to_cpu(array), dtype=np.float64)[:SHOWN].transpose(0, 2, 3, 1)
    return " ".join(map(image_html, images)) + f"<br><small>{text}</small>"


def is_batch_of_images(shape: tuple[int, ...]) -> bool:
    return len(shape) == 4 and shape[1] in (1, 3) and min(shape[2:]) >= 4


def image_html(image: np.ndarray) -> str:
    """An <img> of the pixels, clipped to [-1, 1].   image: (H, W, 1 or 3), floats"""
    from PIL import Image

    pixels = np.rint((np.clip(np.nan_to_num(image), -1, 1) + 1) * 127.5).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode()
    height = max(56, image.shape[0])
    style = f"image-rendering: pixelated; height: {height}px; display: inline"
    return f'<img style="{style}" src="data:image/png;base64,{data}">'


def formula_html(formula: str, code: str, caption: str) -> str:
    """The formula, as LaTeX or as text, and below it the code."""
    return (
        f'<div style="font-size: 130%">{formula}</div><small>{escape(caption)}</small>'
        f"<pre>{escape(code)}</pre>"
    )
