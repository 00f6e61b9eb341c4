"""Operations are pickled by name, so that a module which holds one can be sent to another process."""

import copy
import pickle

import numpy as np
import pytest

import minidiff as md
from minidiff import functional as F
from minidiff import nn


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_operation_is_pickled_by_name(protocol):
    assert pickle.loads(pickle.dumps(F.relu, protocol)) is F.relu
    assert copy.deepcopy(F.conv2d) is F.conv2d


def test_a_module_that_holds_an_operation_is_copied():
    model = copy.deepcopy(nn.Sequential(nn.Identity(), F.relu))
    np.testing.assert_array_equal(model(md.Tensor([-1.0, 2.0])).data, [0, 2])
