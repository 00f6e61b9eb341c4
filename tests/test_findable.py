"""Twelve things that a newcomer looks for are found by names alone, in few hops.

A chain begins at a file whose name says what it is about. Each hop is a name in one file that leads to the next.
"""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# what is looked for: the most files to open, and (file, the name in it that leads on or is the end)
CHAINS = {
    "the derivative of GroupNorm": (1, [("minidiff/functional/normalization.py", "def group_norm_backward(")]),
    "the loss of a training step": (
        3,
        [
            ("examples/train_mnist_ddpm.py", "from minidiff.training import Trainer"),
            ("minidiff/training/trainer.py", "import draw_training_noise, training_terms"),
            ("minidiff/diffusion/losses.py", "def L_simple("),
        ],
    ),
    "the launch of the CUDA convolution": (
        5,
        [
            ("minidiff/functional/conv2d.py", "csrc/conv2d/"),
            ("minidiff/kernels/cuda/conv2d.py", "from minidiff.kernels.cuda.conv2d_launch import"),
            ("minidiff/kernels/cuda/conv2d_launch.py", "lib.module.conv2d("),
            ("csrc/bindings/conv2d.cpp", "return conv2d_fast("),
            ("csrc/conv2d/fast.cu", "conv2d_fast("),
        ],
    ),
    "the step of the sampler": (
        2,
        [("minidiff/diffusion/ddpm.py", "from minidiff.diffusion.reverse import"), ("minidiff/diffusion/reverse.py", "def p_step(")],
    ),
    "beta of the schedule": (1, [("minidiff/diffusion/schedule.py", "def linear_beta(")]),
    "the moving average of the parameters": (1, [("minidiff/training/ema.py", "class EMA:")]),
    "the format of a checkpoint": (1, [("minidiff/training/checkpoint.py", "checkpoint.json")]),
    "the attention of the U-Net": (
        3,
        [
            ("minidiff/models/unet.py", "from minidiff.models.unet_blocks import"),
            ("minidiff/models/unet_blocks.py", "F.self_attention("),
            ("minidiff/functional/attention.py", "def attention("),
        ],
    ),
    "the codebook loss": (
        2,
        [("minidiff/models/autoencoder.py", "from minidiff.diffusion.latent import"), ("minidiff/diffusion/latent.py", "def codebook_loss(")],
    ),
    "classifier-free guidance": (1, [("minidiff/diffusion/guidance.py", "def classifier_free_s(")]),
    "the loader of MNIST": (1, [("minidiff/data/mnist.py", "def load_mnist(")]),
    "the race check of the emulator": (1, [("csrc/emulator/check.cpp", "void race(")]),
}


@pytest.mark.parametrize("what", CHAINS)
def test_it_is_found_in_few_hops(what):
    most, chain = CHAINS[what]
    assert len(chain) <= most
    for (file, name), following in zip(chain, [*chain[1:], None], strict=True):
        text = (ROOT / file).read_text(encoding="utf-8")
        assert name in text, f"{what}: {file} has no {name!r}"
        if following is not None:
            assert Path(following[0]).stem in text or Path(following[0]).parent.name in text, f"{file} does not lead to {following[0]}"


def test_there_are_twelve():
    assert len(CHAINS) == 12
