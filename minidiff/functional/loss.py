"""Losses: mean squared error (the deck's L_simple) and cross-entropy (for classifiers).

reduction: "mean" over all elements, "sum", or "none". Beware when you compare with the paper: its L_simple is a sum over the pixels of an
image, so `mse_loss` with "mean" is smaller by the factor C * H * W.
"""

from __future__ import annotations

from minidiff.engine.backend import array_module
from minidiff.engine.operation import operation
from minidiff.functional.checks import check_index_range, poisoned


def _check_reduction(name, reduction):
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{name}: reduction must be 'mean', 'sum' or 'none', got {reduction!r}")


@operation
def mse_loss(prediction, target, reduction="mean"):
    """(prediction - target)^2, reduced.    Both of one shape -> a scalar, or that shape for "none".

    Slide "Loss Function". Unlike PyTorch's, shapes that merely broadcast are refused: (B, 1) against (B,) is a bug.
    """
    xp = array_module(prediction, target)
    _check_reduction("mse_loss", reduction)
    if prediction.shape != target.shape:
        raise ValueError(f"mse_loss: prediction and target must have one shape, got {prediction.shape} and {target.shape}")
    if reduction == "mean" and not prediction.size:
        raise ValueError(f"mse_loss: there is nothing to take the mean of in shape {prediction.shape}")
    difference = prediction - target
    scale = 1 / difference.size if reduction == "mean" else 1
    if reduction == "none":
        loss = difference * difference
    else:
        loss = xp.asarray((difference * difference).sum() * difference.dtype.type(scale))

    def mse_loss_backward(dloss, wanted):
        """dloss/dprediction = 2 (prediction - target) / count"""
        dprediction = difference * (2 * scale * dloss)
        return dprediction, -dprediction if wanted[1] else None

    return loss, mse_loss_backward


@operation
def cross_entropy(logits, labels, reduction="mean"):
    """-log softmax(logits)[label].    logits: (B, K), labels: (B,) ints in 0..K-1 -> a scalar, or (B,) for "none".

    Raises ValueError for other shapes, TypeError for labels that are no ints, IndexError for a label outside 0..K-1.
    """
    xp = array_module(logits, labels)
    _check_reduction("cross_entropy", reduction)
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise ValueError(f"cross_entropy: wanted logits (B, K) and labels (B,), got {logits.shape} and {labels.shape}")
    if labels.dtype.kind not in "iu":
        raise TypeError(f"cross_entropy: labels must be ints, got {labels.dtype}")
    if not logits.size:
        raise ValueError(f"cross_entropy: logits of shape {logits.shape} are empty")
    nan_or_0 = check_index_range("cross_entropy: labels", labels, logits.shape[1], lowest=0)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - xp.log(xp.exp(shifted).sum(axis=1, keepdims=True))
    rows = xp.arange(len(labels))
    losses = poisoned(-log_p[rows, labels], nan_or_0)
    scale = 1 / len(labels) if reduction == "mean" else 1
    loss = losses if reduction == "none" else xp.asarray(losses.sum() * losses.dtype.type(scale))

    def cross_entropy_backward(dloss):
        """dloss/dlogits = softmax(logits) - one_hot(label)"""
        dlogits = xp.exp(log_p)
        dlogits[rows, labels] -= 1
        dlosses = dloss * scale if reduction != "none" else dloss[:, None]
        return dlogits * dlosses

    return loss, cross_entropy_backward
