import pytest

from minidiff.classroom.notation import notation


def test_ddim_s_alpha_is_ddpm_s_alpha_bar(linear):
    ddim = notation("ddim", linear)
    now, before = ddim.at(500), ddim.at(499)
    assert now.alpha == linear.at(500).alpha_bar and ddim.at(0).alpha == 1.0 and ddim.T == 1000
    assert now.alpha_step == pytest.approx(now.alpha / before.alpha, rel=1e-12)
    assert notation("ddpm", linear) is linear
    with pytest.raises(ValueError, match="paper must be one of ddpm, ddim, got 'edm'"):
        notation("edm", linear)
