import math

import numpy as np
import pytest

from minidiff.classroom.derivations.merged_steps import merge_gaussians, q_two_steps
from minidiff.diffusion.forward import q_step


@pytest.mark.checks("forward.merge_gaussians")
def test_merging_two_gaussians_adds_their_variances(linear):
    """Against the convolution of two densities on a grid, and against the slide's closed form."""
    for t in (2, 300, 1000):
        alpha_t, alpha_prev = linear.at(t).alpha, linear.at(t - 1).alpha
        merged = merge_gaussians(alpha_t, alpha_prev)
        assert merged == pytest.approx(math.sqrt(1 - alpha_t * alpha_prev), rel=1e-12)
    older, newer = math.sqrt(0.6 * 0.5), math.sqrt(0.4)
    z = np.linspace(-12, 12, 4801)
    densities = [np.exp(-0.5 * (z / s) ** 2) / s for s in (older, newer)]
    both = np.convolve(*densities, mode="same")
    assert math.sqrt((both * z**2).sum() / both.sum()) == pytest.approx(merge_gaussians(0.6, 0.5), rel=1e-12)


@pytest.mark.checks("forward.q_two_steps", "forward.merge_gaussians")
@pytest.mark.parametrize("t", [2, 500, 1000, np.array([2, 37, 1000])])
def test_two_steps_with_their_own_noises_are_one_with_the_merged_noise(linear, images, rng, t):
    """eps_merged is the weighted sum of the two noises, divided by its own standard deviation."""
    x, _, older = images
    newer = rng.normal(x.shape, dtype=np.float64)
    two = q_step(q_step(x, t - 1, older, linear), t, newer, linear)
    alpha, alpha_prev = (np.asarray(linear.at(s, like=x).alpha) for s in (t, t - 1))
    merged = np.sqrt(alpha * (1 - alpha_prev)) * older + np.sqrt(1 - alpha) * newer
    eps_merged = merged / np.sqrt(1 - alpha * alpha_prev)
    np.testing.assert_allclose(q_two_steps(x, t, eps_merged, linear), two, rtol=1e-12, atol=1e-12)
    with pytest.raises(ValueError, match=r"t must be in 1\.\.T = 1\.\.1000, got 0"):
        q_two_steps(x, 1, eps_merged, linear)
