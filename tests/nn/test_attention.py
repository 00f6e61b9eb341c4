import numpy as np
import pytest
from support.against_torch import distance

import minidiff as md
from minidiff import nn

N, T, S, E, H = 2, 3, 5, 8, 2


def normal(seed, *shape):
    return md.RNG(seed).normal(shape)


PADDING = np.array([[False, False, True, False, True], [False, True, False, False, False]])
MAY_ATTEND = np.array([[True, True, False, True, True], [True, False, True, True, False], [True, True, True, True, True]])


@pytest.mark.parametrize("sizes", [{}, {"kdim": 6, "vdim": 4}, {"kdim": 6}], ids=str)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("masks", [(), ("padding",), ("mask",), ("padding", "mask"), ("added",), ("padding", "added")], ids="+".join)
def test_it_is_torchs_layer(sizes, bias, masks):
    torch = pytest.importorskip("torch", reason="PyTorch comes with the compare extra")
    theirs = torch.nn.MultiheadAttention(E, H, bias=bias, batch_first=True, **sizes)
    ours = nn.MultiHeadAttention(E, H, bias=bias, **sizes, rng=md.RNG(0))
    assert {n: a.shape for n, a in ours.state_dict().items()} == {n: tuple(a.shape) for n, a in theirs.state_dict().items()}
    ours.load_state_dict({n: normal(i, *a.shape) * 0.5 for i, (n, a) in enumerate(ours.state_dict().items())})
    theirs.load_state_dict({n: torch.tensor(a) for n, a in ours.state_dict().items()})
    arrays = [normal(11, N, T, E), normal(12, N, S, sizes.get("kdim", E)), normal(13, N, S, sizes.get("vdim", E))]
    added = normal(14, T, S)
    padding = PADDING if "padding" in masks else None
    mask, torch_mask = None, None
    if "mask" in masks:  # True means the opposite in the two
        mask, torch_mask = MAY_ATTEND, torch.tensor(~MAY_ATTEND)
    if "added" in masks:
        mask, torch_mask = added, torch.tensor(added)

    inputs = [md.Tensor(a, requires_grad=True) for a in arrays]
    y = ours(*inputs, key_padding_mask=padding, mask=mask)
    y.backward(normal(15, N, T, E))
    torch_inputs = [torch.tensor(a, requires_grad=True) for a in arrays]
    if padding is not None and torch_mask is not None and torch_mask.dtype != torch.bool:
        torch_padding = torch.zeros(N, S).masked_fill(torch.tensor(padding), -torch.inf)
    else:
        torch_padding = None if padding is None else torch.tensor(padding)
    torch_y, _ = theirs(*torch_inputs, key_padding_mask=torch_padding, attn_mask=torch_mask, need_weights=False)
    torch_y.backward(torch.tensor(normal(15, N, T, E)))

    np.testing.assert_allclose(y.data, torch_y.detach().numpy(), atol=2e-5)
    for a, b in zip(inputs, torch_inputs, strict=True):
        np.testing.assert_allclose(a.grad, b.grad.numpy(), atol=2e-5)
    for name, p in theirs.named_parameters():
        np.testing.assert_allclose(dict(ours.named_parameters())[name].grad, p.grad.numpy(), atol=5e-5, err_msg=name)


@pytest.mark.parametrize("sizes", [{}, {"kdim": 24, "vdim": 40}], ids=str)
def test_cross_attention_from_pixels_to_words_is_torchs_to_1e_minus_5(sizes):
    """49 pixels ask 6 words, of which the captions use 1 to 6; forward and all gradients, relative to the largest number of each."""
    torch = pytest.importorskip("torch", reason="PyTorch comes with the compare extra")
    torch.set_num_threads(1)
    B, pixels, words, embed_dim, heads = 4, 49, 6, 32, 4
    kdim, vdim = sizes.get("kdim", embed_dim), sizes.get("vdim", embed_dim)
    theirs = torch.nn.MultiheadAttention(embed_dim, heads, batch_first=True, **sizes)
    ours = nn.MultiHeadAttention(embed_dim, heads, **sizes, rng=md.RNG(0))
    ours.load_state_dict({n: normal(i, *a.shape) * 0.3 for i, (n, a) in enumerate(ours.state_dict().items())})
    theirs.load_state_dict({n: torch.tensor(a) for n, a in ours.state_dict().items()})
    padding = np.arange(words) >= np.array([6, 1, 3, 4])[:, None]
    arrays = [normal(11, B, pixels, embed_dim), normal(12, B, words, kdim), normal(13, B, words, vdim)]

    inputs, twins = [md.Tensor(a, requires_grad=True) for a in arrays], [torch.tensor(a, requires_grad=True) for a in arrays]
    y = ours(*inputs, key_padding_mask=padding)
    twin_y, _ = theirs(*twins, key_padding_mask=torch.tensor(padding), need_weights=False)
    dy = normal(15, B, pixels, embed_dim)
    y.backward(dy)
    twin_y.backward(torch.tensor(dy))

    assert distance(y.data, twin_y.detach().numpy()) <= 1e-5
    for name, x, twin in zip(("query", "key", "value"), inputs, twins, strict=True):
        assert distance(x.grad, twin.grad.numpy()) <= 1e-5, name
    for name, parameter in theirs.named_parameters():
        assert distance(dict(ours.named_parameters())[name].grad, parameter.grad.numpy()) <= 1e-5, name
    assert not inputs[1].grad[padding].any() and not inputs[2].grad[padding].any()


def test_initial_weights_have_torchs_bounds():
    same, different = nn.MultiHeadAttention(32, 4, rng=md.RNG(0)), nn.MultiHeadAttention(32, 4, kdim=16, rng=md.RNG(0))
    for p, bound in ((same.in_proj_weight, (6 / 128) ** 0.5), (different.k_proj_weight, (6 / 48) ** 0.5)):
        assert 0.97 * bound < np.abs(p.data).max() <= bound
    assert not same.in_proj_bias.data.any() and not same.out_proj.bias.data.any()


def test_key_and_value_follow_the_query_if_not_given():
    layer = nn.MultiHeadAttention(E, H, rng=md.RNG(0))
    x, y = normal(1, N, T, E), normal(2, N, S, E)
    np.testing.assert_array_equal(layer(x).data, layer(x, x, x).data)
    np.testing.assert_array_equal(layer(x, y).data, layer(x, y, y).data)


def test_causal():
    """The first token sees itself only: what comes later may change."""
    layer = nn.MultiHeadAttention(E, H, rng=md.RNG(0))
    x = normal(1, N, T, E)
    changed = x.copy()
    changed[:, 1:] += 1
    np.testing.assert_allclose(layer(x, is_causal=True).data[:, 0], layer(changed, is_causal=True).data[:, 0], atol=1e-6)
    assert np.abs(layer(x).data[:, 0] - layer(changed).data[:, 0]).max() > 0.01


def test_where_all_is_padding_only_the_output_bias_is_left():
    layer = nn.MultiHeadAttention(E, H, rng=md.RNG(0))
    x = normal(1, N, T, E)
    y = layer(x, key_padding_mask=md.Tensor(np.array([[True] * T, [False] * T])))
    np.testing.assert_array_equal(y.data[0], np.broadcast_to(layer.out_proj.bias.data, (T, E)))
    assert np.isfinite(y.data).all()


@pytest.mark.parametrize("heads", [3, 0, 16])
def test_heads_that_do_not_divide_the_size(heads):
    with pytest.raises(ValueError, match=rf"embed_dim = 8 can't be divided into {heads} heads; it allows \[1, 2, 4, 8\]"):
        nn.MultiHeadAttention(E, heads)


@pytest.mark.parametrize(
    "query, key, options, message",
    [
        (
            (N, T, 6),
            (N, S, E),
            {},
            r"wanted query \(N, T, 8\), key \(N, S, 8\), value \(N, S, 8\), got \(2, 3, 6\), \(2, 5, 8\), \(2, 5, 8\)",
        ),
        ((T, E), (S, E), {}, r"wanted query \(N, T, 8\).* got \(3, 8\), \(5, 8\), \(5, 8\)"),
        ((N, T, E), (S, E), {}, r"wanted query \(N, T, 8\).* got \(2, 3, 8\), \(5, 8\), \(5, 8\)"),
        (
            (N, T, E),
            (N, S, E),
            {"key_padding_mask": np.zeros((N, S))},
            r"key_padding_mask must be bool \(2, 5\), True .*, got float64 \(2, 5\)",
        ),
        (
            (N, T, E),
            (N, S, E),
            {"key_padding_mask": np.zeros((N, T), bool)},
            r"key_padding_mask must be bool \(2, 5\).*, got bool \(2, 3\)",
        ),
        (
            (N, T, E),
            (N, S, E),
            {"mask": np.ones((T, T), bool)},
            r"attention: mask must broadcast to .* = \(2, 2, 3, 5\), got shape \(3, 3\)",
        ),
    ],
)
def test_input_that_does_not_fit(query, key, options, message):
    with pytest.raises(ValueError, match=message):
        nn.MultiHeadAttention(E, H, rng=md.RNG(0))(normal(1, *query), normal(2, *key), **options)
