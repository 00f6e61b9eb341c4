from dataclasses import asdict

import numpy as np
import pytest
from support.gradients import directional_errors

import minidiff as md
from minidiff.models import NoisyClassifier, NoisyClassifierConfig


def make(**settings):
    small = {"n_channels": 4, "ch_mults": (1, 2), "n_classes": 3, "image_size": 8, "dropout": 0.0}
    return NoisyClassifier(NoisyClassifierConfig(**{**small, **settings}), md.RNG(0))


def test_shapes_and_config():
    net, t = make(image_channels=2), np.array([1, 20, 300, 1000])
    x = md.Tensor(md.RNG(1).normal((4, 2, 8, 8)))
    assert net(x, t).shape == (4, 3)
    again = NoisyClassifier(NoisyClassifierConfig(**asdict(net.config)))
    again.load_state_dict(net.state_dict())
    np.testing.assert_array_equal(again(x, t).data, net(x, t).data)


def test_each_image_is_treated_by_itself_and_its_time_matters():
    net, x, t = make(), md.RNG(1).normal((3, 1, 8, 8)), np.array([3, 3, 500])
    whole = net(md.Tensor(x), t).data
    for i in range(3):
        np.testing.assert_allclose(net(md.Tensor(x[i : i + 1]), t[i : i + 1]).data[0], whole[i], atol=1e-5)
    assert np.abs(net(md.Tensor(x), t + 100).data - whole).max() > 1e-3


def test_the_resolution_halves_between_levels_and_the_last_one_has_attention():
    net = make(ch_mults=(1, 2, 4), image_size=28)
    names = {name for name, _ in net.named_parameters()}
    assert {name.split(".")[1] for name in names if ".attn." in name} == {"4"}
    seen = []
    norm = net.norm.forward
    net.norm.forward = lambda x: seen.append(x.shape) or norm(x)
    net(md.Tensor(md.RNG(1).normal((2, 1, 28, 28))), np.array([1, 2]))
    assert seen == [(2, 16, 7, 7)]


def test_gradients_with_respect_to_the_image_are_those_of_finite_differences():
    net, t = make(), np.array([1, 700])
    for parameter in net.parameters():
        parameter.data = parameter.data.astype(np.float64)
    rng = md.RNG(3)
    errors = directional_errors(lambda tensors: net(tensors[0], t), [rng.normal((2, 1, 8, 8), np.float64)], rng)
    assert errors[0] < 1e-7


def test_what_does_not_fit_is_refused():
    t = np.array([1, 2])
    wanted = r"NoisyClassifier: x must be \(B, 1, 8, 8\), got shape "
    for shape in ((2, 3, 8, 8), (2, 1, 8, 4), (2, 8, 8)):
        with pytest.raises(ValueError, match=wanted + r"\(2, "):
            make()(md.Tensor(np.zeros(shape, np.float32)), t)
    with pytest.raises(ValueError, match=r"NoisyClassifier: t must hold one time step per image, shape \(2,\), got \(3,\)"):
        make()(md.Tensor(np.zeros((2, 1, 8, 8), np.float32)), np.ones(3, int))
    for wrong, message in (
        ({"n_channels": 6}, "n_channels must be a multiple of 4, got 6"),
        ({"n_classes": 0}, "n_classes must be an int >= 1, got 0"),
        ({"image_size": 9}, "image_size must be a multiple of 2 for 2 levels, got 9"),
        ({"ch_mults": ()}, r"ch_mults must be ints >= 1, one for each resolution, got \(\)"),
    ):
        with pytest.raises(ValueError, match="NoisyClassifier: " + message):
            make(**wrong)
