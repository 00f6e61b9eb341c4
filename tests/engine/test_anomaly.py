import inspect

import numpy as np
import pytest

import minidiff as md
from minidiff import functional as F
from minidiff import nn
from minidiff.engine import registry
from minidiff.kernels.cpu.conv2d import im2col
from minidiff.models import UNet, UNetConfig


def here(offset=0):
    """`file:line` of the caller, `offset` lines further down."""
    frame = inspect.currentframe().f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno + offset}"


@pytest.fixture(autouse=True)
def numpy_warns_as_well():
    with np.errstate(all="ignore"):
        yield


def test_forward_is_reported_with_operation_line_and_ranges():
    x, y = md.Tensor([1.0, 2.0], requires_grad=True), md.Tensor([0.5, 0.0])
    with md.detect_anomaly(), pytest.raises(md.AnomalyError) as error:
        line = here(1)
        x / y
    assert str(error.value).splitlines() == [
        "forward of divide: the result holds inf at index (1,) (1 of 2 values are not finite)",
        "  module: (none)",
        f"  line:   {line}",
        "  x: shape (2,), float32, from 1 to 2",
        "  y: shape (2,), float32, from 0 to 0.5",
    ]


def test_backward_is_reported_with_the_line_of_the_forward_pass():
    x = md.Tensor([4.0, 0.0], requires_grad=True)
    with md.detect_anomaly():
        line = here(1)
        y = F.sqrt(x)
        loss = y.sum()
        with pytest.raises(md.AnomalyError) as error:
            loss.backward()
    assert str(error.value).splitlines() == [
        "backward of sqrt: the gradient of x holds inf at index (1,) (1 of 2 values are not finite)",
        "  module: (none)",
        f"  line:   {line}",
        "  x: shape (2,), float32, from 0 to 4",
        "  dy: shape (2,), float32, from 1 to 1",
    ]


def test_arrays_in_lists_and_keywords_are_reported_by_name():
    bad = md.Tensor([np.nan, 1.0])
    with md.detect_anomaly(), pytest.raises(md.AnomalyError) as error:
        F.concatenate(tensors=[md.Tensor([1.0]), bad])
    assert "  tensors[0]: shape (1,), float32, from 1 to 1" in str(error.value)
    assert "  tensors[1]: shape (2,), float32, from 1 to 1, and 1 not finite" in str(error.value)


def test_a_forward_pass_outside_of_the_block_is_said_to_be_unknown():
    y = F.sqrt(md.Tensor([0.0], requires_grad=True)).sum()
    with md.detect_anomaly(), pytest.raises(md.AnomalyError, match="module: unknown: its forward pass ran outside of detect_anomaly"):
        y.backward()


def test_finite_numbers_pass_and_the_block_ends():
    x = md.Tensor([1.0], requires_grad=True)
    with md.detect_anomaly():
        F.exp(x).sum().backward()
    assert np.isinf((x / 0).item())


@pytest.fixture(scope="module")
def unet():
    return UNet(UNetConfig(1, 8, (1, 2), (False, False)), md.RNG(0))


def test_module_path_in_the_forward_pass(unet):
    weight = unet.up[3].res.conv1.weight
    good = weight.data
    weight.assign(np.full_like(good, np.nan))
    with md.detect_anomaly(), pytest.raises(md.AnomalyError, match=r"forward of conv2d(.|\n)*module: up\.3\.res\.conv1\n"):
        unet(md.Tensor(np.zeros((1, 1, 8, 8), np.float32)), np.array([1]))
    weight.assign(good)


def test_module_path_in_the_backward_pass(unet, monkeypatch):
    """A kernel whose gradient is NaN for the weight of one convolution."""
    target = unet.up[3].res.conv1.weight.data

    def broken(x, weight, *args):
        y, backward = im2col(x, weight, *args)

        def broken_backward(dy, wanted):
            dx, dweight, dbias = backward(dy, wanted)
            return dx, dweight * np.float32("nan") if weight is target else dweight, dbias

        return y, broken_backward

    monkeypatch.setattr(registry, "_kernels", {})
    md.register_kernel("conv2d", "broken", broken)
    with md.detect_anomaly(), md.use_kernels(conv2d="broken"):
        loss = unet(md.Tensor(np.zeros((1, 1, 8, 8), np.float32)), np.array([1])).sum()
        with pytest.raises(
            md.AnomalyError, match=r"backward of conv2d: the gradient of weight holds nan(.|\n)*module: up\.3\.res\.conv1\n"
        ):
            loss.backward()


def test_the_path_starts_at_the_outermost_module_that_runs():
    class Net(nn.Module):
        def __init__(self):
            self.body = nn.Sequential(nn.Identity(), nn.Sequential(nn.Linear(2, 2)))

        def forward(self, x):
            return self.body(x)

    net = Net()
    net.body[1][0].weight.assign(np.full((2, 2), np.inf, np.float32))
    x = md.Tensor(np.ones((1, 2), np.float32))
    for module, path in ((net, "body.1.0"), (net.body, "1.0"), (net.body[1][0], "Linear")):
        with md.detect_anomaly(), pytest.raises(md.AnomalyError, match=f"module: {path}\n"):
            module(x)
