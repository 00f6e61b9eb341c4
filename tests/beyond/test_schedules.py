import json
import math

import numpy as np
import pytest

from minidiff.beyond.exact_flow import distribution, quantile
from minidiff.beyond.schedules import (
    any_schedule,
    straight_alpha_bar,
    straight_schedule,
    zero_terminal,
    zero_terminal_alpha_bar,
)
from minidiff.diffusion import ddim_steps, ddpm_steps, make_schedule, vlb_steps
from minidiff.diffusion.oracle import GaussianMixture
from minidiff.diffusion.schedule import DECK_CLIP
from minidiff.engine.random import RNG

LINE = GaussianMixture([0.3, 0.7], [[-0.8], [0.8]], 0.1)


@pytest.mark.checks("zero_snr.rescale")
@pytest.mark.parametrize("options", [{"name": "linear"}, {"name": "cosine"}, {"name": "cosine", **DECK_CLIP}])
def test_the_last_is_zero_the_first_stays_and_the_roots_keep_their_proportions(options):
    old = make_schedule(T=1000, **options)
    new = zero_terminal(old)
    root, rescaled = (np.sqrt(s.tables["alpha_bar"][1:]) for s in (old, new))
    assert new.at(1000).alpha_bar == 0 and new.at(1000).beta == 1 and new.snr(1000) == 0
    assert new.at(1).alpha_bar == pytest.approx(old.at(1).alpha_bar, rel=1e-12)
    np.testing.assert_allclose(np.diff(rescaled) / np.diff(rescaled).sum(), np.diff(root) / np.diff(root).sum(), rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(new.tables["alpha_bar"] + new.tables["one_minus_alpha_bar"], 1, atol=1e-12)


@pytest.mark.checks("zero_snr.rescale")
def test_the_rescaling_by_hand():
    found = zero_terminal_alpha_bar(np.array([1.0, 0.81, 0.49, 0.01]))
    np.testing.assert_allclose(found, [1, 0.81, (0.6 * 0.9 / 0.8) ** 2, 0], rtol=1e-12, atol=1e-15)


@pytest.mark.checks("flow.straight_schedule")
def test_the_straight_schedule_is_the_straight_path_at_variance_one():
    """x_t = z_s / |(1 - s, s)|: the ratio of noise and signal is s / (1 - s)."""
    alpha_bar = straight_alpha_bar(8)
    assert alpha_bar[0] == 1 and alpha_bar[-1] == 0
    s = np.arange(1, 8) / 8
    np.testing.assert_allclose((1 - alpha_bar[1:-1]) / alpha_bar[1:-1], (s / (1 - s)) ** 2, rtol=1e-12)
    np.testing.assert_allclose(straight_schedule(8).tables["alpha_bar"], alpha_bar, rtol=1e-12, atol=1e-16)


def test_a_schedule_is_rebuilt_from_its_config():
    for options in ({"name": "straight", "T": 7}, {"name": "cosine", "T": 9, "zero_terminal": True, **DECK_CLIP}, {"name": "linear", "T": 5}):
        schedule = any_schedule(**options)
        assert schedule.config == options
        again = any_schedule(**json.loads(json.dumps(schedule.config)))
        np.testing.assert_array_equal(again.tables["beta"], schedule.tables["beta"])
    assert any_schedule("straight", 7, zero_terminal=True).config == {"name": "straight", "T": 7}


def test_what_cannot_be_built_is_named():
    with pytest.raises(ValueError, match="zero_terminal: T must be >= 2, got 1"):
        zero_terminal(make_schedule("linear", 1))
    with pytest.raises(ValueError, match="straight_schedule: T must be an int >= 1, got 0"):
        straight_schedule(0)
    with pytest.raises(TypeError, match="the straight schedule has no such option: s"):
        any_schedule("straight", 10, s=0.1)
    with pytest.raises(ValueError, match="name must be one of linear, cosine, custom, got 'sigmoid'"):
        any_schedule("sigmoid")


def test_the_report_of_a_schedule_that_ends_in_noise():
    check = straight_schedule(10).check()
    assert check.alpha_bar_T == 0 and check.L_T_bits == 0 and check.amplification == math.inf
    assert "x_T is close enough" in str(check) and "inf times" in str(check)


@pytest.mark.parametrize(
    "run",
    [
        lambda e, s: ddim_steps(e, (2, 1), s, RNG(0)),
        lambda e, s: ddpm_steps(e, (2, 1), s, RNG(0)),
        lambda e, s: list(vlb_steps(e, np.zeros((2, 1)), s, RNG(0))),
    ],
)
def test_the_deck_s_samplers_and_bound_say_where_to_go(run):
    with pytest.raises(ValueError, match="no x_0_hat from eps at alpha_bar_t = 0: take the samplers of minidiff/beyond"):
        next(run(lambda x, t: 0.5 * x, straight_schedule(10)))


def share_of_the_first_mode(schedule):
    """The exact share of samples at the first mode, if sampling starts from N(0, 1): the map keeps quantiles, so it is
    the share of N(0, 1) left of the point of q(x_T) that has the weight of the first mode to its left."""
    left = np.array([distribution(np.array([[0.0]]), 0, LINE, schedule)[0][0]])
    border = quantile(left, 1 - left, schedule.T, LINE, schedule)[0, 0]
    return 0.5 * math.erfc(-border / math.sqrt(2))


def test_what_the_end_of_the_schedule_costs():
    """30 % of the data are in the first mode. The deck's cosine clip leaves 5.7 % of the signal, and 30.6 % of the samples
    are there; with T = 50 it leaves 63 %, and they are 39.7 %. Without signal at T: 30 %, exactly."""
    printed = make_schedule("cosine", 1000, **DECK_CLIP)
    assert math.sqrt(printed.at(1000).alpha_bar) == pytest.approx(0.057, abs=5e-4)
    assert share_of_the_first_mode(zero_terminal(printed)) == pytest.approx(0.3, abs=1e-9)
    assert share_of_the_first_mode(printed) == pytest.approx(0.3065, abs=1e-4)
    few = make_schedule("cosine", 50, **DECK_CLIP)
    assert share_of_the_first_mode(few) == pytest.approx(0.3967, abs=1e-4)
    assert share_of_the_first_mode(zero_terminal(few)) == pytest.approx(0.3, abs=1e-9)
