"""The fused kernels for a GPU against the readable rules: their C++ is compiled for this machine."""

import numpy as np
import pytest

from minidiff import Tensor
from minidiff.engine.backend import to_cpu, to_device
from minidiff.engine.random import RNG
from minidiff.nn import Linear, Parameter, Sequential
from minidiff.optim import SGD, Adam, AdamW, clip_gradients, fused
from minidiff.training.ema import EMA

SHAPES = {"weight": (5, 3), "bias": (5,), "gain": ()}
OPTIMIZERS = {
    "Adam": lambda p: Adam(p, lr=0.01),
    "Adam with decay": lambda p: Adam(p, lr=0.01, weight_decay=0.1),
    "AdamW": lambda p: AdamW(p, lr=0.02, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.3),
}


def parameters(device="cpu"):
    rng = RNG(0)
    return [(name, Parameter(to_device(rng.normal(shape), device))) for name, shape in SHAPES.items()]


def gradients(step, device="cpu"):
    rng = RNG(10 + step)
    return {name: to_device(rng.normal(shape), device) for name, shape in SHAPES.items()}


def assert_same(ours, theirs, rtol=1e-5):
    assert list(ours) == list(theirs)
    for name in ours:
        np.testing.assert_allclose(to_cpu(ours[name]), theirs[name], rtol=rtol, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_equals_the_rule(cuda, name):
    here, there = OPTIMIZERS[name](parameters()), OPTIMIZERS[name](parameters("cuda"))
    for step in range(12):
        here.lr = there.lr = 0.01 * (1 + step)
        here.step(gradients(step))
        there.step(gradients(step, "cuda"))
    assert there.flat is not None
    assert_same({n: p.data for n, p in there.parameters.items()}, {n: p.data for n, p in here.parameters.items()})
    for n, slots in here.state.items():
        assert_same(there.state[n], slots)


def test_a_step_is_a_few_launches_and_no_transfer(cuda):
    _, watcher = cuda
    optimizer, g = AdamW(parameters("cuda")), gradients(0, "cuda")
    optimizer.step(g)
    before = dict(watcher.transfers)
    addresses = [p.data for p in optimizer.parameters.values()]
    optimizer.step(g)
    assert watcher.transfers == before
    assert all(p.data is a for p, a in zip(optimizer.parameters.values(), addresses, strict=True))


def test_the_numbers_are_those_that_the_kernel_reads(cuda):
    cupy, _ = cuda
    array = cupy.empty(3, "float32")
    fused.write(cupy, array, 1, 2.5, -3e-8)
    np.testing.assert_array_equal(to_cpu(array), np.float32([1, 2.5, -3e-8]))
    assert len(fused.NUMBERS) == fused.ADAM.count("const float") - 1


def test_a_live_graph_keeps_the_values_that_it_needs(cuda):
    """Its gradient is computed after a step of the optimiser, from the values before it, as on a CPU."""
    results = []
    for device in ("cpu", "cuda"):
        w = Parameter(to_device(np.float32([2, 3]), device))
        optimizer = AdamW([("w", w)], lr=0.5)
        for _ in range(2):
            loss = (w * w).sum()
            optimizer.step({"w": to_device(np.float32([1, -1]), device)})
            loss.backward()
            results.append(to_cpu(w.grad))
            w.grad = None
        optimizer.step({"w": to_device(np.float32([1, -1]), device)})
        results.append(to_cpu(w.data))
    for there, here in zip(results[3:], results[:3], strict=True):
        np.testing.assert_allclose(there, here, rtol=1e-5)
    np.testing.assert_array_equal(results[0], [4, 6])


def test_a_missing_gradient_leaves_its_parameter_alone(cuda):
    here, there = AdamW(parameters()), AdamW(parameters("cuda"))
    for optimizer, device in ((here, "cpu"), (there, "cuda")):
        for step in range(3):
            some = gradients(step, device)
            if step == 1:
                del some["bias"]
            optimizer.step(some)
    assert_same({n: p.data for n, p in there.parameters.items()}, {n: p.data for n, p in here.parameters.items()})


def test_assigned_values_are_taken_over(cuda):
    here, there = AdamW(parameters(), lr=0.1), AdamW(parameters("cuda"), lr=0.1)
    for optimizer, device in ((here, "cpu"), (there, "cuda")):
        optimizer.step(gradients(0, device))
        state = optimizer.state_dict()
        optimizer.parameters["bias"].assign(to_device(np.float32([1, 2, 3, 4, 5]), device))
        optimizer.load_state_dict({**state, "steps": 5})
        optimizer.step(gradients(1, device))
    assert_same({n: p.data for n, p in there.parameters.items()}, {n: p.data for n, p in here.parameters.items()})


@pytest.mark.parametrize("Optimizer", [SGD, AdamW])
def test_the_state_follows_a_model_from_device_to_device(cuda, Optimizer):
    models = [Sequential(Linear(3, 4, rng=RNG(1)), Linear(4, 2, rng=RNG(2))) for _ in range(2)]
    optimizers = [Optimizer(model.named_parameters(), lr=0.1) for model in models]
    x = RNG(3).normal((5, 3))
    for step in range(6):
        device = "cuda" if step in (2, 3) else "cpu"
        models[1].to(device)
        for model, optimizer, where in zip(models, optimizers, ("cpu", device), strict=True):
            (model(Tensor(to_device(x, where))) ** 2).sum().backward()
            optimizer.step()
            model.zero_grad()
    assert_same(models[1].state_dict(), models[0].state_dict(), rtol=1e-4)


def test_clipping_on_a_gpu(cuda):
    _, watcher = cuda
    g = gradients(0, "cuda")
    before = dict(watcher.transfers)
    clipped, norm = clip_gradients(g, 0.5)
    assert watcher.transfers == before
    expected, norm_expected = clip_gradients(gradients(0), 0.5)
    np.testing.assert_allclose(to_cpu(norm), norm_expected, rtol=1e-6)
    assert_same(clipped, expected)
    assert_same(g, gradients(0))  # the arrays given are not edited


@pytest.mark.parametrize("flat_parameters", [True, False])
def test_the_moving_average_on_a_gpu(cuda, flat_parameters):
    models = [Linear(3, 2, rng=RNG(0)), Linear(3, 2, rng=RNG(0)).to("cuda")]
    averages = [EMA(model, 0.9) for model in models]
    for model, ema, device in zip(models, averages, ("cpu", "cuda"), strict=True):
        optimizer = (AdamW if flat_parameters else SGD)(model.named_parameters(), lr=0.1)
        for step in range(15):
            rng = RNG(step)
            optimizer.step({name: to_device(rng.normal(p.shape), device) for name, p in model.named_parameters()})
            ema.update(model)
    assert_same(averages[1].average, averages[0].average)
    with averages[1].applied_to(models[1]):
        assert models[1].weight.data is averages[1].average["weight"]
