"""Words and their numbers: what a caption is to a network."""

from __future__ import annotations

import difflib
import string
from collections.abc import Iterable, Sequence

import numpy as np

from .scaling import as_int

PADDING, NOTHING = 0, 1  # the ids that are no words
N_SPECIAL = 2


class Vocabulary:
    """Words <-> ids.    words: distinct, lower case, without white space and without punctuation at the ends; their ids are 2, 3, ...

    Id 0 is padding, which nothing attends to. Id 1 stands for "no caption": the null caption of classifier-free guidance is this one token,
    so that attention always has a key.    Raises ValueError.
    """

    def __init__(self, words: Iterable[str]):
        self.words = tuple(words)
        if not self.words:
            raise ValueError("Vocabulary: words must hold at least one word, got none")
        for word in self.words:
            if not isinstance(word, str) or _split(word) != [word]:
                raise ValueError(
                    f"Vocabulary: words must be lower case without white space and outer punctuation, got {word!r}"
                )
        if len(set(self.words)) < len(self.words):
            twice = next(word for word in self.words if self.words.count(word) > 1)
            raise ValueError(f"Vocabulary: words must be distinct, got {twice!r} more than once")
        self._id = {word: i for i, word in enumerate(self.words, start=N_SPECIAL)}

    def __len__(self) -> int:
        """How many ids there are, the two special ones included: the `n_words` of a TextEncoder."""
        return N_SPECIAL + len(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self._id

    def __repr__(self) -> str:
        return f"Vocabulary({list(self.words)})"

    @property
    def config(self) -> dict[str, list[str]]:
        """JSON-able: Vocabulary(**config) makes it again."""
        return {"words": list(self.words)}

    def id(self, word: str) -> int:
        """The id of a word.    Raises ValueError that lists the known words."""
        if word not in self._id:
            close = difflib.get_close_matches(word, self.words, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else "."
            raise ValueError(
                f"Vocabulary: {word!r} is not a known word{hint} Known are: {', '.join(self.words)}"
            )
        return self._id[word]

    def encode(self, text: str, length: int) -> np.ndarray:
        """The ids of the words in `text`, then padding.    -> int64 (length,). No words at all: the null caption.

        Case and punctuation around words don't count. Raises ValueError for an unknown word or more than `length` of them.
        """
        length = as_int("Vocabulary: length", length)
        words = _split(text)
        if not words:
            return self.null(length)
        ids = [self.id(word) for word in words]
        if len(ids) > length:
            raise ValueError(
                f"Vocabulary: text must have at most length = {length} words, got {len(ids)}: {text!r}"
            )
        tokens = np.full(length, PADDING, np.int64)
        tokens[: len(ids)] = ids
        return tokens

    def null(self, length: int) -> np.ndarray:
        """The null caption, "generate anything".    -> int64 (length,)"""
        length = as_int("Vocabulary: length", length)
        if length < 1:
            raise ValueError(f"Vocabulary: length must be >= 1, got {length}")
        tokens = np.full(length, PADDING, np.int64)
        tokens[0] = NOTHING
        return tokens

    def decode(self, tokens: Sequence[int] | np.ndarray) -> str:
        """The text of the ids of one caption; padding and "no caption" are left out.    Raises ValueError for an id that is none."""
        ids = [int(i) for i in tokens]
        for i in ids:
            if not 0 <= i < len(self):
                raise ValueError(f"Vocabulary: tokens must be in 0..{len(self) - 1}, got {i}")
        return " ".join(self.words[i - N_SPECIAL] for i in ids if i >= N_SPECIAL)


def _split(text: str) -> list[str]:
    """In lower case, without punctuation around the words: the hyphen within "t-shirt" stays."""
    words = (word.strip(string.punctuation) for word in text.lower().split())
    return [word for word in words if word]
