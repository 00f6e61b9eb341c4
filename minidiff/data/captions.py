"""Captions for pictures that have none.

The noun comes from the label, the adjectives from what is measured in the picture.

    captions = Captions.of(dataset)             # measures all pictures once
    facts = captions.facts(dataset.images, dataset.labels)      # (N, 1 + K), labels of a Loader
    tokens = captions.tokens(facts[:64], rng)   # (64, max_words): "a thick seven", "seven", ...
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minidiff.engine.random import RNG

from .dataset import Dataset
from .measures import measure
from .mnist import FASHION
from .own_pictures import NAME as OWN_PICTURES
from .scaling import check_labels
from .vocabulary import N_SPECIAL, PADDING, Vocabulary

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
CLOTHES = tuple(name.lower() for name in FASHION.classes)
ADJECTIVES = {  # for each measure the word for its low and for its high values
    "thickness": ("thin", "thick"),
    "slant": ("upright", "slanted"),
    "width": ("narrow", "wide"),
    "brightness": ("dark", "bright"),
}
_SUBJECTS = {  # by data set: the nouns of the classes, and the measures that captions speak of
    "mnist": (NUMBERS, ("thickness", "slant")),
    "digits": (NUMBERS, ("thickness", "slant")),
    "fashion-mnist": (CLOTHES, ("width", "brightness")),
    "fashion": (CLOTHES, ("width", "brightness")),
}
_AT_MOST = 2  # adjectives in a caption
_LOW, _NEITHER, _HIGH = -1, 0, 1


class Captions:
    """Captions for one data set, and the limits from which a picture is called thick or thin.

    nouns: one word per class.
    limits: {measure: (n_classes, 2)}. The low adjective holds up to the first number, the high one
    from the second.
    upright: the slant that an upright picture of each class measures. The distance from it counts,
    to either side. `Captions.of` finds them, and `config` keeps them in a checkpoint.
    """

    def __init__(
        self,
        nouns: Sequence[str],
        limits: Mapping[str, Any],
        upright: Sequence[float] | None = None,
    ):
        self.nouns = tuple(nouns)
        self.limits = {name: np.asarray(values, np.float32) for name, values in limits.items()}
        self.upright = np.asarray(
            np.zeros(len(self.nouns)) if upright is None else upright, np.float32
        )
        for name, values in self.limits.items():
            if name not in ADJECTIVES:
                raise ValueError(
                    f"Captions: limits must be of {', '.join(ADJECTIVES)}, got {name!r}"
                )
            if values.shape != (len(self.nouns), 2):
                raise ValueError(
                    f"Captions: limits[{name!r}] must be {(len(self.nouns), 2)}, a pair for each "
                    f"noun, got {values.shape}"
                )
        if self.upright.shape != (len(self.nouns),):
            raise ValueError(
                f"Captions: upright must be {(len(self.nouns),)}, a slant for each noun, got "
                f"{self.upright.shape}"
            )
        adjectives = [word for name in self.limits for word in ADJECTIVES[name]]
        self.vocabulary = Vocabulary(["a", "an", *adjectives, *self.nouns])
        self.max_words = 1 + min(_AT_MOST, len(self.limits)) + 1
        self._nouns = np.array([self.vocabulary.id(noun) for noun in self.nouns])
        low_high = [[self.vocabulary.id(word) for word in ADJECTIVES[name]] for name in self.limits]
        self._adjectives = np.array(
            [[low, PADDING, high] for low, high in low_high], np.int64
        ).reshape(-1, 3)  # column 1 + fact
        articles = [
            self.vocabulary.id("an" if word[0] in "aeiou" and word != "one" else "a")
            for word in self.vocabulary.words
        ]
        # by the id of the word behind the article
        self._article = np.array([PADDING] * N_SPECIAL + articles)

    @classmethod
    def of(
        cls, dataset: Dataset, properties: Sequence[str] | None = None, share: float = 0.25
    ) -> Captions:
        """Measure a whole data set.

        An adjective holds for the `share` of each class that lies lowest or highest. Classes are
        measured apart, because an average eight has more ink than an average one. Every word is
        then as likely with every noun, and tells something that the noun doesn't.
        properties: keys of ADJECTIVES; by default thickness and slant for digits, width and
        brightness for clothes, none for own pictures, whose nouns are the names of the classes.

        Raises: ValueError for a data set without nouns or with an empty class.
        """
        subject = dataset.name.lower().removesuffix("-format files")  # same labels, other pictures
        subjects = {**_SUBJECTS, OWN_PICTURES: (nouns_of(dataset.classes), ())}
        if subject not in subjects:
            raise ValueError(
                f"Captions: there are nouns for the data sets {', '.join(subjects)}, got "
                f"{dataset.name!r}"
            )
        if not 0 < share <= 0.5:
            raise ValueError(f"Captions: share must be in (0, 0.5], got {share}")
        nouns, usual = subjects[subject]
        missing = [nouns[i] for i in range(len(nouns)) if not (dataset.labels == i).any()]
        if missing:
            raise ValueError(
                f"Captions: the data set must have images of each class, got none of: "
                f"{', '.join(missing)}"
            )
        names = usual if properties is None else tuple(properties)
        for name in names:
            if name not in ADJECTIVES:
                raise ValueError(
                    f"Captions: properties must be of {', '.join(ADJECTIVES)}, got {name!r}"
                )
        upright = (
            _upright(measure("slant", dataset.images), dataset.labels, nouns)
            if "slant" in names
            else None
        )
        limits = {}
        for name in names:
            values = _values(name, dataset.images, dataset.labels, upright)
            limits[name] = np.stack(
                [
                    np.quantile(values[dataset.labels == i], [share, 1 - share])
                    for i in range(len(nouns))
                ]
            )
        return cls(nouns, limits, None if upright is None else upright.tolist())

    @property
    def config(self) -> dict[str, Any]:
        """JSON-able: Captions(**config) makes it again."""
        limits = {name: values.tolist() for name, values in self.limits.items()}
        return {"nouns": list(self.nouns), "limits": limits, "upright": self.upright.tolist()}

    def facts(self, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """The label of each picture, and for each measure which adjective holds.

        -1 stands for the low one, 1 for the high one, 0 for neither.
        images: (N, 1, H, W) uint8, labels: (N,) -> int64 (N, 1 + K), K = len(limits)
        """
        if labels.shape != images.shape[:1]:
            raise ValueError(
                f"Captions: labels must have one entry per image, got {labels.shape} for N = "
                f"{len(images)}"
            )
        check_labels("Captions: labels", labels, len(self.nouns))
        columns = [labels.astype(np.int64)]
        for name, limits in self.limits.items():
            values = _values(name, images, labels, self.upright)
            low, high = limits[labels].T
            columns.append(np.where(values <= low, _LOW, np.where(values >= high, _HIGH, _NEITHER)))
        return np.stack(columns, axis=1)

    def tokens(self, facts: np.ndarray, rng: RNG) -> np.ndarray:
        """Draw a caption for each row of facts at random.

        It has an article or not, then 0, 1 or 2 of the adjectives that hold, and the noun. Facts
        come from the host and all numbers are drawn there, whatever the RNG's device.
        -> int64 (B, max_words), padded with 0
        """
        self._check_facts(facts)
        B, K = len(facts), len(self.limits)
        n_adjectives = rng.integers(0, _AT_MOST + 1, (B,))
        has_article = rng.integers(0, 2, (B,)) == 1
        order = rng.integers(0, 2**62, (B, K))

        true = self._adjectives[np.arange(K), 1 + facts[:, 1:]]  # 0 where neither holds
        order[true == PADDING] = 2**62  # these come last
        chosen = np.take_along_axis(true, order.argsort(axis=1), axis=1)[:, :_AT_MOST]
        chosen = np.where(np.arange(chosen.shape[1]) < n_adjectives[:, None], chosen, PADDING)
        words = np.concatenate([chosen, self._nouns[facts[:, :1]]], axis=1)
        words = _to_the_left(words)
        article = np.where(has_article, self._article[words[:, 0]], PADDING)
        return _to_the_left(np.concatenate([article[:, None], words], axis=1))

    def encode(self, prompts: Sequence[str]) -> np.ndarray:
        """Prompts as ids, int64 (B, max_words). "" is the null caption.

        Raises: ValueError for an unknown word or too many words.
        """
        return np.stack([self.vocabulary.encode(prompt, self.max_words) for prompt in prompts])

    @property
    def null(self) -> np.ndarray:
        """The ids that stand for "no caption", int64 (max_words,)."""
        return self.vocabulary.null(self.max_words)

    def of_class(self, facts: np.ndarray, labels: np.ndarray, rng: RNG) -> list[str]:
        """For each label the caption of a picture of that class, drawn from `facts` at random.

        The plain caption would not do. A thick seven is called that more often than just "a seven",
        so "a seven" asks for an average one.

        Raises: ValueError for a class that `facts` has no picture of.
        """
        self._check_facts(facts)
        members = [np.flatnonzero(facts[:, 0] == i) for i in range(len(self.nouns))]
        missing = [self.nouns[label] for label in np.unique(labels) if not len(members[label])]
        if missing:
            raise ValueError(
                f"Captions: facts must have a picture of each class asked for, got none of: "
                f"{', '.join(missing)}"
            )
        rows = [members[label][int(rng.integers(0, len(members[label])))] for label in labels]
        return self.describe(facts[rows], rng)

    def plain(self, labels: np.ndarray) -> list[str]:
        """The plainest caption of each label: "a seven", "an eight".    labels: (B,) ints"""
        check_labels("Captions: labels", labels, len(self.nouns))
        return [self.vocabulary.decode([self._article[noun], noun]) for noun in self._nouns[labels]]

    def describe(self, facts: np.ndarray, rng: RNG) -> list[str]:
        """`tokens` in words, one caption for each row of facts."""
        return [self.vocabulary.decode(row) for row in self.tokens(facts, rng)]

    def _check_facts(self, facts: np.ndarray) -> None:
        wanted = f"(B, {1 + len(self.limits)}): label, {', '.join(self.limits)}"
        if (
            not isinstance(facts, np.ndarray)
            or facts.ndim != 2
            or facts.shape[1] != 1 + len(self.limits)
        ):
            raise ValueError(
                f"Captions: facts must be a NumPy array {wanted}, got "
                f"{getattr(facts, 'shape', type(facts).__name__)}"
            )
        check_labels("Captions: the labels in facts", facts[:, 0], len(self.nouns))
        if self.limits and np.abs(facts[:, 1:]).max() > 1:
            raise ValueError(
                f"Captions: facts must be -1, 0 or 1 after the label, got "
                f"{facts[:, 1:].min()}..{facts[:, 1:].max()}"
            )


def nouns_of(classes: Sequence[str]) -> tuple[str, ...]:
    """The names of classes as words: "Red car" -> "red-car".    A folder may be called anything."""
    return tuple("-".join(re.findall(r"[^\W_]+", name.lower())) or "picture" for name in classes)


def _values(
    name: str, images: np.ndarray, labels: np.ndarray, upright: np.ndarray | None
) -> np.ndarray:
    values = measure(name, images)
    return np.abs(values - upright[labels]) if name == "slant" and upright is not None else values


def _upright(slants: np.ndarray, labels: np.ndarray, nouns: Sequence[str]) -> np.ndarray:
    """The slant that an upright picture of each class measures.    -> (n_classes,)

    A seven's bar reaches to the left, so it measures less than a one written by the same hand.
    Zeros and ones have no such side. Their mean is how the writers lean, and the distance of a
    class from that mean is its shape. Clothes don't lean: their mean is their shape.
    """
    means = np.array([slants[labels == i].mean() for i in range(len(nouns))], np.float32)
    symmetric = [i for i, noun in enumerate(nouns) if noun in ("zero", "one")]
    return means - means[symmetric].mean() if symmetric else means


def _to_the_left(tokens: np.ndarray) -> np.ndarray:
    """The words of each row in their order, the padding behind them."""
    return np.take_along_axis(tokens, (tokens == PADDING).argsort(axis=1, kind="stable"), axis=1)
