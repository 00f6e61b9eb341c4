import numpy as np
import pytest

from minidiff.data import Dataset

NUMBERED = np.arange(20, dtype=np.uint8).reshape(20, 1, 1, 1)  # each image is its own index


@pytest.fixture
def dataset():
    return Dataset(NUMBERED, np.arange(20) % 10, "numbered", "a note")


def test_split_has_each_image_once_with_its_label(dataset):
    rest, held_out = dataset.split(6, seed=1)
    assert (len(rest), len(held_out)) == (14, 6)
    assert sorted(np.concatenate([rest.images, held_out.images]).ravel()) == list(range(20))
    for part in (rest, held_out):
        np.testing.assert_array_equal(part.labels, part.images.ravel() % 10)
        assert (part.name, part.note) == ("numbered", "a note")


def test_split_is_random_and_the_seed_decides(dataset):
    def held_out(seed):
        return dataset.split(6, seed)[1].images.ravel().tolist()

    assert held_out(1) == held_out(1)
    assert sorted(held_out(1)) != sorted(held_out(2))


@pytest.mark.parametrize("n", [0, 20, -1])
def test_split_wants_something_on_both_sides(dataset, n):
    with pytest.raises(ValueError, match=rf"split: n_held_out must be in 1..N-1 = 1..19, got {n}"):
        dataset.split(n)


def test_images_and_labels_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"Dataset: images must be \(N, C, H, W\) uint8, got \(20, 1, 1\) uint8"):
        Dataset(NUMBERED[..., 0], np.zeros(20, int), "", "")
    with pytest.raises(ValueError, match=r"Dataset: images must be \(N, C, H, W\) uint8, got \(20, 1, 1, 1\) float32"):
        Dataset(NUMBERED.astype(np.float32), np.zeros(20, int), "", "")
    with pytest.raises(ValueError, match=r"Dataset: labels has shape \(19,\) but images has N = 20"):
        Dataset(NUMBERED, np.zeros(19, int), "", "")


def test_repr_is_short(dataset):
    assert repr(dataset) == "Dataset('numbered', images=(20, 1, 1, 1), classes=10)"


def test_numpys_integers_split_too_and_other_numbers_are_refused(dataset):
    assert len(dataset.split(np.int64(6), np.int64(1))[1]) == 6
    with pytest.raises(TypeError, match="split: n_held_out must be an integer, got 6.0"):
        dataset.split(6.0)
