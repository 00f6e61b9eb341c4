"""Files to look at: images, curves, points in the plane."""

from minidiff.pictures.figures import Figure, save_figure  # isort: skip  (it imports matplotlib)
from minidiff.pictures.curves import (
    save_code_usage,
    save_loss_curve,
    save_loss_per_t,
    save_perplexity,
)  # fmt: skip
from minidiff.pictures.images import image_grid, save_gif, save_grid
from minidiff.pictures.plane import LIMIT, save_clouds, save_fields, save_ways

__all__ = [
    "LIMIT", "Figure", "image_grid",
    "save_clouds", "save_code_usage", "save_fields", "save_figure", "save_gif", "save_grid",
    "save_loss_curve", "save_loss_per_t", "save_perplexity", "save_ways",
]  # fmt: skip
