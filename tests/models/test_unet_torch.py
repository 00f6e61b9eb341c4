"""The whole U-Net against the same network in PyTorch, from one state_dict."""

import numpy as np
import pytest

import minidiff as md
from minidiff import functional as F
from minidiff import optim
from minidiff.models import UNet, UNetConfig

torch = pytest.importorskip("torch", reason="PyTorch comes with the compare extra")
from models import torch_unet  # noqa: E402

SETTINGS = {
    "28x28x1": (28, {"image_channels": 1, "n_channels": 8}),
    "32x32x3": (32, {"image_channels": 3, "n_channels": 8}),
    "two blocks, cumulative": (8, {"n_channels": 4, "n_blocks": 2, "cumulative": True, "ch_mults": (1, 2, 2)}),
    "nearest upsampling": (8, {"n_channels": 8, "upsample": "nearest", "n_blocks": 2}),
    "attention everywhere": (8, {"n_channels": 12, "ch_mults": (1, 3), "is_attn": (True, True), "n_heads": 3, "n_groups": 2}),
    "one level": (5, {"n_channels": 4, "ch_mults": (2,), "is_attn": (False,)}),
}


def twins(settings, seed=0):
    """Both networks with the same parameters, those that start as zeros and ones shaken."""
    rng = md.RNG(seed)
    ours = UNet(UNetConfig(**settings), rng)
    for p in ours.parameters():
        p.assign(p.data + 0.05 * rng.normal(p.shape))
    theirs = torch_unet.UNet(**settings)
    theirs.load_state_dict({name: torch.tensor(array) for name, array in ours.state_dict().items()}, strict=True)
    return ours, theirs


def distance(a, b):
    """The largest difference, relative to the largest number."""
    return np.abs(a - b).max() / np.abs(b).max()


@pytest.mark.parametrize("name", SETTINGS)
def test_output_and_every_gradient(name):
    size, settings = SETTINGS[name]
    ours, theirs = twins(settings)
    rng = md.RNG(1)
    x, t = rng.normal((2, settings.get("image_channels", 1), size, size)), np.array([3, 900])
    target = rng.normal(x.shape)

    x_ours = md.Tensor(x, requires_grad=True)
    y_ours = ours(x_ours, t)
    F.mse_loss(y_ours, target).backward()
    x_theirs = torch.tensor(x, requires_grad=True)
    y_theirs = theirs(x_theirs, torch.tensor(t))
    torch.nn.functional.mse_loss(y_theirs, torch.tensor(target)).backward()

    assert distance(y_ours.data, y_theirs.detach().numpy()) <= 1e-4
    assert distance(x_ours.grad, x_theirs.grad.numpy()) <= 1e-4
    gradients = dict(theirs.named_parameters())
    worst = {name: distance(p.grad, gradients[name].grad.numpy()) for name, p in ours.named_parameters()}
    assert max(worst.values()) <= 1e-4, max(worst, key=worst.get)


@pytest.mark.parametrize("name", SETTINGS)
def test_parameter_names_order_and_shapes(name):
    ours, theirs = twins(SETTINGS[name][1])
    assert [(n, p.shape) for n, p in ours.state_dict().items()] == [(n, tuple(p.shape)) for n, p in theirs.state_dict().items()]


def test_fifty_training_steps():
    """AdamW on the same batches, times and noises: the loss curves agree within 1 %, step by step."""
    ours, theirs = twins({"n_channels": 8, "ch_mults": (1, 2), "is_attn": (False, True)})
    optimizer = optim.AdamW(ours.named_parameters(), lr=2e-3)
    torch_optimizer = torch.optim.AdamW(theirs.parameters(), lr=2e-3, weight_decay=0.01)
    rng = md.RNG(2)
    images = np.clip(rng.normal((16, 1, 8, 8)), -1, 1)
    losses = []
    for _ in range(50):
        x_0, eps, t = images[rng.integers(0, 16, (4,))], rng.normal((4, 1, 8, 8)), rng.integers(1, 1001, (4,))
        alpha_bar = np.cos(0.5 * np.pi * t / 1001).astype(np.float32)[:, None, None, None] ** 2
        x_t = np.sqrt(alpha_bar) * x_0 + np.sqrt(1 - alpha_bar) * eps

        loss = F.mse_loss(ours(x_t, t), eps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

        torch_loss = torch.nn.functional.mse_loss(theirs(torch.tensor(x_t), torch.tensor(t)), torch.tensor(eps))
        torch_optimizer.zero_grad()
        torch_loss.backward()
        torch_optimizer.step()
        losses.append((loss.item(), torch_loss.item()))
    found, expected = np.array(losses).T
    np.testing.assert_allclose(found, expected, rtol=0.01)
    assert expected[-10:].mean() < 0.8 * expected[:10].mean()
