"""`model.summary()`: each parameter is counted once, the shapes are those of one call, and the model is left as it was."""

import re

import numpy as np
import pytest

import minidiff as md
from minidiff.engine.random import layers_draw_from
from minidiff.models import PointDenoiser, PointDenoiserConfig, UNet, UNetConfig
from minidiff.nn import Dropout, Linear, Module, ModuleList


def unet():
    return UNet(UNetConfig(1, 8, (1, 2), (False, True), n_heads=1), md.RNG(0))


IMAGES, TIMES = np.zeros((3, 1, 8, 8), np.float32), np.ones(3, int)


def table(capsys, model, *inputs, **options):
    """{(level, name and class): (shape, count)}, and the last line."""
    assert model.summary(*inputs, **options) is None
    head, line, *rows, empty, totals = capsys.readouterr().out.splitlines()
    assert head.split()[0] == "module" and set(line) == {"-"} and not empty
    found = {}
    for row in rows:
        indent, name, shape, count = re.fullmatch(r"( *)(\S+(?: [A-Z]\w+)?) *(\(.*\))? *([\d,]+)?", row).groups()
        found[len(indent) // 2, len(found), name] = shape, int((count or "0").replace(",", ""))
    return found, totals


@pytest.mark.parametrize("depth", [None, 0, 1, 2, 99])
def test_the_column_adds_up_to_all_parameters(capsys, depth):
    model = unet()
    rows, totals = table(capsys, model, depth=depth)
    assert sum(count for _, count in rows.values()) == model.parameter_count()
    assert totals == f"{model.parameter_count():,} parameters, {4 * model.parameter_count() / 2**20:.2f} MiB"
    assert max(level for level, _, _ in rows) <= (99 if depth is None else depth)
    assert depth != 0 or len(rows) == 1


def test_the_shapes_are_those_of_a_call(capsys):
    rows, _ = table(capsys, unet(), IMAGES, TIMES, depth=2)
    shapes = {name: shape for (_, _, name), (shape, _) in rows.items()}
    assert shapes["UNet"] == "(3, 1, 8, 8)" and shapes["middle: MiddleBlock"] == "(3, 16, 4, 4)" and shapes["down: ModuleList"] is None
    rows, _ = table(capsys, unet(), depth=2)
    assert not any(shape for shape, _ in rows.values())


def test_the_model_is_left_as_it_was(capsys):
    model = unet()
    model.middle.eval()
    before = {name: (set(vars(part)) - {"training"}, part.training) for name, part in model.named_modules()}
    model.summary(IMAGES, TIMES)
    assert {name: (set(vars(part)) - {"training"}, part.training) for name, part in model.named_modules()} == before
    with pytest.raises(ValueError, match="UNet"):
        model.summary(IMAGES[:, 0], TIMES)
    assert {name: (set(vars(part)) - {"training"}, part.training) for name, part in model.named_modules()} == before
    assert model(IMAGES, TIMES).requires_grad


def test_the_call_draws_no_random_numbers(capsys):
    class Dropping(Module):
        def __init__(self):
            self.drop = Dropout(0.5)

        def forward(self, x):
            return self.drop(x)

    x, model, rng = np.ones((2, 8), np.float32), Dropping(), md.RNG(0)
    with layers_draw_from(rng):
        model.summary(x)
        drawn = model(x).data
    with layers_draw_from(md.RNG(0)):
        np.testing.assert_array_equal(drawn, model(x).data)
    assert model.training and model.drop.training


def test_frozen_and_shared_parameters(capsys):
    class Twice(Module):
        def __init__(self):
            self.a = Linear(2, 3, rng=md.RNG(0))
            self.b = self.a
            self.c = ModuleList(Linear(2, 3, rng=md.RNG(0)))
            self.c[0].weight = self.a.weight

    model = Twice()
    model.c.requires_grad_(False)
    rows, totals = table(capsys, model)
    assert sum(count for _, count in rows.values()) == 2 * 3 + 3 + 3
    assert totals.startswith("12 parameters") and totals.endswith("9 of them frozen")


def test_a_module_that_returns_several_things_shows_all(capsys):
    class Two(Module):
        def forward(self, x):
            return x, [x, None]

    Two().summary(md.Tensor([1.0]))
    assert "(1,), (1,), NoneType" in capsys.readouterr().out


def test_cpu_is_to_cpu(strict):
    model = PointDenoiser(PointDenoiserConfig(n_hidden=16)).to("strict")
    assert model.cpu() is model and {p.device for p in model.parameters()} == {"cpu"}
