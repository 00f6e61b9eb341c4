import json

import numpy as np
import pytest

from minidiff.random import RNG, layers_draw_from, rng_of_layers


def test_a_seed_gives_the_same_numbers_again():
    for draw in (lambda r: r.normal((3, 2)), lambda r: r.uniform(4), lambda r: r.integers(0, 9, (5,)), lambda r: r.permutation(6)):
        np.testing.assert_array_equal(draw(RNG(3)), draw(RNG(3)))
        assert not np.array_equal(draw(RNG(3)), draw(RNG(4)))


def test_shapes_dtypes_and_ranges():
    rng = RNG(0)
    assert rng.normal((2, 3)).dtype == np.float32 and rng.normal((2, 3), np.float64).dtype == np.float64
    assert rng.normal().shape == () and type(rng.normal()) is np.ndarray and rng.uniform(3).shape == (3,)
    u, i = rng.uniform((1000,)), rng.integers(1, 5, (1000,))
    assert 0 <= u.min() and u.max() < 1 and set(i) == {1, 2, 3, 4} and i.dtype == np.int64
    assert sorted(rng.permutation(7)) == list(range(7))


def test_the_numbers_are_standard_normal():
    x = RNG(0).normal((100_000,), np.float64)
    assert abs(x.mean()) < 0.02 and abs(x.std() - 1) < 0.02 and abs((x**3).mean()) < 0.05


def test_a_state_goes_through_json_and_continues_the_numbers():
    rng = RNG(5)
    rng.normal(7)
    state = json.loads(json.dumps(rng.state()))
    expected = rng.normal(5)
    other = RNG(0)
    other.set_state(state)
    np.testing.assert_array_equal(other.normal(5), expected)


@pytest.mark.parametrize("state", [{}, {"bit_generator": "MT19937"}, None, "PCG64"], ids=str)
def test_a_state_that_is_none(state):
    with pytest.raises(ValueError, match=r"RNG: state is not one that RNG.state\(\) returned"):
        RNG(0).set_state(state)


def test_spawned_generators_differ_from_each_other_and_come_again():
    a, b = RNG(0), RNG(0)
    children = [a.spawn(), a.spawn(), b.spawn(), b.spawn()]
    first, second, first_again, second_again = (c.normal(4) for c in children)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, first_again)
    np.testing.assert_array_equal(second, second_again)


@pytest.mark.parametrize("seed", [-1, 1.5, "0", None])
def test_a_seed_must_be_a_non_negative_int(seed):
    with pytest.raises(ValueError, match=f"RNG: seed must be an int >= 0, got {seed!r}"):
        RNG(seed)


def test_a_generator_of_a_device_gives_arrays_there(strict):
    drawn = RNG(0, "strict").normal((2, 3))
    assert type(drawn) is strict.ndarray
    np.testing.assert_array_equal(strict.asnumpy(drawn), RNG(0).normal((2, 3)))
    with pytest.raises(ValueError, match="device: wanted 'cpu', 'cuda' or 'cuda:N', got 'gpu'"):
        RNG(0, "gpu")


def test_layers_draw_from_the_generator_of_the_block():
    rng = RNG(0)
    with layers_draw_from(rng):
        assert rng_of_layers("Dropout") is rng
    with pytest.raises(
        RuntimeError, match=r"Dropout draws random numbers in training mode: wrap the step in `with minidiff.random.layers_draw_from"
    ):
        rng_of_layers("Dropout")
