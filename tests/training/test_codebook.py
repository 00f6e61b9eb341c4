"""The codebook between steps: running means, new codes for dead ones, and a state that continues exactly."""

import numpy as np
import pytest

from minidiff.engine.backend import to_cpu
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.models.quantizer import VectorQuantizer
from minidiff.training.codebook import CodebookKeeper


def make_keeper(n_codes=4, code_size=2, ema=True, device="cpu", **settings):
    quantizer = VectorQuantizer(n_codes, code_size, ema=ema, rng=RNG(0))
    quantizer.to(device)
    return CodebookKeeper(quantizer, **settings)


def batch(seed, n=30, n_codes=4):
    """Vectors and the codes they got, unevenly: code 0 most often."""
    rng = RNG(seed)
    return rng.normal((n, 2)), np.minimum(rng.integers(0, n_codes, (n,)), rng.integers(0, n_codes, (n,)))


def codes(keeper):
    return to_cpu(keeper.quantizer.codebook.data)


def is_one_of(code, vectors):
    return (vectors == code).all(axis=1).any()


def test_codes_are_the_running_means_of_appendix_A1():
    """N_i, m_i and e_i by the equation, vector by vector, over several steps."""
    keeper = make_keeper(gamma=0.9)
    N, m = [1.0] * 4, [code.astype(np.float64) for code in codes(keeper)]
    for step in range(5):
        z_e, k = batch(step)
        keeper.update(z_e, k, RNG(0))
        for i in range(4):
            chose_it = [z_e[j] for j in range(30) if k[j] == i]
            N[i] = 0.9 * N[i] + 0.1 * len(chose_it)
            m[i] = 0.9 * m[i] + 0.1 * sum(chose_it, np.zeros(2))
        np.testing.assert_allclose(codes(keeper), [total / count for total, count in zip(m, N, strict=True)], rtol=1e-5)
    np.testing.assert_allclose(keeper.N, N, rtol=1e-5)
    np.testing.assert_allclose(keeper.m, m, rtol=1e-5)
    assert codes(keeper).dtype == np.float32


def test_codes_that_follow_a_gradient_are_left_alone():
    keeper = make_keeper(ema=False)
    before = codes(keeper).copy()
    keeper.update(*batch(0), RNG(0))
    np.testing.assert_array_equal(codes(keeper), before)


def test_at_the_start_every_code_is_another_vector():
    keeper = make_keeper(n_codes=20, gamma=0.5)
    z_e, _ = batch(0, n=25)
    keeper.start(z_e, RNG(0))
    assert all(is_one_of(code, z_e) for code in codes(keeper))
    assert len(np.unique(codes(keeper), axis=0)) == 20
    np.testing.assert_array_equal(keeper.m, codes(keeper))
    np.testing.assert_array_equal(keeper.N, np.ones(20))


def test_fewer_vectors_than_codes_are_used_several_times():
    keeper = make_keeper(n_codes=20)
    z_e, _ = batch(0, n=3)
    keeper.start(z_e, RNG(0))
    np.testing.assert_array_equal(np.unique(codes(keeper), axis=0), np.unique(z_e, axis=0))


@pytest.mark.parametrize("ema", [False, True])
def test_dead_codes_and_only_those_are_put_on_vectors(ema):
    """An equal share of 100 vectors is 25 for each of 4 codes: one that got less than 0.2 of it, 5 vectors, is dead."""
    counts = [91, 5, 4, 0]
    z_e, k = RNG(1).normal((100, 2)), np.repeat(np.arange(4), counts)
    keeper, without = (make_keeper(ema=ema, window=1, dead=0.2) for _ in range(2))
    keeper.update(z_e, k, RNG(0))
    without.update(z_e, k, RNG(0), restart=False)
    assert keeper.usage.tolist() == counts and keeper.restarts == 2
    np.testing.assert_array_equal(codes(keeper)[:2], codes(without)[:2])
    for i in (2, 3):
        assert is_one_of(codes(keeper)[i], z_e) and not is_one_of(codes(without)[i], z_e)
        assert keeper.N[i] == 1
        np.testing.assert_array_equal(keeper.m[i], codes(keeper)[i])
    assert not np.array_equal(codes(keeper)[2], codes(keeper)[3])


def test_a_window_is_judged_as_a_whole_and_only_at_its_end():
    keeper = make_keeper(ema=False, window=3)
    z_e, before = RNG(1).normal((10, 2)), codes(keeper).copy()
    for k in (0, 1, 2):
        np.testing.assert_array_equal(codes(keeper), before)
        keeper.update(z_e, np.full(10, k), RNG(0))
    assert keeper.restarts == 1  # code 3
    np.testing.assert_array_equal(codes(keeper)[:3], before[:3])


def test_restarts_stop_when_told():
    keeper = make_keeper(ema=False, window=1)
    before = codes(keeper).copy()
    z_e, k = RNG(1).normal((30, 2)), np.zeros(30, np.int64)
    keeper.update(z_e, k, RNG(0), restart=False)
    np.testing.assert_array_equal(codes(keeper), before)
    assert keeper.restarts == 0 and keeper.usage.tolist() == [30, 0, 0, 0]
    keeper.update(z_e, k, RNG(0), restart=True)
    assert keeper.restarts == 3


def test_a_restarted_code_is_chosen():
    """The reason for it all: codes far from every vector are never moved by those."""
    keeper = make_keeper(n_codes=8, window=1)
    keeper.quantizer.codebook.assign(codes(keeper) + 100 * (np.arange(8) > 1)[:, None].astype(np.float32))
    vectors = Tensor(RNG(1).normal((1, 2, 10, 10)))
    used = []
    for _ in range(3):
        quantized = keeper.quantizer(vectors)
        used.append(len(set(quantized.k.tolist())))
        keeper.update(quantized.z_e.data, quantized.k, RNG(0))
    assert used == [2, 8, 8]


def test_usage_is_of_the_last_full_window_or_so_far_in_the_first():
    keeper = make_keeper(window=2)
    counts = []
    for k in ([0], [1, 1], [2, 2, 2], [3, 3, 3, 3]):
        keeper.update(np.zeros((len(k), 2), np.float32), np.array(k), RNG(0))
        counts.append(keeper.usage.tolist())
    assert counts == [[1, 0, 0, 0], [1, 2, 0, 0], [1, 2, 0, 0], [0, 0, 3, 4]]


def test_a_state_continues_to_the_bit_and_does_not_change_afterwards():
    whole, first, second = (make_keeper(window=3, dead=0.5, gamma=0.8) for _ in range(3))
    rng = RNG(5)
    for step in range(10):
        whole.update(*batch(step), rng)
    rng = RNG(5)
    for step in range(4):  # in the middle of a window
        first.update(*batch(step), rng)
    state, usage, position = first.state(), first.usage, rng.state()
    copies = {name: array.copy() for name, array in state.items()}
    for step in range(4, 7):
        first.update(*batch(step), rng)
    for name, array in state.items():
        np.testing.assert_array_equal(array, copies[name], err_msg=name)

    second.quantizer.codebook.assign(copies["m"] / copies["N"][:, None])  # the codebook itself is in the model's state
    second.set_state(state)
    np.testing.assert_array_equal(second.usage, usage)
    rng.set_state(position)
    for step in range(4, 10):
        second.update(*batch(step), rng)
    assert whole.restarts == second.restarts > 0 and whole.steps == second.steps == 10
    for name, array in whole.state().items():
        np.testing.assert_array_equal(second.state()[name], array, err_msg=name)
    np.testing.assert_array_equal(codes(second), codes(whole))


def test_it_stays_on_the_device_of_the_codebook(strict):
    """The same codes in a library that refuses to mix with NumPy, with restarts and a state that came from the host."""
    results = []
    for device in ("cpu", "strict"):
        keeper, rng = make_keeper(n_codes=6, device=device, window=2, dead=0.5), RNG(3)
        keeper.start(strict.asarray(batch(9)[0]) if device == "strict" else batch(9)[0], rng)
        for step in range(4):
            z_e, k = batch(step, n_codes=4)
            arrays = (strict.asarray(z_e), strict.asarray(k)) if device == "strict" else (z_e, k)
            keeper.update(*arrays, rng)
            keeper.set_state({name: to_cpu(array) for name, array in keeper.state().items()})
        assert keeper.quantizer.codebook.device == device and keeper.restarts > 0
        results.append([codes(keeper), *(to_cpu(array) for array in keeper.state().values())])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_a_code_that_nobody_chooses_for_ever_stays_where_it_is():
    """Its N and m both become 0 in float32: 0 / 0 would be NaN, and argmin takes a NaN for the smallest."""
    keeper = make_keeper(gamma=0.5)
    before = codes(keeper).copy()
    for _ in range(500):
        keeper.update(np.ones((3, 2), np.float32), np.zeros(3, np.int64), RNG(0), restart=False)
    np.testing.assert_allclose(codes(keeper)[0], 1, rtol=1e-5)
    np.testing.assert_allclose(codes(keeper)[1:], before[1:], rtol=1e-4)
    assert (keeper.N > 0).all() and codes(keeper).dtype == np.float32


@pytest.mark.parametrize("settings", [{"gamma": 1.0}, {"gamma": -0.1}, {"window": 0}, {"dead": 1}])
def test_impossible_settings(settings):
    (name, value), = settings.items()
    with pytest.raises(ValueError, match=f"CodebookKeeper: wanted gamma and dead in .* and window >= 1, got .*{name} = {value}"):
        make_keeper(**settings)
