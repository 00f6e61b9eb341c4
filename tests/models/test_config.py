"""Sizes that were computed by NumPy are as good as Python's, in every network's settings."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from minidiff.models import (
    ClassifierConfig,
    KLConfig,
    NoisyClassifierConfig,
    PointDenoiserConfig,
    TextEncoderConfig,
    UNet,
    UNetConfig,
    VQConfig,
)


@pytest.mark.parametrize(
    ("config", "settings"),
    [
        (UNetConfig, {"image_channels": 1, "n_channels": 8, "ch_mults": [1, 2], "is_attn": [False, True], "n_heads": 1, "dropout": 0.5, "patch_size": 2}),
        (ClassifierConfig, {"image_size": 8, "n_channels": 4, "n_features": 8}),
        (NoisyClassifierConfig, {"n_channels": 4, "ch_mults": [1, 2], "image_size": 4}),
        (PointDenoiserConfig, {"n_dims": 2, "n_hidden": 16}),
        (TextEncoderConfig, {"n_words": 5, "max_length": 3, "d": 8, "n_heads": 2}),
        (VQConfig, {"n_channels": 8, "n_codes": 4, "beta": 0.5, "ema": True}),
        (KLConfig, {"n_channels": 8, "kl_weight": 0.5}),
    ],
)
def test_numbers_of_numpy_become_pythons(config, settings):
    def numpy(value):
        return np.array(value) if isinstance(value, list) else np.asarray(value)[()]

    made = config(**{name: [numpy(item) for item in value] if isinstance(value, list) else numpy(value) for name, value in settings.items()})
    assert made == config(**settings) == config(**json.loads(json.dumps(asdict(made))))
    assert not any(isinstance(value, np.generic) for value in asdict(made).values())


def test_a_unet_of_numpys_sizes():
    assert UNet(UNetConfig(1, np.int64(8), image_size=np.int32(16))).config.n_channels == 8
    with pytest.raises(ValueError, match="n_channels must be a multiple of 4, got 7"):
        UNetConfig(1, np.int64(7))
