import numpy as np
import pytest

import minidiff as md
from minidiff import functional as F
from minidiff import nn


def images(*shape):
    return md.RNG(1).normal(shape)


@pytest.mark.parametrize(
    "layer, x, operation",
    [
        (nn.Linear(3, 2), images(4, 3), lambda x, m: F.linear(x, m.weight, m.bias)),
        (nn.Linear(3, 2, bias=False), images(4, 3), lambda x, m: F.linear(x, m.weight)),
        (
            nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 0), (1, 2), 2), images(2, 4, 7, 8),
            lambda x, m: F.conv2d(x, m.weight, m.bias, stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2),
        ),
        (
            nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, 2, True, (1, 2)), images(2, 4, 5, 4),
            lambda x, m: F.conv_transpose2d(x, m.weight, m.bias, stride=2, padding=1, output_padding=1, groups=2, dilation=(1, 2)),
        ),
        (nn.GroupNorm(2, 4, eps=0.1), images(2, 4, 3, 3), lambda x, m: F.group_norm(x, 2, m.weight, m.bias, 0.1)),
        (nn.GroupNorm(2, 4, affine=False), images(2, 4, 3, 3), lambda x, m: F.group_norm(x, 2)),
        (nn.GroupNormSwish(2, 4), images(2, 4, 3, 3), lambda x, m: F.swish(F.group_norm(x, 2, m.weight, m.bias))),
        (nn.LayerNorm(4, eps=0.1), images(2, 3, 4), lambda x, m: F.layer_norm(x, 4, m.weight, m.bias, 0.1)),
        (nn.Embedding(5, 3), np.array([[0, 4], [2, 2]]), lambda x, m: F.embedding(x, m.weight)),
        (nn.Swish(), images(2, 3), lambda x, m: F.swish(x)),
        (nn.Sequential(nn.Linear(3, 4), nn.Swish()), images(2, 3), lambda x, m: F.swish(F.linear(x, m[0].weight, m[0].bias))),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_a_layer_calls_its_operation(layer, x, operation):
    for parameter in layer.parameters():  # away from the zeros and ones that would hide an exchange
        parameter.assign(md.RNG(2).normal(parameter.shape))
    np.testing.assert_allclose(layer(x).data, operation(x, layer).data, atol=1e-6)


def test_identity_returns_its_input_and_modules_their_length():
    x = md.Tensor([1.0])
    assert nn.Identity()(x) is x
    layers = nn.Sequential(nn.Linear(1, 1), nn.Swish())
    assert len(layers) == 2 and isinstance(layers[1], nn.Swish) and [type(m).__name__ for m in layers] == ["Linear", "Swish"]


@pytest.mark.parametrize(
    "make, fan_in",
    [
        (lambda rng: nn.Linear(50, 80, rng=rng), 50),
        (lambda rng: nn.Conv2d(16, 40, (3, 2), groups=2, rng=rng), 8 * 6),
        (lambda rng: nn.ConvTranspose2d(40, 16, 3, groups=2, rng=rng), 8 * 9),
    ],
)
def test_initial_weights_are_uniform_within_one_over_the_root_of_fan_in(make, fan_in):
    layer = make(md.RNG(0))
    bound = fan_in**-0.5
    w = layer.weight.data
    assert np.abs(w).max() <= bound and np.abs(layer.bias.data).max() <= bound
    assert w.dtype == np.float32 and abs(w.mean()) < 0.05 * bound and w.std() == pytest.approx(bound / 3**0.5, rel=0.05)


def test_initial_weights_come_from_the_generator():
    a, b, c = (nn.Linear(3, 4, rng=md.RNG(seed)).weight.data for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)
    rng = md.RNG(1)
    assert not np.array_equal(nn.Linear(3, 4, rng=rng).weight.data, nn.Linear(3, 4, rng=rng).weight.data)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: nn.Conv2d(6, 8, 3, groups=4), r"Conv2d: in_channels = 6 can't be divided into 4 groups; 6 channels allow \[1, 2, 3, 6\]"),
        (lambda: nn.Conv2d(6, 8, 3, groups=3), r"Conv2d: out_channels = 8 can't be divided into 3 groups; 8 channels allow \[1, 2, 4, 8\]"),
        (lambda: nn.ConvTranspose2d(6, 8, 3, groups=0), "ConvTranspose2d: in_channels = 6 can't be divided into 0 groups"),
        (
            lambda: nn.GroupNorm(8, 12),
            r"GroupNorm: num_channels = 12 can't be divided into 8 groups; 12 channels allow \[1, 2, 3, 4, 6, 12\]",
        ),
    ],
)
def test_groups_that_do_not_divide_the_channels(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "layer, x, error, message",
    [
        (nn.Linear(3, 2), images(4, 2), ValueError, r"linear: weight must be \(out, in\) .* got x \(4, 2\) and weight \(2, 3\)"),
        (nn.Conv2d(2, 2, 3), images(1, 3, 5, 5), ValueError, r"conv2d: x has C = 3 but weight wants C = 2 \* groups = 2"),
        (nn.GroupNorm(2, 4), images(1, 6, 2, 2), ValueError, r"group_norm: weight must have shape \(6,\), got \(4,\)"),
        (nn.LayerNorm(4), images(2, 3), ValueError, r"layer_norm: x must end in normalized_shape = \(4,\), sizes >= 1, got shape \(2, 3\)"),
        (nn.Embedding(5, 3), np.array([1, 5]), IndexError, r"embedding: indices must be in 0..4, got 1..5"),
        (nn.Embedding(5, 3), np.array([-1]), IndexError, r"embedding: indices must be in 0..4, got -1..-1"),
        (nn.Embedding(5, 3), np.array([1.0]), TypeError, r"embedding: indices must be ints, got float64"),
        (nn.Linear(3, 2), images(4, 3).astype(np.float64), TypeError, "linear: weight and x must have one dtype, got float32 and float64"),
    ],
)
def test_input_that_does_not_fit(layer, x, error, message):
    with pytest.raises(error, match=message):
        layer(x)


def test_names_and_shapes_are_those_of_torch():
    torch = pytest.importorskip("torch", reason="PyTorch comes with the compare extra")
    pairs = [
        (nn.Linear(3, 4), torch.nn.Linear(3, 4)),
        (nn.Conv2d(4, 6, (3, 2), groups=2), torch.nn.Conv2d(4, 6, (3, 2), groups=2)),
        (nn.ConvTranspose2d(4, 6, 3, groups=2), torch.nn.ConvTranspose2d(4, 6, 3, groups=2)),
        (nn.GroupNorm(2, 4), torch.nn.GroupNorm(2, 4)),
        (nn.LayerNorm((3, 4)), torch.nn.LayerNorm((3, 4))),
        (nn.Embedding(5, 3), torch.nn.Embedding(5, 3)),
        (nn.Sequential(nn.Linear(2, 3), nn.Swish()), torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.SiLU())),
    ]
    for ours, theirs in pairs:
        assert {n: a.shape for n, a in ours.state_dict().items()} == {n: tuple(a.shape) for n, a in theirs.state_dict().items()}


@pytest.mark.parametrize("make", [nn.Sequential, lambda *layers: nn.Sequential(layers), lambda *layers: nn.Sequential(list(layers))])
def test_a_sequential_takes_functions_and_lists(make):
    x = md.Tensor(np.array([[-1.0, 2.0]], np.float32))
    model = make(nn.Identity(), F.relu, lambda x: x * 3)
    np.testing.assert_array_equal(model(x).data, [[0, 6]])
    assert len(model) == 3 and "(1): Function(relu)" in repr(model)


def test_a_module_list_takes_a_list_as_torchs_does():
    layers = [nn.Linear(2, 2), nn.Linear(2, 2)]
    assert list(nn.ModuleList(layers)) == layers == list(nn.ModuleList(*layers))
    assert len(nn.ModuleList([])) == 0 and len(nn.ModuleList(layer for layer in layers)) == 2


@pytest.mark.parametrize("layer, message", [
    (3, "Sequential: layer 1 must be a Module or a function, got 3"),
    ("relu", "Sequential: layer 1 must be a Module or a function, got 'relu'"),
    (nn.Swish, "Sequential: layer 1 must be a Module or a function, .*write its brackets"),
])  # fmt: skip
def test_what_is_no_layer_is_refused_by_its_place(layer, message):
    with pytest.raises(TypeError, match=message):
        nn.Sequential(nn.Identity(), layer)


def test_sizes_may_be_integers_of_numpy():
    n = np.int64(2)
    x = md.Tensor(np.ones((n, n, 4, 4), np.float32))
    assert nn.Conv2d(n, n, np.int32(3), padding=n, stride=n, groups=n)(x).shape == (2, 2, 3, 3)
    assert nn.GroupNorm(n, n)(x).shape == x.shape and nn.LayerNorm(np.int64(4))(x).shape == x.shape
    assert F.avg_pool2d(x, n).shape == (2, 2, 2, 2) and F.interpolate(x, n).shape == (2, 2, 8, 8)
    assert F.pad(x, (n, n)).shape == (2, 2, 4, 8) and x.reshape(np.int64(64)).shape == (64,)


@pytest.mark.parametrize("size", [(3, 3, 3), 2.5, True, 0, "3"])
@pytest.mark.parametrize("layer", [nn.Conv2d, nn.ConvTranspose2d])
def test_a_kernel_size_is_an_int_or_a_pair(layer, size):
    with pytest.raises(ValueError, match=rf"{layer.__name__}: kernel_size must be an int >= 1 or a pair"):
        layer(1, 1, size)
