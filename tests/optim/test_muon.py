"""Muon: its orthogonalisation against the singular value decomposition, its rule, and who gets which."""

import json

import numpy as np
import pytest

from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.nn import Conv2d, Embedding, Linear, Sequential
from minidiff.optim import AdamW, Muon
from minidiff.optim.muon import orthogonalise


def parameter(*shape, seed=0, dtype=np.float32):
    return Tensor(RNG(seed).normal(shape, dtype=dtype), requires_grad=True)


@pytest.mark.parametrize("shape", [(9, 40), (40, 9), (16, 16)])
def test_singular_values_become_about_one_and_the_directions_stay(shape):
    G = RNG(1).normal(shape, dtype=np.float64)
    left, values, right = np.linalg.svd(G, full_matrices=False)
    O = orthogonalise(G)  # noqa: E741
    rotated = left.T @ O @ right.T
    np.testing.assert_allclose(rotated, np.diag(np.diag(rotated)), atol=1e-10)
    assert 0.65 < np.diag(rotated).min() and np.diag(rotated).max() < 1.25
    np.testing.assert_allclose(orthogonalise(1000 * G), O, atol=1e-5)  # its length does not matter


def test_a_gradient_of_zero_moves_nothing():
    assert not orthogonalise(np.zeros((8, 9), np.float32)).any()


def test_the_step_is_the_rule_of_the_docstring_for_two_steps():
    W, gradients = parameter(8, 3, 3, 3), [RNG(i).normal((8, 3, 3, 3)) for i in (1, 2)]
    optimizer = Muon([("w", W)], lr=0.01, momentum=0.9, rms=0.3, weight_decay=0.1)
    expected, M = W.data.astype(np.float64), 0.0
    for G in gradients:
        optimizer.step({"w": G})
        M = 0.9 * M + G
        U = orthogonalise((G + 0.9 * M).reshape(8, 27).astype(np.float64)).reshape(W.shape)
        expected = expected * (1 - 0.01 * 0.1) - 0.01 * 0.3 * np.sqrt(27) * U
    np.testing.assert_allclose(W.data, expected, atol=1e-5)
    assert W.data.dtype == np.float32


def test_a_step_is_as_large_as_rms_says_whatever_the_shape():
    for shape in [(8, 8, 3, 3), (64, 16), (16, 64)]:
        W = parameter(*shape)
        before = W.data.copy()
        Muon([("w", W)], lr=0.1, rms=0.5).step({"w": RNG(3).normal(shape)})
        assert np.sqrt(np.mean((W.data - before) ** 2)) == pytest.approx(0.1 * 0.5, rel=0.25)


def test_a_matrix_has_one_running_mean_and_a_state_of_adams_two_is_refused():
    W = parameter(8, 9)
    optimizer = Muon([("w", W), ("b", parameter(8))])
    optimizer.step({"w": W.data, "b": np.ones(8, np.float32)})
    assert {name: set(slots) for name, slots in optimizer.state.items()} == {"w": {"m"}, "b": {"m", "v"}}
    state = {"m": W.data, "v": W.data}
    with pytest.raises(KeyError, match=r"Muon.load_state_dict: w wants \['m'\], got \['m', 'v'\]"):
        optimizer.load_state_dict({"steps": 1, "lr": 0.1, "state": {"w": state}})


def test_what_is_no_hidden_matrix_is_adamws():
    model = Sequential(Conv2d(1, 8, 3), Linear(16, 4), Linear(9, 8))
    optimizer = Muon(model.named_parameters())
    assert optimizer.matrices == {"0.weight", "2.weight"}  # (8, 9) and (8, 9), but not (4, 16), nor the vectors
    model.word_embedding = Embedding(20, 10)
    assert "word_embedding.weight" not in Muon(model.named_parameters()).matrices

    vectors = [[("b", parameter(5, seed=1))] for _ in range(2)]
    muon, adamw = Muon(vectors[0], lr=0.01, weight_decay=0.1), AdamW(vectors[1], lr=0.01, betas=(0.9, 0.99), weight_decay=0.1)
    for step in range(4):
        for optimizer in (muon, adamw):
            optimizer.step({"b": RNG(step).normal((5,))})
    np.testing.assert_array_equal(muon.parameters["b"].data, adamw.parameters["b"].data)


def test_it_is_continued_from_its_state():
    gradients = [{"w": RNG(i).normal((8, 9)), "b": RNG(10 + i).normal((8,))} for i in range(6)]

    def fresh():
        return Muon([("w", parameter(8, 9)), ("b", parameter(8, seed=1))], lr=0.01)

    whole, first, second = fresh(), fresh(), fresh()
    for g in gradients:
        whole.step(g)
    for g in gradients[:3]:
        first.step(g)
    state = first.state_dict()
    json.dumps({"steps": state["steps"], "lr": state["lr"]})
    second.load_state_dict(state)
    for name, p in second.parameters.items():
        p.assign(first.parameters[name].data.copy())
    for g in gradients[3:]:
        second.step(g)
    for name in ("w", "b"):
        np.testing.assert_array_equal(second.parameters[name].data, whole.parameters[name].data)


def test_it_runs_on_a_gpu_as_on_a_cpu(cuda):
    here, there = (Muon([("w", Tensor(parameter(8, 9).data, True, device=d)), ("b", Tensor(parameter(8).data, True, device=d))])
                   for d in ("cpu", "cuda"))  # fmt: skip
    for step in range(3):
        for optimizer, device in ((here, "cpu"), (there, "cuda")):
            g = {"w": RNG(step).normal((8, 9)), "b": RNG(9 + step).normal((8,))}
            optimizer.step({name: Tensor(array, device=device).data for name, array in g.items()})
    for name in ("w", "b"):
        np.testing.assert_allclose(there.parameters[name].numpy(), here.parameters[name].data, atol=1e-5)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"momentum": 1.0}, r"Muon: momentum must be in \[0, 1\), got 1.0"),
        ({"rms": -1}, "Muon: rms must be >= 0, got -1"),
        ({"lr": -1}, "Muon: lr must be >= 0, got -1"),
        ({"betas": (0.9, 1)}, r"Muon: betas must be two numbers in \[0, 1\)"),
    ],
)
def test_numbers_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Muon([("w", parameter(8, 9))], **settings)
