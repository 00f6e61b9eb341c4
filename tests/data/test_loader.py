import json
from itertools import islice

import numpy as np
import pytest

from minidiff.data import Loader, to_float
from minidiff.engine.random import RNG

NUMBERED = np.arange(23, dtype=np.uint8).reshape(23, 1, 1, 1)  # each image is its own index
LABELS = np.arange(23) % 10


def loader(batch_size=5, seed=0, **options):
    return Loader(NUMBERED, LABELS, batch_size, RNG(seed), **options)


def seen(batches):
    return [np.rint((x_0 + 1) * 127.5).astype(int).ravel().tolist() for x_0, _ in batches]


def test_an_epoch_has_every_image_once_with_its_label_as_floats():
    batches = list(loader())
    assert sorted(sum(seen(batches), [])) == list(range(23))
    for (x_0, labels), indices in zip(batches, seen(batches), strict=True):
        np.testing.assert_array_equal(x_0, to_float(NUMBERED[indices]))
        np.testing.assert_array_equal(labels, LABELS[indices])
        assert x_0.dtype == np.float32 and labels.dtype == np.int64


@pytest.mark.parametrize(("batch_size", "drop_last", "sizes"), [(5, False, [5, 5, 5, 5, 3]), (5, True, [5, 5, 5, 5]), (23, True, [23])])
def test_the_last_batch_is_partial_or_dropped(batch_size, drop_last, sizes):
    loaded = loader(batch_size, drop_last=drop_last)
    for epoch in range(2):
        assert loaded.epoch == epoch
        assert [len(labels) for _, labels in loaded] == sizes
    assert len(loaded) == len(sizes)


def test_each_epoch_has_another_order_and_the_seed_decides():
    one, same, other = loader(), loader(), loader(seed=1)
    first, second = seen(one), seen(one)
    assert first != second
    assert [first, second] == [seen(same), seen(same)]
    assert seen(other) != first


def test_next_batch_goes_on_into_the_next_epoch():
    by_step, by_epoch = loader(), loader()
    steps = [by_step.next_batch() for _ in range(12)]
    epochs = [batch for _ in range(3) for batch in by_epoch]
    assert seen(steps) == seen(epochs)[:12]
    assert (by_step.epoch, by_step.position) == (2, 10)


def test_a_loop_that_was_left_is_continued():
    whole, interrupted = loader(), loader()
    started = list(islice(interrupted, 2))
    assert seen(started + list(interrupted)) == seen(whole)


@pytest.mark.parametrize("n_before", [0, 3, 5, 10, 13])
@pytest.mark.parametrize("drop_last", [False, True])
def test_resume_is_exact_through_json_whatever_the_new_rng(n_before, drop_last):
    whole, before, after = loader(drop_last=drop_last), loader(drop_last=drop_last), loader(drop_last=drop_last, seed=99)
    expected = [whole.next_batch() for _ in range(20)]
    first = [before.next_batch() for _ in range(n_before)]
    after.set_state(json.loads(json.dumps(before.state())))
    for (x_0, labels), (x_0_expected, labels_expected) in zip(
        first + [after.next_batch() for _ in range(20 - n_before)], expected, strict=True
    ):
        np.testing.assert_array_equal(x_0, x_0_expected)
        np.testing.assert_array_equal(labels, labels_expected)


def test_floats_in_range_are_given_out_as_they_are_and_labels_are_optional():
    x = to_float(NUMBERED)
    x_0, labels = Loader(x, None, 23, RNG(0)).next_batch()
    assert sorted(x_0.ravel()) == sorted(x.ravel())
    assert labels.tolist() == [0] * 23


def test_latents_and_points_have_any_range_and_several_facts_each():
    points, facts = np.float32(10 * NUMBERED[..., 0, 0]), np.stack([LABELS, -LABELS], axis=1)
    x_0, labels = Loader(points, facts, 23, RNG(0), n_classes=None, value_range=None).next_batch()
    order = np.rint(x_0[:, 0] / 10).astype(int)
    assert sorted(order) == list(range(23)) and x_0.shape == (23, 1)
    np.testing.assert_array_equal(labels, facts[order])


@pytest.mark.parametrize(
    ("error", "message", "change"),
    [
        (ValueError, "Loader: images must be finite", {"images": np.full((23, 2), np.nan, np.float32), "value_range": None}),
        (ValueError, r"Loader: images has shape \(23,\) but \(N, ...\)", {"images": np.zeros(23, np.float32), "value_range": None}),
        (ValueError, r"Loader: labels has shape \(23, 1\)", {"labels": LABELS[:, None]}),
        (TypeError, "Loader: labels has dtype float64 but integers", {"labels": LABELS / 2, "n_classes": None}),
        (ValueError, r"Loader: images must be in \[-1, 1\] but lies in \[0, 22\]", {"images": NUMBERED.astype(np.float32)}),
        (TypeError, "Loader: images has dtype float64 but uint8 or float32 is wanted", {"images": NUMBERED.astype(float)}),
        (ValueError, r"Loader: images has shape \(23, 1\) but \(N, C, H, W\) is wanted", {"images": NUMBERED[..., 0, 0]}),
        (ValueError, r"Loader: labels has shape \(22,\) but images has N = 23", {"labels": LABELS[1:]}),
        (ValueError, "Loader: labels must be in 0..9 for 10 classes but lie in 1..10", {"labels": LABELS + 1}),
        (ValueError, "Loader: labels must be in 0..4 for 5 classes but lie in 0..9", {"n_classes": 5}),
        (TypeError, "Loader: labels must be integers, got dtype float64", {"labels": LABELS / 2}),
        (ValueError, "Loader: batch_size must be in 1..N = 1..23, got 24", {"batch_size": 24}),
        (ValueError, "Loader: batch_size must be in 1..N = 1..23, got 0", {"batch_size": 0}),
        (ValueError, "Loader: batch_size must be in 1..N = 1..0, got 5", {"images": NUMBERED[:0], "labels": LABELS[:0]}),
    ],
)
def test_bad_arguments_are_refused_by_name(error, message, change):
    with pytest.raises(error, match=message):
        Loader(**{"images": NUMBERED, "labels": LABELS, "batch_size": 5, "rng": RNG(0), **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_images": 22}, "Loader: state is of a loader with n_images = 22 but here n_images = 23"),
        ({"batch_size": 4}, "Loader: state is of a loader with batch_size = 4 but here batch_size = 5"),
        ({"position": 23}, "Loader: state must have 0 <= position < n_images"),
        ({"epoch": -1}, "Loader: state must have .* epoch >= 0"),
        ({"more": 1}, r"Loader: state must have \['batch_size', 'epoch', .* got .*'more'"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(change, message):
    one = loader()
    before = one.state()
    with pytest.raises(ValueError, match=message):
        one.set_state({**before, **change})
    assert one.state() == before


def test_numpys_integers_are_integers_here_too():

    loader = Loader(np.zeros((10, 1, 2, 2), np.uint8), np.zeros(10, np.int64), np.int64(4), RNG(0), n_classes=np.int32(3))
    assert json.loads(json.dumps(loader.state())) == loader.state() and loader.state()["batch_size"] == 4
    for wrong in (4.0, "4", None):
        with pytest.raises(TypeError, match="Loader: batch_size must be an integer, got"):
            Loader(np.zeros((10, 1, 2, 2), np.uint8), None, wrong, RNG(0))
