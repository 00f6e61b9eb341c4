"""What is concatenated to the latent."""

import numpy as np
import pytest

from minidiff.data import draw_digits, to_float
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.models.autoencoder import VQAutoencoder, VQConfig
from minidiff.sampling.concat_conditions import (
    average_to,
    class_planes,
    masked_image,
    random_masks,
    stroke_map,
)
from minidiff.sampling.latents import TrainedAutoencoder


def test_masks_have_one_rectangular_hole_each_and_every_kind_comes():
    masks = random_masks(200, (28, 20), RNG(0))
    assert masks.shape == (200, 1, 28, 20) and masks.dtype == np.float32 and set(np.unique(masks)) == {0, 1}
    kinds = set()
    for (mask,) in masks:
        rows, columns = np.flatnonzero((mask == 0).any(1)), np.flatnonzero((mask == 0).any(0))
        box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert not box.any() and (mask == 0).sum() == box.size
        half = {(28, 10): "side", (14, 20): "end"}.get(box.shape, "box")
        kinds.add((half, int(rows[0]) == 0, int(columns[0]) == 0) if half != "box" else half)
        if half == "box":
            assert 9 <= box.shape[0] <= 18 and 6 <= box.shape[1] <= 13
    assert len(kinds) == 5


def test_the_hole_is_grey_and_its_content_can_not_leak():
    autoencoder = TrainedAutoencoder(VQAutoencoder(VQConfig(n_channels=8), RNG(0)), 2.0, {})
    x, mask = to_float(draw_digits(np.array([3, 8]), RNG(0))), random_masks(2, (28, 28), RNG(1))
    concat = masked_image(autoencoder, x, mask)
    assert concat.shape == (2, 5, 7, 7) and concat.dtype == np.float32
    np.testing.assert_allclose(concat[:, :4], 2.0 * autoencoder.model.encode(Tensor(x * mask)).data, rtol=1e-6)
    np.testing.assert_allclose(concat[:, 4, 2, 3], mask[:, 0, 8:12, 12:16].mean(axis=(1, 2)))
    np.testing.assert_array_equal(masked_image(autoencoder, np.where(mask == 1, x, -x), mask), concat)
    with pytest.raises(ValueError, match=r"masked_image: mask must be \(2, 1, 28, 28\), got \(2, 28, 28\)"):
        masked_image(autoencoder, x, mask[:, 0])


def test_class_planes_are_one_hot_everywhere():
    planes = class_planes(np.array([2, 0]), 3, (2, 2))
    assert planes.shape == (2, 3, 2, 2) and planes.dtype == np.float32
    np.testing.assert_array_equal(planes.sum(axis=1), 1)
    assert planes[0, 2].all() and planes[1, 0].all()
    with pytest.raises(ValueError, match=r"class_planes: labels must be \(B,\) in 0..2, got \(1,\) in 3..3"):
        class_planes(np.array([3]), 3, (2, 2))


def test_stroke_map_says_where_the_ink_is():
    x = -np.ones((1, 1, 8, 8), np.float32)
    x[0, 0, :2, :2] = 1  # a quarter of the first cell: not more than a quarter
    x[0, 0, 4:7, 4:6] = 1
    np.testing.assert_array_equal(stroke_map(x, (2, 2)), [[[[0, 0], [0, 1]]]])
    np.testing.assert_allclose(average_to(x, (2, 2))[0, 0, 0, 0], -0.5)
    with pytest.raises(ValueError, match="average_to: the size must divide 8x8, got 3x2"):
        average_to(x, (3, 2))
