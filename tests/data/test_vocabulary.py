import json

import numpy as np
import pytest

from minidiff.data import Vocabulary

WORDS = ["a", "an", "thick", "thin", "slanted", "three", "seven", "t-shirt"]


@pytest.fixture
def vocabulary():
    return Vocabulary(WORDS)


def test_words_are_numbered_from_2_and_padded_with_0(vocabulary):
    tokens = vocabulary.encode("a thick slanted three", 6)
    assert tokens.dtype == np.int64 and tokens.tolist() == [2, 4, 6, 7, 0, 0]
    assert len(vocabulary) == len(WORDS) + 2
    assert "thick" in vocabulary and "fat" not in vocabulary


@pytest.mark.parametrize("word", WORDS)
def test_decode_undoes_encode(vocabulary, word):
    assert vocabulary.decode(vocabulary.encode(f"a {word}", 4)) == f"a {word}"


@pytest.mark.parametrize(
    "text", ["A thick, slanted three.", "  a THICK\tslanted\nthree ", '"a (thick) slanted three!"', "a thick - slanted three"]
)
def test_case_white_space_and_punctuation_do_not_count(vocabulary, text):
    np.testing.assert_array_equal(vocabulary.encode(text, 4), vocabulary.encode("a thick slanted three", 4))


def test_a_hyphen_within_a_word_stays(vocabulary):
    assert vocabulary.decode(vocabulary.encode("a T-shirt.", 2)) == "a t-shirt"


@pytest.mark.parametrize("text", ["", "   ", "...", "-"])
def test_no_words_are_the_null_caption_of_one_special_token(vocabulary, text):
    """Not all padding: attention needs a key."""
    assert vocabulary.encode(text, 3).tolist() == vocabulary.null(3).tolist() == [1, 0, 0]
    assert vocabulary.decode(vocabulary.null(3)) == ""


def test_json_keeps_it(vocabulary):
    again = Vocabulary(**json.loads(json.dumps(vocabulary.config)))
    assert again.words == vocabulary.words and repr(again) == repr(vocabulary)


def test_an_unknown_word_is_an_error_that_lists_the_known_ones(vocabulary):
    known = "Known are: a, an, thick, thin, slanted, three, seven, t-shirt"
    with pytest.raises(ValueError, match=f"Vocabulary: 'thik' is not a known word; did you mean 'thick'\\? {known}$"):
        vocabulary.encode("a thik three", 4)
    with pytest.raises(ValueError, match=f"Vocabulary: 'elephant' is not a known word. {known}$"):
        vocabulary.encode("an elephant", 4)


def test_too_many_words(vocabulary):
    with pytest.raises(ValueError, match="Vocabulary: text must have at most length = 3 words, got 4: 'a thick slanted three'"):
        vocabulary.encode("a thick slanted three", 3)
    for call in (lambda: vocabulary.null(0), lambda: vocabulary.encode("", 0)):
        with pytest.raises(ValueError, match="Vocabulary: length must be >= 1, got 0"):
            call()


@pytest.mark.parametrize("token", [-1, 10])
def test_ids_that_are_none(vocabulary, token):
    with pytest.raises(ValueError, match=rf"Vocabulary: tokens must be in 0\.\.9, got {token}"):
        vocabulary.decode(np.array([2, token]))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "words must hold at least one word, got none"),
        (["a", "b", "a"], "words must be distinct, got 'a' more than once"),
        (["a", "Three"], "words must be lower case without white space and outer punctuation, got 'Three'"),
        (["ankle boot"], "got 'ankle boot'"),
        (["seven."], r"got 'seven\.'"),
        ([""], "got ''"),
        ([7], "got 7"),
    ],
)
def test_words_that_could_never_be_found_again(words, message):
    with pytest.raises(ValueError, match=f"Vocabulary: .*{message}"):
        Vocabulary(words)


def test_numpys_integers_are_integers_here_too():
    vocabulary = Vocabulary(["a", "seven"])
    assert vocabulary.encode("a seven", np.int64(3)).tolist() == vocabulary.encode("a seven", 3).tolist()
    with pytest.raises(TypeError, match="Vocabulary: length must be an integer, got 3.0"):
        vocabulary.null(3.0)
