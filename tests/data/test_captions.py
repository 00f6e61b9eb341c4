import json
from dataclasses import replace

import numpy as np
import pytest

from minidiff.data import Captions, Dataset, load_mnist, make_digits, measure
from minidiff.data.captions import ADJECTIVES, CLOTHES, NUMBERS
from minidiff.engine.random import RNG


@pytest.fixture(scope="module")
def digits():
    return make_digits(2000, seed=0)


@pytest.fixture(scope="module")
def captions(digits):
    return Captions.of(digits)


@pytest.fixture(scope="module")
def facts(digits, captions):
    return captions.facts(digits.images, digits.labels)


def clothes(n=200):
    """Rectangles of random size and grey."""
    rng = RNG(0)
    images = np.zeros((n, 1, 28, 28), np.uint8)
    for image, (wide, high, grey) in zip(images, rng.integers(4, 24, (n, 3)), strict=True):
        image[0, 2 : 2 + high, 2 : 2 + wide] = 10 * grey
    return Dataset(images, np.arange(n) % 10, "Fashion-MNIST", "", tuple("0123456789"))


# -- what holds --------------------------------------------------------------------------------------------------------------------------


def test_each_adjective_holds_for_a_quarter_of_each_class(digits, facts):
    assert facts.shape == (2000, 3) and facts.dtype == np.int64
    np.testing.assert_array_equal(facts[:, 0], digits.labels)
    for digit in range(10):
        mine = facts[digits.labels == digit]
        for fact in (-1, 1):
            np.testing.assert_allclose((mine[:, 1:] == fact).mean(axis=0), 0.25, atol=0.02)


def test_thick_is_thicker_than_thin_and_slanted_leans_more_than_upright(digits, captions, facts):
    thickness = measure("thickness", digits.images)
    lean = np.abs(measure("slant", digits.images) - captions.upright[digits.labels])
    for digit in range(10):
        for column, values in ((1, thickness), (2, lean)):
            low, neither, high = (values[(facts[:, 0] == digit) & (facts[:, column] == fact)] for fact in (-1, 0, 1))
            assert low.max() < neither.min() and neither.max() < high.min()


def test_real_digits_lean_to_the_right_and_upright_ones_stand(real_mnist):
    """A one is a line: upright is vertical for it. Sevens and nines measure less, by their shape."""
    real = load_mnist(real_mnist, download=False)
    captions = Captions.of(real)
    facts = captions.facts(real.images, real.labels)
    slant = measure("slant", real.images)
    assert abs(captions.upright[:2]).max() < 0.03 and captions.upright[[7, 9]].max() < -0.15
    ones = facts[:, 0] == 1
    assert np.abs(slant[ones & (facts[:, 2] == -1)]).max() < 0.12 < 0.35 < np.abs(slant[ones & (facts[:, 2] == 1)]).min()
    for digit in range(10):
        slanted = slant[(facts[:, 0] == digit) & (facts[:, 2] == 1)] - captions.upright[digit]
        assert (slanted > 0).mean() > 0.85
        thick, thin = (measure("thickness", real.images[(facts[:, 0] == digit) & (facts[:, 1] == fact)]) for fact in (1, -1))
        assert thick.mean() > thin.mean() + 1  # pixels


def test_facts_of_a_picture_do_not_depend_on_the_others(digits, captions, facts):
    np.testing.assert_array_equal(captions.facts(digits.images[5:9], digits.labels[5:9]), facts[5:9])


def test_clothes_are_wide_or_narrow_and_dark_or_bright():
    dataset = clothes()
    captions = Captions.of(dataset)
    facts = captions.facts(dataset.images, dataset.labels)
    assert captions.nouns == CLOTHES and list(captions.limits) == ["width", "brightness"]
    bright, dark = (dataset.images[facts[:, 2] == fact].max(axis=(1, 2, 3)) for fact in (1, -1))
    assert bright.mean() > dark.mean() + 80
    assert "t-shirt" in captions.vocabulary and "ankle" not in captions.vocabulary
    leaning = Captions.of(dataset, ["slant"])
    np.testing.assert_allclose(leaning.upright, [measure("slant", dataset.images[i::10]).mean() for i in range(10)], atol=1e-6)


# -- what is said ------------------------------------------------------------------------------------------------------------------------


def test_a_caption_is_true_and_always_has_the_noun(captions, facts):
    for (label, *holds), text in zip(facts, captions.describe(facts, RNG(1)), strict=True):
        *before, noun = text.split()
        assert noun == NUMBERS[label]
        if before and before[0] in ("a", "an"):
            article, following = before.pop(0), text.split()[1]
            assert article == ("an" if following in ("upright", "eight") else "a")
        true = {ADJECTIVES[name][max(fact, 0)] for name, fact in zip(captions.limits, holds, strict=True) if fact}
        assert set(before) <= true and len(set(before)) == len(before) <= 2


def test_every_caption_that_is_true_of_a_picture_comes_up():
    names = {"thickness": [[1, 2]] * 10, "slant": [[1, 2]] * 10, "width": [[1, 2]] * 10}
    captions = Captions(NUMBERS, names)
    said = set(captions.describe(np.array([[3, 1, -1, 0]] * 2000), RNG(0)))
    assert said == {
        "three", "a three", "thick three", "a thick three", "upright three", "an upright three", "thick upright three",
        "a thick upright three", "upright thick three", "an upright thick three",
    }  # fmt: skip
    assert {text.split()[-2] for text in captions.describe(np.array([[1, 1, 1, 1]] * 200), RNG(0)) if " " in text} == {
        "a", "thick", "slanted", "wide",
    }  # fmt: skip


def test_numbers_of_adjectives_are_equally_likely_where_two_hold(captions):
    texts = captions.describe(np.array([[7, 1, 1]] * 3000), RNG(0))
    n = np.array([("thick" in text) + ("slanted" in text) for text in texts])
    np.testing.assert_allclose(np.bincount(n) / 3000, 1 / 3, atol=0.04)
    assert np.mean([text.startswith("a ") for text in texts]) == pytest.approx(0.5, abs=0.04)


def test_tokens_are_those_of_the_text(captions, facts):
    tokens = captions.tokens(facts[:200], RNG(5))
    assert tokens.shape == (200, captions.max_words) == (200, 4) and tokens.dtype == np.int64
    for row, text in zip(tokens, captions.describe(facts[:200], RNG(5)), strict=True):
        np.testing.assert_array_equal(row, captions.vocabulary.encode(text, 4))


def test_the_seed_decides(captions, facts):
    np.testing.assert_array_equal(captions.tokens(facts, RNG(3)), captions.tokens(facts, RNG(3)))
    assert (captions.tokens(facts, RNG(3)) != captions.tokens(facts, RNG(4))).any()


def test_prompts_become_the_same_tokens_as_captions(captions, facts):
    tokens = captions.tokens(facts[:50], RNG(3))
    np.testing.assert_array_equal(captions.encode([captions.vocabulary.decode(row) for row in tokens]), tokens)
    np.testing.assert_array_equal(captions.encode([""])[0], captions.null)


def test_without_measures_only_article_and_noun_are_left(digits):
    captions = Captions.of(digits, [])
    facts = captions.facts(digits.images, digits.labels)
    assert facts.shape == (2000, 1) and captions.max_words == 2
    assert set(captions.describe(facts[digits.labels == 8], RNG(0))) == {"eight", "an eight"}


def test_json_keeps_it(captions, digits, facts):
    again = Captions(**json.loads(json.dumps(captions.config)))
    assert again.vocabulary.words == captions.vocabulary.words
    np.testing.assert_array_equal(again.facts(digits.images, digits.labels), facts)


# -- errors ------------------------------------------------------------------------------------------------------------------------------


def test_data_sets_without_nouns_or_with_an_empty_class(digits):
    with pytest.raises(ValueError, match="there are nouns for the data sets mnist, digits, fashion-mnist, fashion, own pictures, got 'cats'"):
        Captions.of(replace(digits, name="cats"))
    few = replace(digits, images=digits.images[digits.labels > 1], labels=digits.labels[digits.labels > 1])
    with pytest.raises(ValueError, match="the data set must have images of each class, got none of: zero, one"):
        Captions.of(few)
    with pytest.raises(ValueError, match=r"Captions: share must be in \(0, 0.5\], got 0.6"):
        Captions.of(digits, share=0.6)
    with pytest.raises(ValueError, match="Captions: properties must be of thickness, slant, width, brightness, got 'size'"):
        Captions.of(digits, ["size"])


@pytest.mark.parametrize(
    ("limits", "upright", "message"),
    [
        ({"size": [[0, 1]] * 10}, None, "limits must be of thickness, slant, width, brightness, got 'size'"),
        ({"slant": [[0, 1]] * 9}, None, r"limits\['slant'\] must be \(10, 2\), a pair for each noun, got \(9, 2\)"),
        ({"slant": [[0, 1]] * 10}, [0.0], r"upright must be \(10,\), a slant for each noun, got \(1,\)"),
    ],
)
def test_limits_that_do_not_fit(limits, upright, message):
    with pytest.raises(ValueError, match=f"Captions: {message}"):
        Captions(NUMBERS, limits, upright)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (np.zeros((4, 2), int), ValueError, r"facts must be a NumPy array \(B, 3\): label, thickness, slant, got \(4, 2\)"),
        (np.zeros(3, int), ValueError, r"facts must be .* got \(3,\)"),
        ([[1, 0, 0]], ValueError, "facts must be .* got list"),
        (np.array([[10, 0, 0]]), ValueError, "the labels in facts must be in 0..9 for 10 classes but lie in 10..10"),
        (np.zeros((1, 3)), TypeError, "the labels in facts must be integers, got dtype float64"),
        (np.array([[1, 0, -2]]), ValueError, r"facts must be -1, 0 or 1 after the label, got -2\.\.0"),
    ],
)
def test_facts_that_are_none(captions, wrong, error, message):
    with pytest.raises(error, match=f"Captions: {message}"):
        captions.tokens(wrong, RNG(0))


def test_labels_and_images_that_do_not_fit(captions, digits):
    with pytest.raises(ValueError, match="Captions: labels must be in 0..9 for 10 classes but lie in 10..10"):
        captions.facts(digits.images[:1], np.array([10]))
    with pytest.raises(ValueError, match=r"Captions: labels must have one entry per image, got \(3,\) for N = 2"):
        captions.facts(digits.images[:2], np.zeros(3, int))


def test_the_plainest_caption_has_the_right_article(captions):
    assert captions.plain(np.array([7, 8, 0, 1])) == ["a seven", "an eight", "a zero", "a one"]
    with pytest.raises(ValueError, match="Captions: labels must be in 0..9 for 10 classes but lie in 10..10"):
        captions.plain(np.array([10]))


def test_prompts_of_a_class_are_captions_of_its_pictures(captions, facts):
    labels = np.arange(400) % 10
    prompts = captions.of_class(facts, labels, RNG(0))
    assert [text.split()[-1] for text in prompts] == [NUMBERS[label] for label in labels]
    share = np.mean(["thick" in text for text in prompts])
    among_all = np.mean(["thick" in text for text in captions.describe(facts, RNG(1))])
    assert share == pytest.approx(among_all, abs=0.06) and share > 0.05
    only_sevens = facts[facts[:, 0] == 7]
    with pytest.raises(ValueError, match="Captions: facts must have a picture of each class asked for, got none of: zero, three"):
        captions.of_class(only_sevens, np.array([3, 0, 7]), RNG(0))
