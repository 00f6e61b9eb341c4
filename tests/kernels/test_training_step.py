"""A whole training step of the U-Net by kernels: each result and gradient compared with the reference where it is computed."""

import numpy as np
import pytest

import minidiff as md
from minidiff.models import UNet, UNetConfig
from minidiff.optim import Adam

EMULATED = dict.fromkeys(("conv2d", "conv_transpose2d", "linear", "attention", "group_norm", "group_norm_swish"), "fast")


@pytest.mark.parametrize("upsample", ["transposed", "nearest"])
@pytest.mark.parametrize("mode", ["check", "strict"])
def test_unet_training_step(emulated, mode, upsample):
    rng = np.random.default_rng(0)
    x_0, eps = (rng.standard_normal((2, 1, 8, 8), dtype=np.float32) for _ in range(2))
    t = np.array([3, 700])

    def step(mode):
        model = UNet(UNetConfig(1, 8, (1, 2), (False, True), upsample=upsample), md.RNG(0))
        optimizer = Adam(model.parameters(), lr=1e-2)
        with md.use_kernels(mode, **(EMULATED if mode != "reference" else {})):
            loss = ((model(x_0, t) - eps) ** 2).mean()
            loss.backward()
        gradients = {name: p.grad.copy() for name, p in model.named_parameters()}
        optimizer.step()
        return loss.item(), gradients

    loss, gradients = step(mode)
    wanted_loss, wanted = step("reference")
    assert loss == pytest.approx(wanted_loss, rel=1e-5)
    largest = max(np.abs(g).max() for g in wanted.values())
    for name, gradient in gradients.items():
        assert np.abs(gradient - wanted[name]).max() <= 1e-4 * largest, name
