import json
from dataclasses import asdict

import numpy as np
import pytest

import minidiff as md
from minidiff import functional as F
from minidiff import optim
from minidiff.engine.backend import to_cpu
from minidiff.engine.random import layers_draw_from
from minidiff.models import UNet, UNetConfig
from minidiff.models.unet_blocks import (
    BlockSettings,
    Context,
    Downsample,
    ResidualBlock,
    UpBlock,
    Upsample,
    from_patches,
    to_patches,
)


def small(rng=None, **settings):
    return UNet(UNetConfig(**{"n_channels": 8, "ch_mults": (1, 2), "is_attn": (False, False), **settings}), rng or md.RNG(0))


def images(*shape):
    return md.RNG(1).normal(shape)


# -- the architecture of the slides -----------------------------------------------------------------------------------------------------


def test_mnist_sizes_at_each_level():
    """28 - 14 - 7 and back, with 32, 64, 64 channels."""
    net = UNet(rng=md.RNG(0))
    sizes = []
    for block in [*net.down, *net.up]:
        original = block.forward

        def noting(x, t, context, original=original):
            y = original(x, t, context)
            sizes.append(y.shape[1:])
            return y

        block.forward = noting
    assert net(images(1, 1, 28, 28), np.array([5])).shape == (1, 1, 28, 28)
    down = [(32, 28, 28), (32, 14, 14), (64, 14, 14), (64, 7, 7), (64, 7, 7)]
    up = [(64, 7, 7), (64, 7, 7), (64, 14, 14), (64, 14, 14), (32, 14, 14), (32, 28, 28), (32, 28, 28), (32, 28, 28)]
    assert sizes == down + up


def test_ch_mults_multiply_n_channels_or_each_other():
    """Errata 37: the slide's code multiplies cumulatively, DDPM does not."""
    plain, cumulative = (UNet(UNetConfig(1, 8, (1, 2, 2), (False,) * 3, cumulative=c)) for c in (False, True))
    channels = [[m.res.conv1.weight.shape[0] for m in net.down if not isinstance(m, Downsample)] for net in (plain, cumulative)]
    assert channels == [[8, 16, 16], [8, 16, 32]]
    assert plain(images(1, 1, 8, 8), np.array([1])).shape == cumulative(images(1, 1, 8, 8), np.array([1])).shape == (1, 1, 8, 8)


@pytest.mark.parametrize("ch_mults, is_attn, millions", [((1, 2), (False, True), 0.90), ((1, 2, 2), (False, False, True), 3.43)])
def test_parameter_count_of_the_decks_network(ch_mults, is_attn, millions):
    """As counted in the reference that the deck cites: n_channels = 32, cumulative, two blocks a level, attention in the last."""
    net = UNet(UNetConfig(1, 32, ch_mults, is_attn, n_blocks=2, cumulative=True))
    assert round(net.parameter_count() / 1e6, 2) == millions


def test_blocks_going_up_are_one_more_per_level():
    net = small(n_blocks=2)
    assert (
        len([m for m in net.up if isinstance(m, UpBlock)]) == 2 * 3 and len([m for m in net.down if not isinstance(m, Downsample)]) == 2 * 2
    )


def test_attention_is_where_is_attn_says_and_its_norm_is_used():
    net = small(is_attn=(False, True))
    names = {name.rpartition(".attn.")[0] for name in net.state_dict() if ".attn." in name}
    assert names == {"down.2", "middle", "up.0", "up.1"}
    F.mse_loss(net(images(2, 1, 4, 4), np.array([1, 2])), images(2, 1, 4, 4) * 0).backward()
    assert np.abs(net.middle.attn.norm.weight.grad).max() > 0


@pytest.mark.parametrize("upsample", ["transposed", "nearest"])
def test_both_ways_of_upsampling(upsample):
    net = small(upsample=upsample)
    assert any(isinstance(m, Upsample) for m in net.up) == (upsample == "transposed")
    assert net(images(1, 1, 6, 4), np.array([1])).shape == (1, 1, 6, 4)


def test_the_time_matters_for_every_small_number_of_channels():
    """Were each channel a group of its own, GroupNorm would take the time embedding out again."""
    for n_channels in (4, 8, 12):
        net = small(n_channels=n_channels, rng=md.RNG(n_channels))
        x = images(1, 1, 4, 4)
        assert np.abs(net(x, np.array([1])).data - net(x, np.array([500])).data).max() > 1e-4


def test_each_image_has_its_own_time():
    net = small()
    x = images(2, 1, 4, 4)
    both = net(x, np.array([3, 70])).data
    for i, t in enumerate((3, 70)):
        np.testing.assert_allclose(net(x[i : i + 1], np.array([t])).data[0], both[i], atol=1e-6)


def test_every_parameter_gets_a_gradient_and_one_seed_gives_one_network():
    net, again = small(is_attn=(True, True)), small(is_attn=(True, True))
    for a, b in zip(net.parameters(), again.parameters(), strict=True):
        np.testing.assert_array_equal(a.data, b.data)
    F.mse_loss(net(images(2, 1, 4, 4), np.array([1, 2])), images(2, 1, 4, 4) * 0).backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not np.abs(p.grad).max() > 0] == []


def test_dropout_acts_in_training_only():
    net = small(dropout=0.5)
    x, t = images(1, 1, 4, 4), np.array([1])
    with pytest.raises(RuntimeError, match=r"Dropout\(p=0.5\) draws random numbers in training mode"):
        net(x, t)
    with layers_draw_from(md.RNG(0)):
        assert not np.array_equal(net(x, t).data, net(x, t).data)
    net.eval()
    np.testing.assert_array_equal(net(x, t).data, net(x, t).data)


def test_config_makes_the_same_network_again():
    settings = {"n_channels": 8, "ch_mults": (1, 2), "is_attn": (False, True), "n_blocks": 2, "upsample": "nearest", "n_groups": 4}
    net = UNet(UNetConfig(**settings), md.RNG(0))
    again = UNet(UNetConfig(**json.loads(json.dumps(asdict(net.config)))), md.RNG(0))
    assert again.config == net.config
    again.load_state_dict(net.state_dict())
    x, t = images(1, 1, 4, 4), np.array([9])
    np.testing.assert_array_equal(net(x, t).data, again(x, t).data)


def test_a_training_step_stays_on_its_device(strict):
    """Forward, backward, clipping and AdamW in a library that refuses to mix with NumPy: the same numbers, nothing read by the host."""
    arrays = {"x": images(2, 1, 4, 4), "target": images(2, 1, 4, 4)[::-1].copy()}
    results = {}
    for device in ("cpu", "strict"):
        net = small(is_attn=(False, True)).to(device)
        optimizer = optim.AdamW(net.named_parameters(), lr=1e-2, eps=1e-2)  # a small eps would blow up the rounding of zero gradients
        x, target, t = (md.Tensor(a, device=device) for a in (arrays["x"], arrays["target"], np.array([3, 600])))
        for _ in range(2):
            strict.ndarray.host_reads = 0
            net.zero_grad()
            F.mse_loss(net(x, t), target).backward()
            optim.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            assert strict.ndarray.host_reads == 0
        assert {p.device for p in net.parameters()} == {device}
        results[device] = [to_cpu(a) for a in net.state_dict().values()]
    for ours, theirs in zip(results["cpu"], results["strict"], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5)


# -- patches ----------------------------------------------------------------------------------------------------------------------------


def test_patches_are_laid_out_and_back():
    x = np.arange(2 * 3 * 4 * 6, dtype=np.float32).reshape(2, 3, 4, 6)
    patches = to_patches(x, 2)
    assert patches.shape == (2, 12, 2, 3)
    np.testing.assert_array_equal(patches.data[1, 4:8, 1, 2], x[1, 1, 2:4, 4:6].ravel())
    np.testing.assert_array_equal(from_patches(patches, 2).data, x)
    assert to_patches(x, 1) is x


def test_a_network_on_patches_is_one_on_smaller_images_with_more_channels():
    net = small(patch_size=2, concat_channels=1, is_attn=(False, True))
    inner = UNet(UNetConfig(8, 8, (1, 2), (False, True)), md.RNG(0))
    state = net.state_dict() | {n: a for n, a in inner.state_dict().items() if n.startswith("final.")}
    assert net.image_proj.weight.shape == inner.image_proj.weight.shape and net.final.weight.shape == (4, 8, 3, 3)
    inner.load_state_dict(state)
    inner.final.weight.data[:4], inner.final.bias.data[:4] = net.final.weight.data, net.final.bias.data
    x, t, concat = images(2, 1, 8, 12), np.array([3, 70]), images(2, 1, 8, 12)[::-1].copy()
    both = to_patches(np.concatenate([x, concat], axis=1), 2)
    expected = from_patches(inner(both, t)[:, :4], 2)
    np.testing.assert_allclose(net(x, t, concat=concat).data, expected.data, atol=1e-6)
    assert UNet(UNetConfig(**asdict(net.config))).config == net.config


def test_patches_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="images of 28x28 can't be halved 2 times .* at most 2; 3 levels want multiples of 8"):
        UNetConfig(1, 8, (1, 1, 1), (False,) * 3, patch_size=2, image_size=28)
    with pytest.raises(ValueError, match="height and width must be at least 1 and multiples of patch_size = 3, got 28x28"):
        UNetConfig(1, 8, (1,), (False,), patch_size=3, image_size=28)
    with pytest.raises(ValueError, match="height and width must be at least 1 and multiples of patch_size = 1, got 0x0"):
        UNetConfig(1, 8, (1,), (False,), image_size=0)
    with pytest.raises(ValueError, match="UNet: patch_size must be an int >= 1, got 0"):
        small(patch_size=0)


# -- conditions ----------------------------------------------------------------------------------------------------------------------------


def words(*shape, padding=None):
    return Context(md.Tensor(md.RNG(5).normal(shape)), padding)


def test_cross_attention_follows_every_attention_and_each_image_reads_its_own_words():
    net = small(is_attn=(False, True), context_channels=6)
    assert {name.rpartition(".cross.")[0] for name in net.state_dict() if ".cross." in name} == {"down.2", "middle", "up.0", "up.1"}
    x, t, tokens = images(2, 1, 4, 4), np.array([3, 70]), words(2, 5, 6).tokens
    both = net(x, t, Context(tokens)).data
    for i in range(2):
        np.testing.assert_allclose(net(x[i : i + 1], t[i : i + 1], Context(tokens[i : i + 1])).data[0], both[i], atol=1e-6)
    assert np.abs(net(x, t, Context(tokens[::-1])).data - both).max() > 1e-4


def test_padded_words_are_not_read_and_get_no_gradient():
    net = small(is_attn=(False, True), context_channels=6)
    x, t = images(2, 1, 4, 4), np.array([3, 70])
    padding = np.array([[False, False, True], [False, True, True]])
    tokens = md.Tensor(words(2, 3, 6).tokens.data, requires_grad=True)
    y = net(x, t, Context(tokens, padding))
    (y**2).mean().backward()
    assert not tokens.grad[padding].any() and tokens.grad[~padding].all()
    changed = tokens.data + 10 * padding[:, :, None].astype(np.float32)
    np.testing.assert_allclose(net(x, t, Context(md.Tensor(changed), padding)).data, y.data, atol=1e-6)


def test_concatenated_pictures_reach_the_output():
    net = small(concat_channels=2)
    assert net.image_proj.weight.shape == (8, 3, 3, 3) and net.config.concat_channels == 2
    x, t, concat = images(1, 1, 4, 4), np.array([3]), images(1, 2, 4, 4)
    assert net(x, t, concat=concat).shape == x.shape
    assert np.abs(net(x, t, concat=concat).data - net(x, t, concat=-concat).data).max() > 1e-4


@pytest.mark.parametrize(
    "settings, condition, message",
    [
        ({}, {"context": words(1, 2, 6)}, r"this network \(context_channels = None\) wants no context"),
        ({"context_channels": 6}, {}, "wants a context with 6 channels, got None"),
        ({"context_channels": 6, "is_attn": (True, True)}, {"context": words(1, 2, 5)}, r"wanted query .* key \(N, S, 6\)"),
        ({}, {"concat": images(1, 1, 4, 4)}, r"concat must be None for this network \(concat_channels = 0\), got \(1, 1, 4, 4\)"),
        ({"concat_channels": 2}, {}, r"concat must be \(1, 2, 4, 4\) for this network \(concat_channels = 2\), got None"),
        ({"concat_channels": 2}, {"concat": images(1, 2, 2, 2)}, r"concat must be \(1, 2, 4, 4\) .* got \(1, 2, 2, 2\)"),
    ],
)
def test_conditions_that_do_not_fit(settings, condition, message):
    with pytest.raises(ValueError, match=message):
        small(**settings)(images(1, 1, 4, 4), np.array([1]), **condition)


# -- what it refuses --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"ch_mults": (1, 2, 2)}, r"ch_mults and is_attn must be of one length, got \(1, 2, 2\) and \(False, False\)"),
        ({"ch_mults": (1, 1.5)}, r"ch_mults must be ints >= 1, one for each resolution, got \(1, 1.5\)"),
        ({"ch_mults": (), "is_attn": ()}, r"ch_mults must be ints >= 1, one for each resolution, got \(\)"),
        ({"n_channels": 10}, "n_channels must be a multiple of 4, got 10"),
        ({"n_channels": 0}, "n_channels must be a multiple of 4, got 0"),
        ({"n_blocks": 0}, "n_blocks must be an int >= 1, got 0"),
        ({"image_channels": 0}, "image_channels must be an int >= 1, got 0"),
        ({"upsample": "bilinear"}, "upsample must be 'transposed' or 'nearest', got 'bilinear'"),
        ({"dropout": 1.0}, r"Dropout: p must be in \[0, 1\), got 1.0"),
        ({"n_channels": 12, "n_groups": 8}, r"num_channels = 12 can't be divided into 8 groups; 12 channels allow \[1, 2, 3, 4, 6, 12\]"),
        ({"n_heads": 5}, r"AttentionBlock: 16 channels can't be divided into 5 heads \(n_heads\); they allow \[1, 2, 4, 8, 16\]"),
        ({"image_size": 27}, "images of 27x27 can't be halved 1 times .* at most 1; 2 levels want multiples of 2, such as 26x26 or 28x28"),
    ],
)
def test_impossible_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        small(**settings)


def test_28x28_with_four_levels_is_refused_with_what_would_work():
    with pytest.raises(
        ValueError,
        match=r"UNet: images of 28x28 can't be halved 3 times for 4 levels \(ch_mults\). "
        "They allow at most 3; 4 levels want multiples of 8, such as 24x24 or 32x32",
    ):
        UNetConfig(1, 8, (1, 1, 1, 1), (False,) * 4, image_size=28)
    net = UNet(UNetConfig(1, 8, (1, 1, 1, 1), (False,) * 4))
    with pytest.raises(ValueError, match="images of 28x28 can't be halved 3 times"):
        net(images(1, 1, 28, 28), np.array([1]))
    with pytest.raises(ValueError, match="images of 28x20 can't be halved 3 times .* such as 24x16 or 32x24"):
        net(images(1, 1, 28, 20), np.array([1]))
    assert net(images(1, 1, 32, 24), np.array([1])).shape == (1, 1, 32, 24)


@pytest.mark.parametrize(
    "x, t, message",
    [
        (images(2, 3, 4, 4), np.array([1, 2]), r"UNet: x must be \(B, 1, H, W\), got shape \(2, 3, 4, 4\)"),
        (images(1, 4, 4), np.array([1]), r"UNet: x must be \(B, 1, H, W\), got shape \(1, 4, 4\)"),
        ([[0.0]], np.array([1]), r"UNet: x must be \(B, 1, H, W\), got list"),
        (images(2, 1, 4, 4), np.array([1]), r"UNet: t must hold one time step per image, shape \(2,\), got \(1,\)"),
        (images(2, 1, 4, 4), 5, r"UNet: t must hold one time step per image, shape \(2,\), got 5"),
    ],
)
def test_input_that_does_not_fit(x, t, message):
    with pytest.raises(ValueError, match=message):
        small()(x, t)


def test_float64_images_are_refused_by_a_float32_network():
    with pytest.raises(TypeError, match="conv2d: weight and x must have one dtype, got float32 and float64"):
        small()(images(1, 1, 4, 4).astype(np.float64), np.array([1]))


def test_residual_block_with_equal_channels_has_no_shortcut_convolution():
    names = [ResidualBlock(4, out, BlockSettings(16), md.RNG(0)).state_dict().keys() for out in (4, 8)]
    assert not any("shortcut" in name for name in names[0]) and "shortcut.weight" in names[1]


def test_zero_init_starts_as_zero_and_still_learns():
    """The network predicts 0 at first; only its last convolution has a gradient then, and the others get theirs once it has moved."""
    model = UNet(UNetConfig(1, 8, (1, 2), (False, False), zero_init=True), md.RNG(0))
    x, t = md.Tensor(md.RNG(1).normal((2, 1, 8, 8))), np.array([1, 5])
    assert not model(x, t).data.any()
    ((model(x, t) - 1) ** 2).mean().backward()
    assert model.final.bias.grad.any() and not model.middle.res1.conv1.weight.grad.any()
    plain = UNet(UNetConfig(1, 8, (1, 2), (False, False)), md.RNG(0))
    np.testing.assert_array_equal(model.image_proj.weight.data, plain.image_proj.weight.data)


def test_settings_that_are_not_in_their_dataclass():
    with pytest.raises(TypeError, match=r"UNet: the settings must be a UNetConfig, as in UNet\(UNetConfig\(...\), rng\), got int"):
        UNet(1)
