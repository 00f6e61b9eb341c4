import json

import numpy as np
import pytest

from minidiff.engine.random import RNG, layers_draw_from, rng_of_layers


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
    rng = RNG(0, "strict")
    assert type(rng.normal((2, 3))) is strict.ndarray and rng.normal((2, 3), np.float64).dtype == np.float64
    assert rng.uniform().shape == () and rng.uniform(3).dtype == np.float32
    assert type(rng.integers(0, 5, (3,))) is np.ndarray and type(rng.permutation(4)) is np.ndarray  # they stay on the host
    with pytest.raises(ValueError, match="device: wanted 'cpu', 'cuda' or 'cuda:N', got 'gpu'"):
        RNG(0, "gpu")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_device_continues_from_its_state(strict, dtype):
    rng = RNG(5, "strict")
    rng.normal((3, 5), dtype), rng.uniform(2, dtype)
    state = json.loads(json.dumps(rng.state()))
    expected = [rng.normal(9, dtype), rng.uniform(3, dtype)]
    other = RNG(0, "strict")
    other.set_state(state)
    for a, b in zip([other.normal(9, dtype), other.uniform(3, dtype)], expected, strict=True):
        np.testing.assert_array_equal(strict.asnumpy(a), strict.asnumpy(b))


def test_a_state_goes_from_one_device_to_another(strict):
    """A run that was saved on a CPU can go on on a GPU, and the other way round; whole numbers (times, orders) come as they would have."""
    on_cpu, on_device = RNG(3), RNG(3, "strict")
    moved, back = RNG(0, "strict"), RNG(0)
    moved.set_state(on_cpu.state())
    back.set_state(on_device.state())
    assert list(moved.integers(0, 99, (5,))) == list(RNG(3).integers(0, 99, (5,))) == list(back.integers(0, 99, (5,)))
    again = RNG(1, "strict")
    again.set_state(on_cpu.state())
    np.testing.assert_array_equal(strict.asnumpy(moved.normal(4)), strict.asnumpy(again.normal(4)))


@pytest.mark.parametrize("philox", [{"key": [1], "used": 0}, {"key": [1, 2**32], "used": 0}, {"key": [1, 2]}, {"key": [1, 2], "used": -1}])
def test_a_state_of_a_device_that_is_none(strict, philox):
    rng = RNG(0, "strict")
    before = rng.state()
    with pytest.raises(ValueError, match=r"RNG: state is not one that RNG.state\(\) returned"):
        rng.set_state({**rng.state(), "philox": philox})
    assert rng.state() == before


@pytest.mark.parametrize("dtype", [np.float16, np.uint8, np.int64])
def test_two_kinds_of_floats_are_drawn_on_every_device(strict, dtype):
    """uint8: the noise of pictures that were not scaled."""
    for rng in (RNG(0), RNG(0, "strict")):
        for draw in (rng.normal, rng.uniform):
            with pytest.raises(TypeError, match=f"RNG: dtype must be float32 or float64, got {np.dtype(dtype)}"):
                draw(3, dtype)


def test_layers_draw_from_the_generator_of_the_block():
    rng = RNG(0)
    with layers_draw_from(rng):
        assert rng_of_layers("Dropout") is rng
    with pytest.raises(
        RuntimeError, match=r"Dropout draws random numbers in training mode: wrap the step in `with minidiff.engine.random.layers_draw_from"
    ):
        rng_of_layers("Dropout")
