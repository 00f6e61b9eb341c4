"""Functions that are written with operations: beside PyTorch's with their gradients, by finite differences, and on another array library."""

import numpy as np
import pytest
from support.against_torch import compare
from support.gradients import directional_errors

import minidiff as md
from minidiff import functional as F

IMAGES = (2, 3, 5, 7)

# name: ours, PyTorch's (of the module torch and the tensors), shapes
CASES = {
    "flatten": (lambda x: x.flatten(1, 2), lambda torch, x: x.flatten(1, 2), IMAGES),
    "flatten all": (F.flatten, lambda torch, x: x.flatten(), IMAGES),
    "flatten a number": (F.flatten, lambda torch, x: x.flatten(), ()),
    "view": (lambda x: x.view(6, -1), lambda torch, x: x.view(6, -1), IMAGES),
    "permute": (lambda x: x.permute(0, 2, 3, 1), lambda torch, x: x.permute(0, 2, 3, 1), IMAGES),
    "flip": (lambda x: x.flip((1, -1)), lambda torch, x: x.flip((1, -1)), IMAGES),
    "split": (lambda x: x.split(3, -1)[1] * x.split(3, -1)[0], lambda torch, x: x.split(3, -1)[1] * x.split(3, -1)[0], IMAGES),
    "split by sizes": (lambda x: x.split([1, 0, 4], 2)[2], lambda torch, x: x.split([1, 0, 4], 2)[2], IMAGES),
    "the last of chunk": (lambda x: x.chunk(3, 3)[-1], lambda torch, x: x.chunk(3, 3)[-1], IMAGES),
    "tril": (lambda x: F.tril(x, -1), lambda torch, x: torch.tril(x, -1), IMAGES),
    "triu": (lambda x: F.triu(x, 2), lambda torch, x: torch.triu(x, 2), IMAGES),
    "std": (lambda x: x.std((0, 2), True), lambda torch, x: x.std((0, 2), correction=0, keepdim=True), IMAGES),
    "logsumexp": (lambda x: (30 * x).logsumexp((1, 2)), lambda torch, x: torch.logsumexp(30 * x, (1, 2)), IMAGES),
    "cumprod": (lambda x: x.cumprod(2), lambda torch, x: x.cumprod(2), IMAGES),
    "cumsum": (lambda x: x.cumsum(-2), lambda torch, x: x.cumsum(-2), IMAGES),
    "prod": (lambda x: x.prod(1), lambda torch, x: x.prod(1), IMAGES),
    "einsum": (lambda x, y: F.einsum("bij, bkj -> bik", x, y), lambda torch, x, y: torch.einsum("bij,bkj->bik", x, y), (2, 3, 4), (2, 5, 4)),
    "einsum without an arrow": (lambda x, y: F.einsum("cb,ba", [x, y]), lambda torch, x, y: torch.einsum("cb,ba", x, y), (2, 3), (3, 4)),
    "max_pool2d": (lambda x: F.max_pool2d(x, 2), lambda torch, x: torch.nn.functional.max_pool2d(x, 2), IMAGES),
    "max_pool2d with padding": (lambda x: F.max_pool2d(x, 3, 2, 1), lambda torch, x: torch.nn.functional.max_pool2d(x, 3, 2, 1), IMAGES),
    "max_pool2d of equal numbers": (lambda x: F.max_pool2d(x > 0, 2) + F.max_pool2d(F.relu(x), 2), lambda torch, x: torch.nn.functional.max_pool2d((x > 0).float(), 2) + torch.nn.functional.max_pool2d(torch.relu(x), 2), IMAGES),
}  # fmt: skip
for _size in ((8, 9), (3, 2), (5, 14), (1, 1)):
    for _mode in ("nearest", "bilinear"):
        CASES[f"resize {_mode} {_size}"] = (
            lambda x, size=_size, mode=_mode: F.resize(x, size, mode),
            lambda torch, x, size=_size, mode=_mode: torch.nn.functional.interpolate(x, size, mode=mode),
            IMAGES,
        )


@pytest.mark.parametrize("name", CASES)
def test_it_is_torchs(name):
    torch = pytest.importorskip("torch", reason="PyTorch comes with the compare extra")
    ours, theirs, *shapes = CASES[name]
    compare(ours, lambda *x: theirs(torch, *x), [np.asarray(md.RNG(i).normal(shape)) for i, shape in enumerate(shapes)])


@pytest.mark.parametrize("name", CASES)
def test_gradient_by_finite_differences(name):
    ours, _, *shapes = CASES[name]
    leaves = [1.2 + np.asarray(md.RNG(i).normal(shape, dtype=np.float64)) * 0.5 for i, shape in enumerate(shapes)]
    assert max(directional_errors(lambda given: ours(*given), leaves, md.RNG(5))) <= 1e-6


@pytest.mark.parametrize("name", CASES)
def test_it_stays_in_the_library_of_its_arrays(name, strict):
    ours, _, *shapes = CASES[name]
    arrays = [np.asarray(md.RNG(i).normal(shape)) for i, shape in enumerate(shapes)]
    y = ours(*(md.Tensor(strict.asarray(x)) for x in arrays))
    np.testing.assert_allclose(strict.asnumpy(y.data), ours(*map(md.Tensor, arrays)).data, rtol=1e-5, atol=1e-6)


def test_std_of_equal_values_has_the_gradient_0_and_nan_stays_nan():
    x = md.Tensor(np.ones((4, 3), "f"), requires_grad=True)
    x.std(axis=0).mean().backward()
    np.testing.assert_array_equal(x.grad, np.zeros((4, 3)))
    assert np.isnan(md.Tensor([1.0, np.nan]).std().data)


def test_products_with_zeros():
    torch = pytest.importorskip("torch", reason="PyTorch comes with the compare extra")
    for values in ([0.0, 2.0, 3.0], [0.0, 0.0, 3.0], [1.0, 0.0, 0.0]):
        x, twin = md.Tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
        (x.prod() + x.cumprod(0).sum()).backward()
        (twin.prod() + twin.cumprod(0).sum()).backward()
        np.testing.assert_array_equal(x.grad, twin.grad.numpy())


def test_logsumexp_of_infinities():
    with np.errstate(divide="ignore"):
        np.testing.assert_array_equal(F.logsumexp(np.float32([[-np.inf, -np.inf], [np.inf, 0], [-np.inf, 0]]), 1).data, [-np.inf, np.inf, 0])


def test_booleans():
    x = md.Tensor([-1.0, 0.5, 2.0])
    low, high = x < 1, x > 0
    for y, expected in (
        (low & high, [False, True, False]), (low | high, [True, True, True]), (low ^ high, [True, False, True]), (~low, [False, False, True]),
        (low & True, [True, True, False]), (np.array([False, True, True]) | low, [True, True, True]), (high.any(), True), (high.all(), False),
        (F.any(np.zeros((2, 0)), 1), [False, False]), (F.all(np.zeros((2, 0)), 1, True), [[True], [True]]), (md.Tensor([np.nan]).all(), True),
    ):  # fmt: skip
        assert y.dtype == bool
        np.testing.assert_array_equal(y.data, expected)
    with pytest.raises(TypeError, match=r"& is for booleans, such as those of x > 0, got float32"):
        low & x
    with pytest.raises(TypeError, match="~ is for booleans, such as those of x > 0, got int64"):
        ~md.Tensor([1])


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda x: F.split(x, 0), "split: size must be an int >= 1, or a list of ints >= 0 whose sum is 2, got 0"),
        (lambda x: F.split(x, [1, 2]), r"whose sum is 2, got \[1, 2\]"),
        (lambda x: F.chunk(x, 0), "chunk: chunks must be an int >= 1, got 0"),
        (lambda x: F.flatten(x, 2, 1), "flatten: start must not be behind end, got 2 and 1"),
        (lambda x: F.tril([1.0]), r"tril: wanted two axes or more and an int k, got \(1,\) and 0"),
        (lambda x: F.resize(x, 0), r"resize: wanted x \(N, C, H, W\) with pixels and a size of one or two ints >= 1, got .* and 0"),
        (lambda x: F.resize(x, 3, "bicubic"), "resize: mode must be 'nearest' or 'bilinear', got 'bicubic'"),
        (lambda x: F.max_pool2d(x, 2, padding=2), "max_pool2d: wanted x .* and padding at most half of kernel_size, got"),
        (lambda x: F.max_pool2d(x, 6), "max_pool2d: kernel_size 6 is larger than the padded image, 5x7"),
        (lambda x: F.einsum("ii->i", x), "einsum: a letter may come once in each tensor, got 'ii->i'"),
        (lambda x: F.einsum("...i->...", x), "einsum: subscripts must be letters with -> before those of the result, such as 'ij,jk->ik'"),
        (lambda x: F.einsum("ij->i", x), r"einsum: 'ij->i' does not fit tensors of shapes \(2, 3, 5, 7\)"),
        (lambda x: F.softmax(x[:0], 0), r"softmax: there is no number to reduce over axis 0 of shape \(0, 3, 5, 7\)"),
        (lambda x: F.group_norm(x[:, :, :0], 1), r"group_norm: there are no pixels to normalise in shape \(2, 3, 0, 7\)"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(md.Tensor(np.ones(IMAGES, "f")))


def test_einsum_wants_its_subscripts_first():
    with pytest.raises(TypeError, match="einsum: subscripts must come first, as text, got"):
        F.einsum(np.ones(2), "i->")
