import json
import math

import numpy as np
import pytest

from minidiff.diffusion.forward import q_sample
from minidiff.diffusion.reverse import mu_theta
from minidiff.diffusion.schedule import (
    DECK_CLIP,
    Schedule,
    alpha_bar_table,
    cosine_beta,
    linear_beta,
    make_schedule,
    one_minus_alpha_bar_table,
    respace,
)
from minidiff.diffusion.vlb import L_T

SHIPPED = [("linear", {}), ("linear", {"rescale": False}), ("cosine", {}), ("cosine", DECK_CLIP)]


@pytest.mark.checks("schedule.linear")
def test_linear_beta_is_the_line_through_both_ends():
    beta = linear_beta(1000)
    slope = (0.02 - 0.0001) / 999
    for t in (1, 2, 500, 999, 1000):
        assert beta[t - 1] == pytest.approx(0.0001 + (t - 1) * slope, rel=1e-12)


@pytest.mark.checks("schedule.linear")
def test_a_rescaled_step_is_a_power_of_a_step_of_the_line():
    """At T = 250 a step is four steps of the line, at T = 2000 half a step."""
    line = linear_beta(250, rescale=False)
    np.testing.assert_allclose(1 - linear_beta(250), (1 - line) * (1 - line) * (1 - line) * (1 - line), rtol=1e-12)
    np.testing.assert_allclose((1 - linear_beta(2000)) ** 2, 1 - linear_beta(2000, rescale=False), rtol=1e-12)
    for T in (10, 50, 100, 300, 1000, 4000):
        assert np.prod(1 - linear_beta(T)) == pytest.approx(4.04e-5, rel=0.01)


@pytest.mark.checks("schedule.cosine")
def test_cosine_alpha_bar_follows_the_squared_cosine_until_the_clip():
    T, s = 1000, 0.008
    alpha_bar = np.cumprod(1 - cosine_beta(T, s))
    for t in (1, 2, 250, 500, 900, 999):
        angle = math.pi / 2 * (t / T + s) / (1 + s)
        start = math.pi / 2 * s / (1 + s)
        expected = (1 + math.cos(2 * angle)) / (1 + math.cos(2 * start))
        assert alpha_bar[t - 1] == pytest.approx(expected, rel=1e-10)
    assert cosine_beta(T, s)[-1] == 0.999


@pytest.mark.checks("schedule.alpha_bar")
def test_alpha_bar_is_the_exponential_of_the_summed_logarithms():
    beta = np.concatenate([[0.0], linear_beta(1000)])
    expected = [math.exp(math.fsum(math.log1p(-b) for b in beta[: t + 1])) for t in range(0, 1001, 100)]
    np.testing.assert_allclose(alpha_bar_table(beta)[::100], expected, rtol=1e-12)


@pytest.mark.checks("schedule.one_minus_alpha_bar")
def test_one_minus_alpha_bar_is_expm1_of_the_summed_logarithms():
    beta = np.concatenate([[0.0], linear_beta(1000)])
    expected = [-math.expm1(math.fsum(math.log1p(-b) for b in beta[: t + 1])) for t in range(1001)]
    np.testing.assert_allclose(one_minus_alpha_bar_table(beta), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("T", "expected"), [(10, 0.904), (50, 0.603), (100, 0.364), (200, 0.132), (300, 0.048), (400, 0.0175), (500, 0.0064)]
)
def test_unscaled_linear_schedule_leaves_signal(T, expected):
    assert make_schedule("linear", T, rescale=False).at(T).alpha_bar == pytest.approx(expected, rel=0.01)


def test_constants_of_the_linear_schedule(linear):
    assert linear.at(1000).alpha_bar == pytest.approx(4.0358e-5, rel=1e-4)
    assert math.sqrt(1 / linear.at(1000).alpha_bar - 1) == pytest.approx(157.4, abs=0.05)


def test_constants_of_the_cosine_schedule():
    paper, deck = make_schedule("cosine", 1000), make_schedule("cosine", 1000, **DECK_CLIP)
    assert paper.at(1000).alpha_bar == pytest.approx(2.4288e-9, rel=1e-4)
    assert math.sqrt(1 / paper.at(1000).alpha_bar - 1) == pytest.approx(20291, rel=1e-4)
    assert deck.at(1000).alpha_bar == pytest.approx(3.1948e-3, rel=1e-4)
    for T, expected in ((300, 0.033), (100, 0.194), (50, 0.401)):
        assert make_schedule("cosine", T, **DECK_CLIP).at(T).alpha_bar == pytest.approx(expected, abs=0.0006)


@pytest.mark.checks("posterior.beta_tilde")
def test_constants_of_beta_tilde(linear):
    ratios = [linear.at(t).beta_tilde / linear.at(t).beta for t in (1, 2, 3, 5, 10, 100)]
    np.testing.assert_allclose(ratios, [0, 0.4547, 0.6113, 0.7431, 0.8528, 0.9819], atol=5e-5)


@pytest.mark.parametrize(("name", "options"), SHIPPED)
@pytest.mark.parametrize("T", [1, 2, 10, 50, 100, 300, 1000, 4000])
def test_every_table_of_every_shipped_schedule_is_sane(name, options, T):
    schedule = make_schedule(name, T, **options)
    for table in schedule.tables.values():
        assert table.shape == (T + 1,) and table.dtype == np.float64 and np.isfinite(table).all()
    assert schedule.tables["alpha_bar"][0] == 1 and schedule.tables["beta"][0] == 0 and schedule.tables["one_minus_alpha_bar"][0] == 0
    assert np.all(np.diff(schedule.tables["alpha_bar"]) < 0)
    assert np.all(schedule.tables["beta_tilde"] <= schedule.tables["beta"])
    np.testing.assert_allclose(schedule.tables["one_minus_alpha_bar"], 1 - schedule.tables["alpha_bar"], atol=1e-12)


def test_values_come_in_the_shape_and_dtype_of_the_images(linear):
    x = np.zeros((3, 2, 4, 4), np.float32)
    t = np.array([1, 500, 1000])
    beta = linear.at(t, like=x).beta
    assert beta.shape == (3, 1, 1, 1) and beta.dtype == np.float32
    assert isinstance(linear.at(5, like=x).beta, float)
    assert linear.at(t).beta.dtype == np.float64 and linear.at(t).beta.shape == (3,)
    np.testing.assert_allclose(beta.ravel(), [linear.at(int(i)).beta for i in t], rtol=1e-7)


def test_float32_keeps_the_digits_of_one_minus_alpha_bar(linear):
    """Subtracting in float32 is off by 1.7e-4; the table is cast after the subtraction."""
    x = np.zeros((1, 2), np.float32)
    t = np.array([1])
    exact = linear.at(1).one_minus_alpha_bar
    assert abs(linear.at(t, like=x).one_minus_alpha_bar.item() / exact - 1) < 1e-7
    assert abs((1 - linear.at(t, like=x).alpha_bar).item() / exact - 1) == pytest.approx(1.7e-4, rel=0.03)


def test_jump_beta_of_one_step_is_beta_and_of_many_multiplies_up(linear):
    assert linear.jump_beta(499, 500) == pytest.approx(linear.at(500).beta, rel=1e-12)
    alphas = [linear.at(t).alpha for t in range(101, 201)]
    assert 1 - linear.jump_beta(100, 200) == pytest.approx(math.prod(alphas), rel=1e-12)
    with pytest.raises(ValueError, match="t_prev must be < t, got t_prev = 5, t = 5"):
        linear.jump_beta(5, 5)


def test_snr_falls_from_a_hundred_thousand_towards_zero(linear):
    assert linear.snr(1) == pytest.approx(9999, rel=1e-12)
    assert linear.snr(1000) == pytest.approx(4.0358e-5, rel=2e-4)
    assert linear.snr(np.array([1, 2])).shape == (2,)


def test_respace_keeps_alpha_bar_at_the_chosen_times(linear):
    short = respace(linear, [1, 250, 500, 1000])
    assert short.T == 4
    for i, t in enumerate((1, 250, 500, 1000), start=1):
        assert short.at(i).alpha_bar == pytest.approx(linear.at(t).alpha_bar, rel=1e-12)
    with pytest.raises(ValueError, match=r"tau must increase, got \[5, 5\]"):
        respace(linear, [5, 5])


@pytest.mark.parametrize(("name", "options"), SHIPPED)
def test_configuration_survives_json(name, options):
    schedule = make_schedule(name, 30, **options)
    again = make_schedule(**json.loads(json.dumps(schedule.config)))
    np.testing.assert_array_equal(again.tables["beta"], schedule.tables["beta"])
    custom = Schedule([0.1, 0.2])
    np.testing.assert_array_equal(make_schedule(**json.loads(json.dumps(custom.config))).tables["beta"], custom.tables["beta"])


@pytest.mark.parametrize("t", [0, 1001, -1, np.array([0, 5, 6]), np.array([5, 1001, 6])])
def test_t_outside_1_to_T_is_an_error(linear, t):
    wrong = t if isinstance(t, int) else next(int(i) for i in t if not 1 <= i <= 1000)
    with pytest.raises(ValueError, match=rf"t must be in 1\.\.T = 1\.\.1000, got {wrong} \(t = 0 is the data"):
        linear.at(t)


def test_t_zero_is_allowed_where_asked_for(linear):
    assert linear.at(0, first=0).alpha_bar == 1.0


def test_wrong_arguments_are_named(linear):
    with pytest.raises(ValueError, match="t must be integers, got float64"):
        linear.at(np.array([1.0]))
    with pytest.raises(ValueError, match=r"t must be one per image, \(2,\), or one int; got shape \(3,\)"):
        _ = linear.at(np.array([1, 2, 3]), like=np.zeros((2, 5))).beta
    with pytest.raises(TypeError, match="images must be floats .*, got uint8"):
        _ = linear.at(np.array([1, 2]), like=np.zeros((2, 5), np.uint8)).beta
    with pytest.raises(ValueError, match="name must be one of linear, cosine, custom, got 'sigmoid'"):
        make_schedule("sigmoid")
    with pytest.raises(ValueError, match="T must be an int >= 1, got 0"):
        make_schedule("linear", 0)
    with pytest.raises(TypeError, match="the cosine schedule has no such option: .*'beta_1'"):
        make_schedule("cosine", 10, beta_1=0.1)
    with pytest.raises(ValueError, match=r"beta must be \(T,\) numbers in \(0, 1\), got shape \(2,\), range 0.1..1"):
        Schedule([1.0, 0.1])  # only beta_T may be 1
    with pytest.raises(ValueError, match="beta must have T = 3 entries, got 2"):
        make_schedule("custom", 3, beta=[0.1, 0.2])


@pytest.mark.parametrize("t", [5, np.array([5, 6])])
def test_images_that_are_no_array_are_named(linear, t):
    for equation in (lambda x: q_sample(x, t, x, linear), lambda x: mu_theta(x, t, x, linear), lambda x: L_T(x, linear)):
        with pytest.raises(TypeError, match="schedule: the images must be an array, got tuple"):
            equation((0.5, -0.5))
