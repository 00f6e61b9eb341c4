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
