import numpy as np
import pytest

from minidiff.diffusion.step import Step, describe


def test_terms_are_attributes_items_and_names_in_order():
    step = Step("ddpm", 5, x_t=np.ones((2, 3)), sigma_t=0.25)
    assert step.names == ("x_t", "sigma_t") and step.t == 5
    assert step.sigma_t == step["sigma_t"] == dict(step)["sigma_t"] == 0.25
    assert "sigma_t" in dir(step)
    assert repr(step).splitlines() == ["Step ddpm, t = 5", "  x_t          float64 (2, 3), min 1, mean 1, max 1", "  sigma_t      0.25"]


def test_a_missing_term_is_an_error_that_lists_the_terms():
    step = Step("ddim", 5, x_t=1.0)
    with pytest.raises(AttributeError, match="this ddim step has no term 'mu'; it has x_t"):
        _ = step.mu
    with pytest.raises(KeyError, match="this ddim step has no term 'mu'; it has x_t"):
        step["mu"]


def test_describe_numbers_arrays_and_none():
    assert describe(0.125) == "0.125" and describe(None) == "None"
    assert describe(np.float32([0.5])) == "0.5    float32 (1,)"
