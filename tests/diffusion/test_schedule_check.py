import math

import numpy as np
import pytest

from minidiff.diffusion.schedule import DECK_CLIP, make_schedule
from minidiff.diffusion.schedule_check import unit_pixel_L_T
from minidiff.diffusion.targets import x_0_from_eps
from minidiff.diffusion.vlb import L_T


@pytest.mark.checks("schedule.L_T_of_unit_pixel")
def test_L_T_of_a_unit_pixel_is_the_bound_s_L_T_at_1():
    schedule = make_schedule("linear", 100, rescale=False)
    nats = L_T(np.array([[1.0], [-1.0]]), schedule)
    np.testing.assert_allclose(nats / math.log(2), unit_pixel_L_T(schedule.at(100).alpha_bar), rtol=1e-12)


def test_the_paper_s_schedule_ends_in_noise_and_the_deck_s_cosine_does_not():
    linear, deck = make_schedule("linear").check(), make_schedule("cosine", **DECK_CLIP).check()
    assert linear.L_T_bits == pytest.approx(2.9e-5, rel=0.01) and linear.close_enough
    assert linear.clipped_high == 0
    assert deck.L_T_bits == pytest.approx(2.3e-3, rel=0.01) and not deck.close_enough
    assert deck.snr_T / linear.snr_T == pytest.approx(80, rel=0.02)
    assert (deck.clipped_high, deck.first_clipped_high, deck.clipped_low) == (98, 903, 13)
    assert linear.sentence.startswith("x_T is close enough to N(0, I)") and "0.64 % of the image" in linear.sentence
    assert deck.sentence.startswith("x_T is NOT close enough to N(0, I): 5.7 % of the image is left")
    assert "clipped betas: 98 high (from t = 903), 13 low" in str(deck)


def test_every_default_schedule_is_close_enough_for_every_T():
    for T in (10, 50, 100, 300, 1000):
        for name in ("linear", "cosine"):
            assert make_schedule(name, T).check().close_enough, (name, T)
        assert not make_schedule("linear", min(T, 300), rescale=False).check().close_enough


def test_the_check_says_how_much_an_error_of_the_network_grows_at_T():
    """An error of 1 in eps at T, put into x_0_hat."""
    for name, factor in (("linear", 157.4), ("cosine", 20291)):
        schedule = make_schedule(name)
        error = abs(x_0_from_eps(np.zeros((1, 1)), 1000, np.ones((1, 1)), schedule).item())
        assert schedule.check().amplification == pytest.approx(error, rel=1e-9)
        assert error == pytest.approx(factor, rel=1e-3)
    assert "an error of eps_theta at T counts 157.4 times in x_0_hat" in str(make_schedule("linear").check())
