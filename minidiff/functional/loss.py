"""Losses: mean squared error (L_simple on the slides), cross-entropy (for classifiers).

reduction: "mean" over all elements, "sum", or "none". Beware when you compare with the
paper: its L_simple is a sum over the pixels of an image, so `mse_loss` with "mean" is
smaller by the factor C * H * W."""

from __future__ import annotations

from minidiff.engine.backend import array_module
from minidiff.engine.checks import check_index_range, poisoned
from minidiff.engine.operation import operation
from minidiff.functional.activation import log_softmax
from minidiff.kernels import arguments


@operation(check=arguments.mse_loss)
def mse_loss(prediction, target, reduction="mean"):
    """loss = mean((prediction - target)^2)

    Both of one shape -> a scalar, or that shape for "none". Slide "Loss Function".
    Unlike PyTorch's, it refuses shapes that only broadcast: (B, 1) and (B,) is a bug."""
    xp = array_module(prediction, target)
    difference = prediction - target
    square = difference * difference
    scale = 1 / difference.size if reduction == "mean" else 1
    total = square if reduction == "none" else square.sum()
    loss = xp.asarray(total * square.dtype.type(scale))

    def mse_loss_backward(dloss, wanted):
        """dloss/dprediction = 2 (prediction - target) / count"""
        dprediction = difference * (2 * scale * dloss)
        return dprediction, -dprediction if wanted[1] else None

    return loss, mse_loss_backward


@operation(check=arguments.cross_entropy)
def cross_entropy(
    logits, labels, reduction="mean", ignore_index=-100, label_smoothing=0.0
):
    """loss = mean(-sum over k of q_k log softmax(logits)_k),  q = one_hot(label)

    logits: (B, K, ...); labels: (B, ...) ints in 0..K-1 -> a scalar, or (B, ...) for
    "none". Places with the label ignore_index count for nothing. label_smoothing s in
    0..1: q = (1 - s) one_hot(label) + s / K.
    Raises: ValueError for other shapes; TypeError if labels are not ints; IndexError if
    one is outside 0..K-1."""
    xp = array_module(logits)
    K, s, dtype = logits.shape[1], label_smoothing, logits.dtype
    used = labels.astype("int64") != ignore_index
    labels = xp.where(used, labels, 0)
    nan_or_0 = check_index_range("cross_entropy: labels", labels, K, lowest=0)
    log_p, _ = log_softmax.reference(logits, axis=1)
    classes = xp.arange(K).reshape(K, *(1,) * (labels.ndim - 1))
    used = used[:, None].astype(dtype)
    q = ((1 - s) * (labels[:, None] == classes).astype(dtype) + s / K) * used
    log_q = xp.where(q == 0, xp.zeros_like(log_p), log_p)  # 0 log 0 = 0
    losses = poisoned(-(q * log_q).sum(axis=1), nan_or_0)
    scale = (1 / used.sum(dtype="float64")).astype(dtype) if reduction == "mean" else 1
    loss = xp.asarray((losses if reduction == "none" else losses.sum()) * scale)

    def cross_entropy_backward(dloss):
        """dloss/dlogits = softmax(logits) - q"""
        dlosses = dloss[:, None] if reduction == "none" else dloss * scale
        return (xp.exp(log_p) * used - q) * dlosses

    return loss, cross_entropy_backward
