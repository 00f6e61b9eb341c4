import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from minidiff.diffusion.step import Step, describe


def test_terms_are_attributes_items_and_names_in_order():
    step = Step("ddpm", 5, x_t=np.ones((4, 5)), sigma_t=0.25)
    assert step.names == ("x_t", "sigma_t") and step.t == 5
    assert step.sigma_t == step["sigma_t"] == dict(step)["sigma_t"] == 0.25
    assert "sigma_t" in dir(step)
    assert repr(step).splitlines() == ["Step ddpm, t = 5", "  x_t          float64 (4, 5), min 1, mean 1, max 1", "  sigma_t      0.25"]


def test_a_missing_term_is_an_error_that_lists_the_terms():
    step = Step("ddim", 5, x_t=1.0)
    with pytest.raises(AttributeError, match="this ddim step has no term 'mu'; it has x_t"):
        _ = step.mu
    with pytest.raises(KeyError, match="this ddim step has no term 'mu'; it has x_t"):
        step["mu"]


def test_describe_numbers_arrays_and_none():
    assert describe(0.125) == "0.125" and describe(None) == "None"
    assert describe(np.float32([0.5])) == "0.5    float32 (1,)"


def test_small_arrays_are_shown_whole():
    """Two numbers, not their minimum, mean and maximum."""
    assert describe(np.array([0.25, -1.5])) == "[ 0.25, -1.5 ]  (2,)"
    assert repr(Step("ddpm", 5, x_t=np.array([[0.5, 2.0]]))).endswith("x_t          [[0.5, 2. ]]  (1, 2)")


def test_a_notebook_shows_images_as_images_and_the_rest_as_text():
    step = Step("ddpm", 5, x_t=np.linspace(-9, 9, 2 * 64).reshape(2, 1, 8, 8), sigma_t=0.25, mu=np.ones((2, 2)))
    html = step._repr_html_()
    assert html.startswith("<b>Step ddpm, t = 5</b><table>") and html.count("<img ") == 2
    assert "<code>sigma_t</code></td><td><code>0.25</code>" in html
    data = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    first, second = (np.asarray(Image.open(io.BytesIO(base64.b64decode(text)))) for text in data)
    assert first.shape == (8, 8) and first[0, 0] == 0 and second[-1, -1] == 255


def test_a_name_in_html_is_escaped():
    assert "<b>Step &lt;b&gt;, t = 1</b>" in Step("<b>", 1)._repr_html_()
