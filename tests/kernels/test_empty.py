"""Arrays without elements: what PyTorch gives, by the definition, or a refusal with a reason."""

import numpy as np
import pytest

import minidiff as md
from minidiff import functional as F
from minidiff import models, nn

LAYERS = {
    "conv by native or winograd": (lambda n: n.Conv2d(16, 16, 3, padding=1), (0, 16, 8, 8)),
    "conv by im2col": (lambda n: n.Conv2d(3, 5, 2, 2), (0, 3, 8, 8)),
    "conv transposed": (lambda n: n.ConvTranspose2d(16, 8, 4, 2, 1), (0, 16, 8, 8)),
    "group norm": (lambda n: n.GroupNorm(4, 16), (0, 16, 8, 8)),
    "layer norm": (lambda n: n.LayerNorm(5), (0, 5)),
    "linear": (lambda n: n.Linear(3, 5), (0, 3)),
    "linear without inputs": (lambda n: n.Linear(0, 5), (2, 0)),
    "linear of an empty sequence": (lambda n: n.Linear(3, 5), (2, 0, 3)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_gives_what_pytorch_gives(name):
    torch = pytest.importorskip("torch", reason="PyTorch comes with the compare extra")
    make, shape = LAYERS[name]
    with np.errstate(all="raise"):
        layer = make(nn)
        x = md.Tensor(np.ones(shape, "f"), requires_grad=True)
        y = layer(x)
        y.backward(np.ones(y.shape, "f"))
    twin = make(torch.nn)
    x_torch = torch.ones(shape, requires_grad=True)
    y_torch = twin(x_torch)
    y_torch.backward(torch.ones_like(y_torch))
    assert y.shape == tuple(y_torch.shape) and x.grad.shape == shape
    for p, q in zip(layer.parameters(), twin.parameters(), strict=True):
        np.testing.assert_array_equal(p.grad, q.grad.numpy())


def test_a_module_with_an_empty_batch_also_under_strict_kernels():
    model = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.GroupNormSwish(4, 16), nn.Conv2d(16, 16, 3, padding=1), nn.AvgPool2d(2), nn.Flatten())
    for mode in ("auto", "strict", "check", "reference"):
        with md.use_kernels(mode):
            y = model(md.Tensor(np.ones((0, 1, 8, 8), "f")))
            y.sum().backward()
        assert y.shape == (0, 256)
    assert all(not p.grad.any() for p in model.parameters())


@pytest.mark.parametrize(
    "make, t",
    [
        (lambda rng: models.UNet(models.UNetConfig(1, 8, (1, 2), (False, True), n_heads=1, image_size=8), rng), True),
        (lambda rng: models.Classifier(models.ClassifierConfig(image_size=8), rng), False),
        (lambda rng: models.NoisyClassifier(models.NoisyClassifierConfig(image_size=8), rng), True),
    ],
)
def test_a_network_with_an_empty_batch(make, t):
    network = make(md.RNG(0)).eval()
    y = network(np.ones((0, 1, 8, 8), "f"), *([np.ones(0, int)] if t else []))
    y.sum().backward()
    assert len(y) == 0 and all(not p.grad.any() for p in network.parameters())


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: F.conv2d(np.ones((1, 1, 0, 4), "f"), np.ones((1, 1, 1, 1), "f")), "conv2d: the window reaches over 1 pixels, but x has H = 0"),
        (lambda: F.layer_norm(np.ones((2, 0), "f"), 0), r"layer_norm: x must end in normalized_shape = \(0,\), sizes >= 1, got shape \(2, 0\)"),
        (lambda: F.log_softmax(np.ones((2, 0), "f")), r"log_softmax: there is no number to reduce over axis 1 of shape \(2, 0\)"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
