from dataclasses import asdict

import numpy as np
import pytest

import minidiff as md
from minidiff.models.text_unet import TextUNet, TextUNetConfig
from minidiff.models.unet_blocks import Context

SMALL = {"image_channels": 2, "n_channels": 8, "ch_mults": (1,), "is_attn": (True,), "n_heads": 2}
WORDS = {"n_words": 7, "max_length": 4, "d": 8, "n_heads": 2, "n_layers": 1}
Z, T, TOKENS = md.RNG(1).normal((2, 2, 7, 7)), np.array([3, 40]), np.array([[2, 5, 6, 0], [1, 0, 0, 0]])


def test_the_words_reach_every_pixel_and_padding_none():
    net = TextUNet(TextUNetConfig(SMALL, WORDS), md.RNG(0))
    y = net(Z, T, TOKENS).data
    assert y.shape == Z.shape
    other = net(Z, T, np.array([[2, 4, 6, 0], [1, 0, 0, 0]])).data
    assert (np.abs(other[0] - y[0]) > 0).all() and np.abs(other[1] - y[1]).max() == 0
    shorter = net(Z, T, TOKENS[:, :3]).data
    np.testing.assert_allclose(shorter, y, atol=1e-6)


def test_it_is_the_unet_on_the_encoded_words_and_both_are_trained():
    net = TextUNet(TextUNetConfig(SMALL, WORDS), md.RNG(0))
    tau = net.text_encoder(TOKENS)
    expected = net.unet(Z, T, Context(tau, TOKENS == 0)).data
    np.testing.assert_array_equal(net(Z, T, TOKENS).data, expected)
    (net(Z, T, TOKENS) ** 2).mean().backward()
    silent = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


def test_config_makes_the_same_network_again():
    net = TextUNet(TextUNetConfig(SMALL, WORDS), md.RNG(0))
    again = TextUNet(TextUNetConfig(**asdict(net.config)), md.RNG(5))
    assert again.config == net.config
    again.load_state_dict(net.state_dict())
    np.testing.assert_array_equal(again(Z, T, TOKENS).data, net(Z, T, TOKENS).data)


def test_word_vectors_of_another_size_are_refused():
    with pytest.raises(ValueError, match="TextUNet: unet's context_channels must be the text encoder's d = 8, got 16"):
        TextUNetConfig({**SMALL, "context_channels": 16}, WORDS)
