import numpy as np
import pytest

import minidiff as md
from minidiff import functional as F


def normal(seed, *shape):
    return md.RNG(seed).normal(shape)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_mse_loss_is_torchs(reduction):
    torch = pytest.importorskip("torch", reason="PyTorch comes with the compare extra")
    arrays = [normal(1, 3, 2, 5), normal(2, 3, 2, 5)]
    ours, theirs = [md.Tensor(a, requires_grad=True) for a in arrays], [torch.tensor(a, requires_grad=True) for a in arrays]
    y, y_torch = F.mse_loss(*ours, reduction), torch.nn.functional.mse_loss(*theirs, reduction=reduction)
    dy = normal(3, *y.shape)
    y.backward(dy)
    y_torch.backward(torch.tensor(dy))
    assert y.shape == tuple(y_torch.shape)
    np.testing.assert_allclose(y.data, y_torch.detach().numpy(), rtol=1e-6)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.grad, b.grad.numpy(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("scale", [1, 1000])
def test_cross_entropy_is_torchs(reduction, scale):
    torch = pytest.importorskip("torch", reason="PyTorch comes with the compare extra")
    logits, labels = normal(1, 6, 4) * scale, np.array([0, 3, 1, 1, 2, 0])
    ours, theirs = md.Tensor(logits, requires_grad=True), torch.tensor(logits, requires_grad=True)
    y, y_torch = (
        F.cross_entropy(ours, labels, reduction),
        torch.nn.functional.cross_entropy(theirs, torch.tensor(labels), reduction=reduction),
    )
    dy = normal(3, *y.shape)
    y.backward(dy)
    y_torch.backward(torch.tensor(dy))
    np.testing.assert_allclose(y.data, y_torch.detach().numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours.grad, theirs.grad.numpy(), rtol=1e-5, atol=1e-6)


def test_mean_and_sum_differ_by_the_number_of_elements():
    """The paper's L_simple is a sum over the pixels of an image; "mean" is smaller by C * H * W."""
    x, y = normal(1, 1, 3, 4, 4), normal(2, 1, 3, 4, 4)
    assert F.mse_loss(x, y, "sum").item() == pytest.approx(3 * 4 * 4 * F.mse_loss(x, y).item(), rel=1e-6)


def test_labels_of_any_integer_dtype():
    logits = normal(1, 3, 4)
    results = {F.cross_entropy(logits, np.array([0, 3, 1], dtype)).item() for dtype in (np.uint8, np.int32, np.int64)}
    assert len(results) == 1


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: F.mse_loss(np.ones((4, 1)), np.ones(4)), ValueError, r"must have one shape, got \(4, 1\) and"),
        (lambda: F.mse_loss(np.ones(2), np.ones(2), "avg"), ValueError, "reduction must be one of mean, sum, none, got 'avg'"),
        (lambda: F.mse_loss(np.ones((0, 2)), np.ones((0, 2))), ValueError, r"nothing to take the mean of in shape \(0, 2\)"),
        (lambda: F.cross_entropy(np.ones((0, 2)), np.ones(0, int)), ValueError, r"cross_entropy: logits of shape \(0, 2\) are empty"),
        (lambda: F.cross_entropy(np.ones((2, 3)), np.zeros(2, int), None), ValueError, "cross_entropy: reduction must be .*, got None"),
        (lambda: F.cross_entropy(np.ones(3), np.zeros(3, int)), ValueError, r"wanted logits \(B, K, ...\) and labels \(B, ...\), got \(3,\) and"),
        (lambda: F.cross_entropy(np.ones((2, 3)), np.zeros(3, int)), ValueError, r"got \(2, 3\) and \(3,\)"),
        (lambda: F.cross_entropy(np.ones((2, 3)), np.zeros(2)), TypeError, "cross_entropy: labels must be ints, got float64"),
        (lambda: F.cross_entropy(np.ones((2, 3)), np.array([0, 3])), IndexError, "labels: indices must be in 0..2, got 0..3"),
        (lambda: F.cross_entropy(np.ones((2, 3)), np.array([0, -1])), IndexError, "labels: indices must be in 0..2, got -1..0"),
    ],
)  # fmt: skip
def test_what_it_refuses(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("shape", [(6,), (2, 3), (2, 2, 3)])
def test_cross_entropy_is_torchs_with_more_axes_ignored_labels_and_smoothing(shape, smoothing, reduction):
    torch = pytest.importorskip("torch", reason="PyTorch comes with the compare extra")
    from support.against_torch import compare

    labels = md.RNG(3).integers(0, 5, shape)
    labels.flat[1] = -100
    logits = md.RNG(4).normal((shape[0], 5, *shape[1:]))
    options = {"reduction": reduction, "label_smoothing": smoothing}
    theirs = torch.nn.functional.cross_entropy
    compare(lambda x: F.cross_entropy(x, labels, **options), lambda x: theirs(x, torch.tensor(labels), **options), [logits])
    labels[labels == -100] = 2
    compare(lambda x: F.cross_entropy(x, labels, ignore_index=2), lambda x: theirs(x, torch.tensor(labels), ignore_index=2), [logits])


def test_an_impossible_class_costs_infinitely_much_and_its_neighbours_nothing():
    logits = np.array([[0.0, -np.inf, 0.0]], "f")
    assert F.cross_entropy(logits, [0]).item() == pytest.approx(np.log(2)) and F.cross_entropy(logits, [1]).item() == np.inf


@pytest.mark.parametrize("options", [{"label_smoothing": 1.5}, {"ignore_index": 0.5}])
def test_cross_entropy_refuses_other_options(options):
    with pytest.raises(ValueError, match="cross_entropy: ignore_index must be an int and label_smoothing in 0..1, got"):
        F.cross_entropy(np.ones((2, 3)), [0, 1], **options)
