"""Every operation and every layer, float64: the gradient along random directions against central differences, error <= 1e-7."""

import functools

import numpy as np
import pytest
from support.gradients import directional_errors
from support.layer_cases import LAYERS
from support.operation_cases import CASES, WITHOUT_DERIVATIVE, draw

import minidiff as md
from minidiff import nn
from minidiff.engine.operation import operations

TOLERANCE = 1e-7
names = {name for name, op in operations.items() if op.reference.__module__.startswith("minidiff.")}
numbered = [pytest.param(case, id=f"{case.operation}-{i}") for i, case in enumerate(CASES)]


def test_every_operation_has_an_entry_in_the_table():
    assert names - {case.operation for case in CASES} - WITHOUT_DERIVATIVE == set(), "operations without an entry in operation_cases.py"
    assert {case.operation for case in CASES} | WITHOUT_DERIVATIVE == names, "the table names operations that do not exist"


def test_every_argument_with_a_derivative_is_differentiated_in_some_case():
    """A table that gives numbers for all arguments but the first would leave the others' gradients unchecked."""
    with_derivative = {"x", "y", "weight", "bias", "query", "key", "value", "mask", "prediction", "target", "logits", "tensors"}
    checked = set()
    for case in CASES:
        arguments = draw(case)
        result = arguments.call(operations[case.operation], [md.Tensor(x, requires_grad=True) for x in arguments.leaves])
        checked |= {(case.operation, operations[case.operation].parameters[x.parameter]) for x in result.node.inputs}
    wanted = {(name, p) for name in names - WITHOUT_DERIVATIVE for p in operations[name].parameters if p in with_derivative}
    assert wanted - checked == {("pad", "value")}  # a number, not an array


@pytest.mark.parametrize("case", numbered)
def test_gradient_of_operation(case):
    """Of the definition, and of what runs instead if nothing is chosen."""
    for seed, kernels in ((0, "reference"), (1, "reference"), (0, "auto")):
        arguments = draw(case, seed)
        function = functools.partial(arguments.call, operations[case.operation])
        with md.use_kernels(kernels):
            errors = directional_errors(function, arguments.leaves, md.RNG(seed + 100))
        assert errors and max(errors) <= TOLERANCE, kernels


@pytest.mark.parametrize("name", sorted(WITHOUT_DERIVATIVE))
def test_operation_without_derivative_records_nothing(name):
    x = md.Tensor([1.0, 2.0], requires_grad=True)
    result = operations[name](x) if name == "argmax" else operations[name](x, x)
    assert result.node is None and not result.requires_grad


def test_every_layer_has_an_entry_in_the_table():
    layers = {name for name in nn.__all__ if isinstance(getattr(nn, name), type) and issubclass(getattr(nn, name), nn.Module)}
    assert layers - {"Module", "ModuleList"} == {case.name for case in LAYERS}


@pytest.mark.parametrize("kernels", ["reference", "auto"])
@pytest.mark.parametrize("case", LAYERS, ids=[case.name for case in LAYERS])
def test_gradient_of_layer(case, kernels):
    """With respect to its input and to each of its parameters."""
    layer = case.make()
    modules = dict(layer.named_modules())
    names, parameters = zip(*layer.named_parameters(), strict=True) if case.has_parameters else ((), ())
    values = [p.data.astype(np.float64) + 0.1 * md.RNG(7).normal(p.shape, dtype=np.float64) for p in parameters]
    inputs = [md.RNG(3 + i).normal(shape, dtype=np.float64) for i, shape in enumerate(case.shapes)]

    def forward(tensors):
        for name, tensor in zip(names, tensors, strict=False):
            path, _, attribute = name.rpartition(".")
            setattr(modules[path], attribute, tensor)
        return case.call(layer, *tensors[len(names) :])

    with md.use_kernels(kernels):
        errors = directional_errors(forward, values + inputs, md.RNG(5))
    assert len(errors) == len(names) + len(inputs) and max(errors) <= TOLERANCE


def test_the_check_finds_a_gradient_that_is_wrong_by_a_millionth():
    @md.operation
    def crooked(x):
        return x**3, lambda dy: dy * 3 * x**2 * (1 + 1e-6)

    x = md.RNG(0).normal((3,), dtype=np.float64)
    assert directional_errors(lambda given: crooked(*given), [x], md.RNG(1))[0] == pytest.approx(1e-6, rel=0.01)
    del operations["crooked"]
