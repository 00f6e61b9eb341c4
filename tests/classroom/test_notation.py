import pytest

from minidiff.classroom.notation import notation


def test_ddim_s_alpha_is_ddpm_s_alpha_bar(linear):
    ddim = notation("ddim", linear)
    assert ddim.alpha(500) == linear.alpha_bar(500) and ddim.alpha(0) == 1.0 and ddim.T == 1000
    assert ddim.alpha_step(500) == pytest.approx(ddim.alpha(500) / ddim.alpha(499), rel=1e-12)
    assert notation("ddpm", linear) is linear
    with pytest.raises(ValueError, match="paper must be one of ddpm, ddim, got 'edm'"):
        notation("edm", linear)
