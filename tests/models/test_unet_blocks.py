import numpy as np
import pytest

import minidiff as md
from minidiff.models import unet_blocks as blocks

RNG = md.RNG


def normal(seed, *shape):
    return RNG(seed).normal(shape)


def test_time_embedding_is_the_slides_formula():
    """sin(t / 10000^(i / (d - 1))) for i = 0..d-1, then the cosines, through lin1, swish, lin2, in float64."""
    emb = blocks.TimeEmbedding(32, RNG(0))
    t, d = np.array([1, 17, 1000]), 4
    pe = np.zeros((3, 2 * d))
    for row, time in enumerate(t):
        for i in range(d):
            angle = time / 10000 ** (i / (d - 1))
            pe[row, i], pe[row, d + i] = np.sin(angle), np.cos(angle)
    h = pe @ emb.lin1.weight.data.T.astype(float) + emb.lin1.bias.data
    expected = (h / (1 + np.exp(-h))) @ emb.lin2.weight.data.T.astype(float) + emb.lin2.bias.data
    np.testing.assert_allclose(emb(t).data, expected, atol=1e-4)
    np.testing.assert_array_equal(emb(md.Tensor(t)).data, emb(t).data)
    assert emb(t).shape == (3, 32) and emb(t).dtype == np.float32


@pytest.mark.parametrize("time_channels", [8, 20, 12])
def test_time_embedding_sizes(time_channels):
    with pytest.raises(ValueError, match=f"TimeEmbedding: time_channels must be a multiple of 8 and at least 16, got {time_channels}"):
        blocks.TimeEmbedding(time_channels, RNG(0))


@pytest.mark.parametrize("channels, groups", [(1, 1), (2, 1), (4, 2), (8, 4), (12, 6), (16, 8), (20, 5), (32, 8), (7, 1), (14, 7), (96, 8)])
def test_fitting_groups_have_two_channels_at_least(channels, groups):
    assert blocks.fitting_groups(channels) == groups


def test_residual_block_adds_the_shortcut():
    """With conv2 at zero only the shortcut is left: x itself, or its 1x1 convolution."""
    x, t = normal(1, 2, 4, 3, 3), md.Tensor(normal(2, 2, 16))
    for out in (4, 6):
        block = blocks.ResidualBlock(4, out, blocks.BlockSettings(16), RNG(0))
        block.conv2.weight.assign(np.zeros_like(block.conv2.weight.data))
        block.conv2.bias.assign(np.zeros(out, np.float32))
        y = block(md.Tensor(x), t).data
        expected = (
            x
            if out == 4
            else np.einsum("oc,nchw->nohw", block.shortcut.weight.data[:, :, 0, 0], x) + block.shortcut.bias.data[:, None, None]
        )
        np.testing.assert_allclose(y, expected, atol=1e-5)


def test_attention_block_is_softmax_attention_among_the_pixels_by_head():
    block = blocks.AttentionBlock(4, blocks.BlockSettings(16, n_heads=2), RNG(0))
    x = normal(1, 2, 4, 3, 2)
    tokens = block.norm(md.Tensor(x)).data.reshape(2, 4, 6).transpose(0, 2, 1)
    qkv = tokens @ block.projection.weight.data.T + block.projection.bias.data
    result = np.zeros((2, 6, 4))
    for head in range(2):
        q, k, v = (qkv[:, :, part * 4 + head * 2 : part * 4 + head * 2 + 2] for part in range(3))
        scores = np.exp(q @ k.transpose(0, 2, 1) / 2**0.5)
        result[:, :, 2 * head : 2 * head + 2] = scores / scores.sum(axis=2, keepdims=True) @ v
    expected = x + (result @ block.output.weight.data.T + block.output.bias.data).transpose(0, 2, 1).reshape(x.shape)
    np.testing.assert_allclose(block(md.Tensor(x)).data, expected, atol=1e-5)


def test_down_and_upsampling_halve_and_double():
    x, t = md.Tensor(normal(1, 1, 4, 6, 8)), None
    assert blocks.Downsample(4, RNG(0))(x, t).shape == (1, 4, 3, 4)
    assert blocks.Upsample(4, RNG(0))(x, t).shape == blocks.NearestUpsample(4, RNG(0))(x, t).shape == (1, 4, 12, 16)
    assert blocks.Upsample(4, RNG(0)).conv.weight.shape == (4, 4, 4, 4)


def test_heads_that_do_not_divide_the_channels():
    with pytest.raises(
        ValueError, match=r"AttentionBlock: 6 channels can't be divided into 4 heads \(n_heads\); they allow \[1, 2, 3, 6\]"
    ):
        blocks.AttentionBlock(6, blocks.BlockSettings(16), RNG(0))
