import re

import numpy as np
import pytest

import minidiff as md
from minidiff import functional as F


def drawn(T=5, S=7, d=4, e=6, heads=3):
    return md.RNG(0).normal((2, heads, T, d)), md.RNG(1).normal((2, heads, S, d)), md.RNG(2).normal((2, heads, S, e))


def as_defined(query, key, value, may_attend, scale):
    """One query at a time, in float64."""
    y = np.zeros(query.shape[:-1] + value.shape[-1:])
    for index in np.ndindex(query.shape[:-1]):
        allowed = np.flatnonzero(may_attend[index])
        if len(allowed):
            weights = np.exp(scale * key[index[:-1]][allowed].astype(np.float64) @ query[index].astype(np.float64))
            y[index] = weights @ value[index[:-1]][allowed] / weights.sum()
    return y


@pytest.fixture(params=["reference", "auto"])
def every_way(request):
    """The test runs with the definition, and with what runs instead if nothing is chosen."""
    with md.use_kernels(request.param):
        yield


def test_it_is_what_the_formula_says_of_each_query(every_way):
    query, key, value = drawn()
    may_attend = md.RNG(3).uniform((2, 3, 5, 7)) > 0.5
    may_attend[0, 1, 2] = False
    y = F.attention(query, key, value, may_attend, scale=0.3)
    np.testing.assert_allclose(y.data, as_defined(query, key, value, may_attend, 0.3), rtol=1e-5, atol=1e-6)
    everywhere = np.ones_like(may_attend)
    np.testing.assert_allclose(F.attention(query, key, value).data, as_defined(query, key, value, everywhere, 0.5), rtol=1e-5, atol=1e-6)
    causal = np.broadcast_to(np.arange(7) <= np.arange(5)[:, None], may_attend.shape)
    both = F.attention(query, key, value, may_attend, is_causal=True, scale=0.3)
    np.testing.assert_allclose(both.data, as_defined(query, key, value, may_attend & causal, 0.3), rtol=1e-5, atol=1e-6)


MASKS = {
    "none": None,
    "bool": lambda rng: rng.uniform((2, 1, 5, 7)) > 0.4,
    "bool over keys": lambda rng: rng.uniform((2, 1, 1, 7)) > 0.4,
    "float": lambda rng: rng.normal((5, 7)),
    "float with -inf": lambda rng: np.where(rng.uniform((3, 5, 7)) > 0.4, rng.normal((3, 5, 7)), -np.inf).astype(np.float32),
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("scale", [None, 0.2])
def test_it_is_torchs(mask, scale, every_way):
    torch = pytest.importorskip("torch", reason="PyTorch comes with the compare extra")
    from support.against_torch import compare

    m = None if mask == "none" else MASKS[mask](md.RNG(4))
    m_torch = None if m is None else torch.tensor(m)
    reference = torch.nn.functional.scaled_dot_product_attention
    compare(lambda *a: F.attention(*a, m, scale=scale), lambda *a: reference(*a, attn_mask=m_torch, scale=scale), drawn())


@pytest.mark.parametrize("T, S", [(5, 5), (5, 7), (7, 5), (1, 3)])
def test_causal_attention_is_torchs(T, S, every_way):
    torch = pytest.importorskip("torch", reason="PyTorch comes with the compare extra")
    from support.against_torch import compare

    reference = torch.nn.functional.scaled_dot_product_attention
    compare(lambda *a: F.attention(*a, is_causal=True), lambda *a: reference(*a, is_causal=True), drawn(T, S))


@pytest.mark.parametrize("additive", [False, True])
def test_a_query_that_may_attend_to_nothing_gives_zeros_and_passes_no_gradient(additive, every_way):
    tensors = [md.Tensor(a, requires_grad=True) for a in drawn()]
    mask = np.ones((5, 7), bool)
    mask[2] = False
    if additive:
        mask = np.where(mask, 0, -np.inf).astype(np.float32)
    y = F.attention(*tensors, mask)
    dquery, dkey, dvalue = md.gradients(y, tensors, np.ones_like(y.data))
    assert not y.data[:, :, 2].any() and not dquery[:, :, 2].any()
    assert np.abs(y.data[:, :, 3]).min() > 0
    for array in (y.data, dquery, dkey, dvalue):
        assert np.isfinite(array).all()


def test_the_gradient_of_an_additive_mask_is_torchs(every_way):
    """A learnt bias of the scores, shared by images and heads."""
    torch = pytest.importorskip("torch", reason="PyTorch comes with the compare extra")
    from support.against_torch import compare

    reference = torch.nn.functional.scaled_dot_product_attention
    compare(F.attention, lambda *a: reference(*a[:3], attn_mask=a[3]), (*drawn(), md.RNG(3).normal((5, 7))))


def test_large_scores_do_not_overflow(every_way):
    query, key, value = drawn()
    y = F.attention(query * np.float32(1e4), key * np.float32(1e4), value)
    assert np.isfinite(y.data).all()


Q, K, V = drawn()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: F.attention(Q[0, 0, 0], K, V), r"^attention: query must be \(..., heads, tokens, size\), got shape \(4,\)$"),
        (lambda: F.attention(Q, K[..., :3], V), r"^attention: query and key must agree in their last size, got 4 and 3$"),
        (lambda: F.attention(Q, K[:, :, 1:], V), r"^attention: key and value must have as many tokens, got 6 and 7$"),
        (lambda: F.attention(Q, K[:, :, :0], V[:, :, :0]), r"^attention: key must have at least one token, got none$"),
        (lambda: F.attention(Q[:1], K, V), r"^attention: query, key and value must agree in all but the last two sizes, got \(1, 3,"),
        (
            lambda: F.attention(Q, K, V, np.ones((5, 5), bool)),
            r"^attention: mask must broadcast to \(..., heads, T, S\) = \(2, 3, 5, 7\), got shape \(5, 5\)$",
        ),
        (lambda: F.attention(Q, K, V, np.ones((1, 2, 3, 5, 7), bool)), r"^attention: mask must broadcast to .* got shape \(1, 2, 3,"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: F.attention(Q, K.astype(np.float64), V), r"^attention: key must be floating-point like query \(float32\), got float64$"),
        (lambda: F.attention(Q.astype(int), K, V), r"^attention: query must be floating-point like query \(int64\), got int64$"),
        (
            lambda: F.attention(Q, K, V, np.ones((5, 7), int)),
            r"^attention: mask must be bool \(True: may attend\) or float32 \(added to the scores\), got int64$",
        ),
    ],
)
def test_dtypes_are_not_mixed(call, message):
    with pytest.raises(TypeError, match=message):
        call()


@pytest.mark.parametrize("shape", [(2, 4, 2, 2, 3), (2, 4, 3, 6), (3,)])
def test_self_attention_names_the_shape_it_wants(shape):
    message = rf"self_attention: projected must be \(B, T, 3, heads, size\), got shape {re.escape(str(shape))}"
    with pytest.raises(ValueError, match=message):
        F.self_attention(np.zeros(shape, np.float32))


def test_self_attention_is_attention_of_the_three_parts():
    projected = md.Tensor(np.random.default_rng(0).standard_normal((2, 5, 3, 4, 3)), requires_grad=True)
    parts = projected.transpose(2, 0, 3, 1, 4)
    y, wanted = F.self_attention(projected), F.attention(parts[0], parts[1], parts[2])
    dy = np.random.default_rng(1).standard_normal(y.shape)
    np.testing.assert_array_equal(y.numpy(), wanted.numpy())
    (ours,), (theirs,) = (md.gradients((result * dy).sum(), [projected]) for result in (y, wanted))
    np.testing.assert_array_equal(ours, theirs)
