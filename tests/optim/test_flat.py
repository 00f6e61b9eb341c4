"""Arrays as pieces of one vector."""

import numpy as np

from minidiff.optim.flat import ALIGNMENT, Flat, fits, whole_of


def arrays(xp=np):
    values = {"a": np.arange(6).reshape(2, 3), "b": np.array([7]), "c": np.ones(70)}
    return {name: xp.array(array.astype(np.float32)) for name, array in values.items()}


def test_pieces_have_the_values_and_share_the_memory():
    flat = Flat(arrays())
    assert list(flat) == ["a", "b", "c"] and len(flat) == 3 and flat.whole.shape == (4 * ALIGNMENT,)
    np.testing.assert_array_equal(flat["a"], [[0, 1, 2], [3, 4, 5]])
    flat.whole += 1
    np.testing.assert_array_equal(flat["b"], [8])
    piece = flat["b"]
    flat["b"] = np.float32([3])
    assert flat["b"] is piece and piece[0] == 3 and flat.whole[ALIGNMENT] == 3


def test_like_wants_names_order_and_shapes():
    flat, same = Flat(arrays()), arrays()
    assert flat.like(same) and flat.like(Flat(same))
    assert not flat.like({"a": same["a"]}) and not flat.like({"b": same["b"], "a": same["a"], "c": same["c"]})
    assert not flat.like({**same, "a": same["a"].T})


def test_the_vector_of_arrays_is_copied_and_that_of_a_flat_is_its_own():
    flat, other = Flat.zeros_like(Flat(arrays())), Flat(arrays())
    assert not flat.whole.any()
    assert flat.vector_of(other) is other.whole
    assert flat.vector_of(arrays()) is flat.whole
    np.testing.assert_array_equal(flat.whole, other.whole)


def test_only_what_lies_on_a_gpu_is_worth_it(cuda):
    cupy, _ = cuda
    assert not fits(arrays()) and not fits({}) and fits(arrays(cupy))
    assert not fits({"a": cupy.array(np.zeros(3))})


def test_the_vector_behind_arrays_is_found(cuda):
    cupy, _ = cuda
    flat = Flat(arrays(cupy))
    assert whole_of(dict(flat)) is flat.whole
    assert whole_of({"a": flat["a"], "b": flat["b"]}) is None
    assert whole_of({"b": flat["b"], "a": flat["a"], "c": flat["c"]}) is None
    assert whole_of(arrays(cupy)) is None and whole_of({**flat, "b": arrays(cupy)["b"]}) is None


def test_many_arrays_are_joined_on_a_gpu(cuda):
    """More than one launch takes, of all kinds: 0-d, empty, transposed, larger than a block."""
    cupy, _ = cuda
    rng = np.random.default_rng(0)
    shapes = [(), (3, 0), (2, 3), (ALIGNMENT,), (ALIGNMENT + 1,), (40, 50), (1,), (7, 1, 2), (5,), (65, 2), (4,)]
    values = [rng.standard_normal(shape, dtype=np.float32) for shape in shapes]
    given = {str(i): cupy.asarray(value) for i, value in enumerate(values)} | {"transposed": cupy.asarray(values[5]).T}
    flat, expected = Flat(given), Flat({str(i): value for i, value in enumerate(values)} | {"transposed": values[5].T})
    np.testing.assert_array_equal(cupy.asnumpy(flat.whole), expected.whole)
    for name, array in given.items():
        np.testing.assert_array_equal(cupy.asnumpy(flat[name]), cupy.asnumpy(array))
