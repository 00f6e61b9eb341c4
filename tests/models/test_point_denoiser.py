from dataclasses import asdict

import numpy as np
import pytest
from support.gradients import directional_errors

import minidiff as md
from minidiff.models import PointDenoiser, PointDenoiserConfig


def make(**settings):
    return PointDenoiser(PointDenoiserConfig(**{"n_hidden": 16, "n_blocks": 2, **settings}), md.RNG(0))


def swish(x):
    return x / (1 + np.exp(-x))


def linear(layer, x):
    return x @ layer.weight.data.T + layer.bias.data


def test_it_is_the_formula_of_its_blocks():
    net, x, t = make(), md.RNG(1).normal((5, 2)), np.array([1, 7, 50, 200, 1000])
    swish_t = swish(net.time_emb(t).data)
    h = linear(net.point_proj, x)
    for block in net.blocks:
        h = h + linear(block.lin2, swish(linear(block.lin1, swish(h)) + linear(block.time_emb, swish_t)))
    np.testing.assert_allclose(net(md.Tensor(x), t).data, linear(net.final, swish(h)), atol=1e-5)


def test_each_point_is_treated_by_itself_and_its_time_matters():
    net, x, t = make(), md.RNG(1).normal((4, 2)), np.array([3, 3, 90, 150])
    whole = net(md.Tensor(x), t).data
    for i in range(4):
        np.testing.assert_allclose(net(md.Tensor(x[i : i + 1]), t[i : i + 1]).data[0], whole[i], atol=1e-6)
    assert np.abs(net(md.Tensor(x), t + 40).data - whole).max() > 1e-2


def test_gradients_reach_the_input_and_every_parameter():
    net, t = make(), np.array([1, 20, 300])
    names, arrays = zip(*((name, p.data.astype(np.float64)) for name, p in net.named_parameters()), strict=True)
    rng = md.RNG(2)

    def call(tensors):
        x, *parameters = tensors
        for name, parameter in zip(names, parameters, strict=True):
            *path, last = name.split(".")
            owner = net
            for part in path:
                owner = getattr(owner, part)
            setattr(owner, last, parameter)
        return net(x, t)

    errors = directional_errors(call, [rng.normal((3, 2), np.float64), *arrays], rng)
    assert max(errors) < 1e-7, dict(zip(("x", *names), errors, strict=True))


def test_its_config_makes_it_again():
    net, x, t = make(n_dims=3), md.RNG(1).normal((2, 3)), np.array([1, 9])
    again = PointDenoiser(PointDenoiserConfig(**asdict(net.config)))
    again.load_state_dict(net.state_dict())
    np.testing.assert_array_equal(again(md.Tensor(x), t).data, net(md.Tensor(x), t).data)


def test_what_does_not_fit_is_refused():
    x, t = md.Tensor(np.zeros((4, 2), np.float32)), np.ones(4, int)
    with pytest.raises(ValueError, match=r"PointDenoiser: x must be \(B, 2\), got shape \(4, 3\)"):
        make()(md.Tensor(np.zeros((4, 3), np.float32)), t)
    with pytest.raises(ValueError, match=r"PointDenoiser: x must be \(B, 2\), got list"):
        make()([1.0, 2.0], t)
    with pytest.raises(ValueError, match=r"PointDenoiser: t must hold one time step per point, shape \(4,\), got 3"):
        make()(x, 3)
    with pytest.raises(ValueError, match="PointDenoiser: n_hidden must be a multiple of 8 and at least 16, got 20"):
        make(n_hidden=20)
    with pytest.raises(ValueError, match="PointDenoiser: n_blocks must be an int >= 1, got 0"):
        make(n_blocks=0)
