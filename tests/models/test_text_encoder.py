from dataclasses import asdict

import numpy as np
import pytest
from support.against_torch import distance

import minidiff as md
from minidiff import functional as F
from minidiff import optim
from minidiff.models import TextEncoder, TextEncoderConfig
from minidiff.models.text_encoder import TransformerEncoderLayer

TOKENS = np.array([[2, 5, 3, 9], [7, 0, 0, 0], [1, 0, 0, 0], [4, 4, 8, 0], [6, 2, 0, 0]])
B, L, D = 5, 4, 16


def make(**settings):
    return TextEncoder(TextEncoderConfig(**{"n_words": 10, "max_length": 6, "d": D, "n_heads": 4, **settings}), md.RNG(0))


def test_shapes_and_config():
    net = make()
    assert net(TOKENS).shape == (B, L, D) and net(TOKENS).dtype == np.float32
    assert net(md.Tensor(TOKENS[:, :1])).shape == (B, 1, D)
    again = TextEncoder(TextEncoderConfig(**asdict(net.config)))
    again.load_state_dict(net.state_dict())
    np.testing.assert_array_equal(again(TOKENS).data, net(TOKENS).data)


def test_the_default_is_small():
    net = TextEncoder(TextEncoderConfig(18, 4))
    assert net(TOKENS).shape == (B, L, 64)
    assert len(net.layers) == 2 and 90_000 < net.parameter_count() < 110_000


def test_padding():
    np.testing.assert_array_equal(make().padding(TOKENS), TOKENS == 0)
    np.testing.assert_array_equal(make(padding_idx=2).padding(md.Tensor(TOKENS)), TOKENS == 2)


def test_words_do_not_see_the_padding():
    net = make()
    for row, n in zip(TOKENS, (TOKENS != 0).sum(axis=1), strict=True):
        np.testing.assert_allclose(net(row[None]).data[0, :n], net(row[None, :n]).data[0], atol=1e-5)


def test_words_see_each_other_and_their_order():
    net = make()
    thick_seven, thin_seven, seven_thick = (net(np.array([words])).data[0] for words in ([3, 7], [4, 7], [7, 3]))
    assert np.abs(thick_seven[1] - thin_seven[1]).max() > 0.01
    assert np.abs(thick_seven[1] - seven_thick[0]).max() > 0.01


def torchs_layer(torch):
    torch.set_num_threads(1)
    return torch.nn.TransformerEncoderLayer(
        D, 4, 4 * D, dropout=0, activation=torch.nn.functional.silu, batch_first=True, norm_first=True
    )


def with_drawn_weights(module):
    """Every parameter matters: PyTorch starts biases at 0 and the norms' weights at 1."""
    module.load_state_dict({n: md.RNG(i).normal(a.shape) * 0.3 for i, (n, a) in enumerate(module.state_dict().items())})
    return module


def assert_gradients_agree(ours, theirs, names):
    for name in names:
        mine, twin = dict(ours.named_parameters())[name].grad, dict(theirs.named_parameters())[name].grad.numpy()
        assert distance(mine, twin) <= 1e-5, name


@pytest.mark.parametrize("padded", [False, True])
def test_a_layer_is_torchs(padded):
    torch = pytest.importorskip("torch", reason="PyTorch comes with the compare extra")
    ours, theirs = with_drawn_weights(TransformerEncoderLayer(D, 4, md.RNG(0))), torchs_layer(torch)
    theirs.load_state_dict({n: torch.tensor(a) for n, a in ours.state_dict().items()})
    x, dy = md.RNG(1).normal((B, L, D)), md.RNG(2).normal((B, L, D))
    padding = TOKENS == 0 if padded else None
    x_ours, x_theirs = md.Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y_ours, y_theirs = ours(x_ours, padding), theirs(x_theirs, src_key_padding_mask=None if padding is None else torch.tensor(padding))
    y_ours.backward(dy)
    y_theirs.backward(torch.tensor(dy))
    assert distance(y_ours.data, y_theirs.detach().numpy()) <= 1e-5
    assert distance(x_ours.grad, x_theirs.grad.numpy()) <= 1e-5
    assert_gradients_agree(ours, theirs, ours.state_dict())


def test_the_encoder_is_torchs():
    torch = pytest.importorskip("torch", reason="PyTorch comes with the compare extra")
    ours = with_drawn_weights(make())
    theirs = torch.nn.TransformerEncoder(torchs_layer(torch), 2, torch.nn.LayerNorm(D), enable_nested_tensor=False)
    weights = {n: torch.tensor(a) for n, a in ours.state_dict().items()}
    words, positions = (weights.pop(n).requires_grad_() for n in ("token_embedding.weight", "position_embedding"))
    theirs.load_state_dict(weights)
    dy = md.RNG(2).normal((B, L, D))
    y_ours = ours(TOKENS)
    y_theirs = theirs(words[torch.tensor(TOKENS)] + positions[:L], src_key_padding_mask=torch.tensor(TOKENS == 0))
    y_ours.backward(dy)
    y_theirs.backward(torch.tensor(dy))
    assert distance(y_ours.data, y_theirs.detach().numpy()) <= 1e-5
    assert_gradients_agree(ours, theirs, dict(theirs.named_parameters()))
    assert distance(ours.token_embedding.weight.grad, words.grad.numpy()) <= 1e-5
    assert distance(ours.position_embedding.grad, positions.grad.numpy()) <= 1e-5


def test_it_learns_whether_two_words_are_the_same():
    """No word alone tells: the first word's vector must know of the second."""
    rng = md.RNG(0)
    net = make(n_words=6, n_layers=1)
    optimizer = optim.AdamW(net.named_parameters(), lr=3e-3)
    for _ in range(60):
        tokens = rng.integers(2, 6, (32, 2))
        same = (tokens[:, 0] == tokens[:, 1]).astype(np.float32)
        optimizer.zero_grad()
        loss = F.mse_loss(net(tokens)[:, 0, 0], same)
        loss.backward()
        optimizer.step()
    assert float(loss.data) < 0.1  # without looking at both it stays at the variance of `same`, 0.19


def test_on_another_library_tokens_stay_there(strict):
    net = make()
    expected = net(TOKENS).data
    for parameter in net.parameters():
        parameter.data = strict.asarray(parameter.data)
    tokens = strict.asarray(TOKENS)
    assert type(net.padding(tokens)) is type(tokens)
    np.testing.assert_allclose(strict.asnumpy(net(tokens).data), expected, atol=1e-5)
    with pytest.raises(TypeError, match="arrays of two libraries in one call"):
        net(TOKENS)


@pytest.mark.parametrize("token", [-1, 10])
def test_tokens_that_are_no_words(token):
    with pytest.raises(IndexError, match=r"TextEncoder: tokens must be in 0\.\.n_words-1 = 0\.\.9 \(.* got "):
        make()(np.array([[2, token]]))


@pytest.mark.parametrize(
    ("tokens", "error", "message"),
    [
        (np.zeros(3, int), ValueError, r"\(B, L\) with L in 1\.\.max_length = 1\.\.6, got shape \(3,\)"),
        (np.zeros((1, 7), int), ValueError, r"got shape \(1, 7\)"),
        (np.zeros((1, 0), int), ValueError, r"got shape \(1, 0\)"),
        ("a seven", ValueError, "got str"),
        (np.ones((1, 2)), TypeError, "must be ints, got float64"),
    ],
)
def test_tokens_that_do_not_fit(tokens, error, message):
    with pytest.raises(error, match=f"TextEncoder: tokens .*{message}"):
        make()(tokens)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_words": 0}, "n_words must be an int >= 1, got 0"),
        ({"n_layers": 1.5}, "n_layers must be an int >= 1, got 1.5"),
        ({"d": 10}, "d must be a multiple of n_heads = 4, got 10"),
        ({"padding_idx": 10}, r"padding_idx must be in 0\.\.n_words-1 = 0\.\.9, got 10"),
    ],
)
def test_settings_that_do_not_fit(settings, message):
    with pytest.raises(ValueError, match=f"TextEncoder: {message}"):
        make(**settings)
