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


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_leaf_is_pickled_with_its_gradient(protocol):
    x = nn.Parameter(np.array([1.0, 2.0], "f"))
    (x * x).sum().backward()
    for twin in (pickle.loads(pickle.dumps(x, protocol)), copy.deepcopy(x)):
        assert type(twin) is nn.Parameter and twin.requires_grad and twin.data is not x.data
        np.testing.assert_array_equal(twin.data, x.data)
        np.testing.assert_array_equal(twin.grad, [2, 4])


@pytest.mark.parametrize("made_by", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_result_is_refused(made_by):
    """Its graph can't be copied; a guard without its arrays would be left behind."""
    y = md.Tensor([1.0], requires_grad=True) * 2
    with pytest.raises(TypeError, match=r"a result of multiply can't be copied or pickled.*: only leaves can. Use x.detach\(\), or x.data"):
        made_by(y)
    assert made_by(y.detach())
