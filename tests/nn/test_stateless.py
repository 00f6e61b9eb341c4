"""Layers without parameters beside PyTorch's."""

import numpy as np
import pytest
from support.against_torch import compare

import minidiff as md
from minidiff import nn

LAYERS = {
    "ReLU": ({}, {}), "SiLU": ({}, {}), "Sigmoid": ({}, {}), "Tanh": ({}, {}), "GELU": ({}, {}), "Softmax": ({"axis": 1}, {"dim": 1}),
    "LogSoftmax": ({"axis": 1}, {"dim": 1}), "Flatten": ({}, {}), "AvgPool2d": ({"kernel_size": 2},) * 2,
    "MaxPool2d": ({"kernel_size": 3, "stride": 2, "padding": 1},) * 2, "Upsample": ({"scale_factor": 3, "mode": "bilinear"},) * 2,
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_torchs(name):
    torch = pytest.importorskip("torch", reason="PyTorch comes with the compare extra")
    ours, theirs = LAYERS[name]
    compare(getattr(nn, name)(**ours), getattr(torch.nn, name)(**theirs), [md.RNG(0).normal((2, 3, 5, 6))])


def test_losses_are_torchs():
    torch = pytest.importorskip("torch", reason="PyTorch comes with the compare extra")
    x, y, labels = md.RNG(0).normal((4, 3)), md.RNG(1).normal((4, 3)), np.array([0, 2, 1, 1])
    for reduction in ("mean", "sum", "none"):
        compare(nn.MSELoss(reduction), torch.nn.MSELoss(reduction=reduction), [x, y])
        options = {"reduction": reduction, "ignore_index": 2, "label_smoothing": 0.2}
        compare(lambda x, o=options: nn.CrossEntropyLoss(**o)(x, labels), lambda x, o=options: torch.nn.CrossEntropyLoss(**o)(x, torch.tensor(labels)), [x])


def test_layer_norm_without_affine_is_torchs():
    torch = pytest.importorskip("torch", reason="PyTorch comes with the compare extra")
    layer = nn.LayerNorm(6, elementwise_affine=False)
    assert not list(layer.parameters())
    compare(layer, torch.nn.LayerNorm(6, elementwise_affine=False), [md.RNG(0).normal((2, 3, 6))])


def test_upsample_by_the_nearest_pixel():
    np.testing.assert_array_equal(nn.Upsample(2)(md.Tensor([[[[1.0, 2.0]]]])).data, [[[[1, 1, 2, 2], [1, 1, 2, 2]]]])
