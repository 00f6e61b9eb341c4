import sys

import numpy as np

from minidiff.classroom import status


def test_versions_are_listed_and_what_is_missing_says_why(monkeypatch):
    real = status._version
    monkeypatch.setattr(status, "_version", lambda name: None if name.startswith("cupy") or name == "tqdm" else real(name))
    text = status.status()
    assert f"numpy {np.__version__}" in text
    assert "cupy not installed; it is for arrays on a GPU: pip install 'minidiff[cuda13]'" in text
    assert "tqdm MISSING: pip install minidiff" in text
    assert "python -m minidiff explain" in text


def test_a_package_without_kernels_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "minidiff.kernels", None)
    import minidiff

    monkeypatch.delattr(minidiff, "kernels", raising=False)
    (line,) = status.kernel_lines()
    assert line.startswith("kernels: not available (") and line.endswith("everything runs on NumPy")


def test_it_says_which_kernel_runs_if_none_is_chosen():
    cpu, gpu = status.choice_lines()
    assert cpu.startswith("what runs on the CPU (else the definition): ") and gpu.startswith("what runs on a GPU (else the definition): ")
    assert "winograd or im2col" in cpu and "conv_transpose2d im2col" in cpu and "linear" not in cpu
    assert "conv2d fast or im2col" in gpu and "naive" not in gpu
