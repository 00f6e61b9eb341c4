"""Captions of the samples at the end: a class that the held-out images lack, and one that nobody has."""

import numpy as np
import pytest
from support.programs import module_of

from minidiff.data import Captions, make_digits


def test_a_class_that_the_held_out_images_lack_is_taken_from_all():
    example, dataset = module_of("train_mnist_ldm.py"), make_digits(200, 0)
    captions = Captions.of(dataset)
    _, held_out = dataset.split(40)
    few = held_out._select(np.flatnonzero(held_out.labels != 3), "without a three")
    assert len(example.captions_to_draw(captions, dataset, held_out)) == 40
    assert len(example.captions_to_draw(captions, dataset, few)) == 200
    none = dataset._select(np.flatnonzero(dataset.labels != 3), "without a three")
    with pytest.raises(ValueError, match="facts must have a picture of each class asked for, got none of: three"):
        example.captions_to_draw(captions, none, few)
