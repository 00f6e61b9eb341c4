"""An operation of minidiff beside PyTorch's: the result and all gradients."""

import numpy as np

import minidiff as md


def distance(a, b):
    """The largest difference, relative to the largest number."""
    return np.abs(a - b).max(initial=0) / max(np.abs(b).max(initial=0), 1e-30)


def compare(ours, theirs, arrays, tolerance=1e-5):
    """Call both with the arrays, as Tensors of each library, and send the same gradient back.    arrays: float32, all with gradients."""
    import torch

    torch.set_num_threads(1)  # these arrays are small; waiting for threads on a busy machine is most of the time otherwise
    tensors = [md.Tensor(a, requires_grad=True) for a in arrays]
    twins = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, y_torch = ours(*tensors), theirs(*twins)
    assert y.shape == tuple(y_torch.shape)
    assert y.dtype == np.float32
    dy = md.RNG(99).normal(y.shape)
    y.backward(dy)
    y_torch.backward(torch.tensor(dy))
    assert distance(y.data, y_torch.detach().numpy()) <= tolerance
    for i, (x, twin) in enumerate(zip(tensors, twins, strict=True)):
        assert x.grad.shape == x.shape and x.grad.dtype == np.float32
        both = np.abs([x.grad, twin.grad.numpy()])
        if both.max(initial=0) <= 1e-6 * np.abs(dy).max(initial=0):
            continue  # zero in exact arithmetic, as that of a query with one key: only the rounding is left, and each library has its own
        assert distance(x.grad, twin.grad.numpy()) <= tolerance, f"gradient of argument {i + 1}"
