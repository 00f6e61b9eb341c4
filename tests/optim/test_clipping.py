import numpy as np
import pytest

import minidiff as md
from minidiff import nn, optim


def gradients():
    rng = md.RNG(0)
    return {"a": rng.normal((3, 2)), "b": rng.normal((5,)), "c": rng.normal()}


def joint_norm(arrays):
    return np.sqrt(sum((a.astype(np.float64) ** 2).sum() for a in arrays))


def test_a_norm_above_the_limit_is_brought_down_to_it_in_the_same_direction():
    given = gradients()
    clipped, norm = optim.clip_gradients(given, 0.5)
    assert norm == pytest.approx(joint_norm(given.values()), rel=1e-6)
    assert joint_norm(clipped.values()) == pytest.approx(0.5, rel=1e-5)
    for name, g in clipped.items():
        assert type(g) is np.ndarray and g.dtype == np.float32
        np.testing.assert_allclose(g * norm, given[name] * 0.5, rtol=1e-5)


def test_a_norm_below_the_limit_is_left_alone():
    given = gradients()
    clipped, _ = optim.clip_gradients(given, 100.0)
    for name, g in clipped.items():
        np.testing.assert_array_equal(g, given[name])


def test_it_is_torchs():
    torch = pytest.importorskip("torch", reason="PyTorch comes with the compare extra")
    parameters = {n: nn.Parameter(np.zeros_like(g)) for n, g in gradients().items()}
    theirs = {n: torch.nn.Parameter(torch.tensor(p.data)) for n, p in parameters.items()}
    for n, g in gradients().items():
        parameters[n].grad, theirs[n].grad = g, torch.tensor(g)
    norm = optim.clip_grad_norm_(parameters.values(), 0.7)
    assert norm == pytest.approx(float(torch.nn.utils.clip_grad_norm_(theirs.values(), 0.7)), rel=1e-6)
    for n, p in parameters.items():
        np.testing.assert_allclose(p.grad, theirs[n].grad.numpy(), rtol=1e-5)


def test_what_it_refuses():
    for limit in (0, -1.0, float("nan")):
        with pytest.raises(ValueError, match=f"clip_gradients: max_norm must be > 0, got {limit}"):
            optim.clip_gradients(gradients(), limit)
    with pytest.raises(ValueError, match="clip_gradients: gradients is empty"):
        optim.clip_gradients({}, 1.0)
    with pytest.raises(ValueError, match=r"clip_grad_norm_: no parameter has a gradient; call backward\(\) first"):
        optim.clip_grad_norm_([nn.Parameter(np.ones(2))], 1.0)
