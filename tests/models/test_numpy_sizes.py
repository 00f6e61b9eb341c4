"""NumPy's integers are taken wherever a network counts, and truth values nowhere."""

import numpy as np
import pytest

from minidiff.models.autoencoder import AutoencoderConfig
from minidiff.models.noisy_classifier import NoisyClassifierConfig
from minidiff.models.point_denoiser import PointDenoiser, PointDenoiserConfig
from minidiff.models.unet import UNet
from minidiff.models.unet_config import UNetConfig

i = np.int64


def test_numpy_sizes_make_the_same_networks():
    sizes = {"n_channels": 8, "ch_mults": (1, 2), "is_attn": (False, False), "n_heads": 1, "n_blocks": 1}
    counted = {name: i(value) if isinstance(value, int) else tuple(map(type(value[0]) if name == "is_attn" else i, value)) for name, value in sizes.items()}
    assert UNet(UNetConfig(**counted, image_size=i(8))).parameter_count() == UNet(UNetConfig(**sizes, image_size=8)).parameter_count()
    assert PointDenoiser(PointDenoiserConfig(n_hidden=i(16), n_blocks=i(1))).parameter_count() > 0
    AutoencoderConfig(n_channels=i(8), z_channels=i(2))
    NoisyClassifierConfig(n_channels=i(8), image_size=i(28))


def test_a_truth_value_is_no_size():
    with pytest.raises(ValueError, match="UNet: n_blocks must be an int >= 1, got True"):
        UNetConfig(n_blocks=True)
