"""Conditions that are concatenated to the latent (slide "Latent Diffusion Models").

A picture must agree with them place by place. Each is (B, channels, h, w), of the latent's height
and width.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidiff.engine.backend import array_module, to_device
from minidiff.engine.random import RNG
from minidiff.engine.tape import no_grad
from minidiff.engine.tensor import Tensor
from minidiff.sampling.latents import TrainedAutoencoder


def random_masks(n: int, size: tuple[int, int], rng: RNG) -> np.ndarray:
    """Masks of what is known of each image: 1, and 0 in one hole.

    The hole is a half of the image, or a box of a third to two thirds of each side.
    -> (n, 1, H, W) float32, on the host
    """
    H, W = size
    masks = np.ones((n, 1, H, W), np.float32)
    kinds = rng.integers(0, 5, (n,))
    heights, widths = (rng.integers(side // 3, 2 * side // 3 + 1, (n,)) for side in (H, W))
    for mask, kind, height, width in zip(masks, kinds, heights, widths, strict=True):
        if kind < 4:
            half = [np.s_[: H // 2, :], np.s_[H // 2 :, :], np.s_[:, : W // 2], np.s_[:, W // 2 :]][
                kind
            ]
            mask[0][half] = 0
        else:
            top, left = (
                int(rng.integers(0, side - length + 1))
                for side, length in ((H, height), (W, width))
            )
            mask[0, top : top + height, left : left + width] = 0
    return masks


def masked_image(autoencoder: TrainedAutoencoder, x: Any, mask: Any) -> Any:
    """The latent of what is known of the image, and the mask itself, as in LDM sec. 4.5.

    The hole is grey (0). The mask is averaged to the latent's size.
    x: (B, C, H, W) in [-1, 1]; mask: (B, 1, H, W), 1 where x is known -> (B, z_channels + 1, h, w)
    """
    xp = array_module(x, mask)
    if mask.shape != (len(x), 1, *x.shape[2:]):
        raise ValueError(
            f"masked_image: mask must be {(len(x), 1, *x.shape[2:])}, got {mask.shape}"
        )
    with no_grad():
        z = autoencoder.model.encode(Tensor(x * mask)).data * np.float32(autoencoder.scale)
    return xp.concatenate([z, average_to(mask, z.shape[2:])], axis=1)


def class_planes(labels: Any, n_classes: int, size: tuple[int, int], device: str = "cpu") -> Any:
    """One plane per class, ones in that of the image's class.

    labels: (B,) ints, on the host -> (B, n_classes, h, w) float32
    """
    if labels.ndim != 1 or labels.min() < 0 or labels.max() >= n_classes:
        raise ValueError(
            f"class_planes: labels must be (B,) in 0..{n_classes - 1}, got {labels.shape} in "
            f"{labels.min()}..{labels.max()}"
        )
    one_hot = (labels[:, None] == np.arange(n_classes)).astype(np.float32)
    return to_device(
        np.broadcast_to(one_hot[:, :, None, None], (*one_hot.shape, *size)).copy(), device
    )


def stroke_map(x: Any, size: tuple[int, int]) -> Any:
    """A semantic map: 1 where more than a quarter of the cell is ink, else 0.

    x: (B, 1, H, W) in [-1, 1] -> (B, 1, h, w)
    """
    ink = average_to((x + 1) / 2, size)
    return (ink > 0.25).astype(x.dtype)


def average_to(x: Any, size: tuple[int, int]) -> Any:
    """Means over equal cells.    x: (B, C, H, W), H and W multiples of h and w -> (B, C, h, w)"""
    B, C, H, W = x.shape
    h, w = size
    if H % h or W % w:
        raise ValueError(f"average_to: the size must divide {H}x{W}, got {h}x{w}")
    return x.reshape(B, C, h, H // h, w, W // w).mean(axis=(3, 5))
