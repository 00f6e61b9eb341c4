"""The warning about a BLAS that is forced to be slow, and what `python -m minidiff` says about it."""

import importlib
import os
import subprocess
import sys
import warnings

import pytest

from minidiff.kernels import blas


@pytest.mark.parametrize("own, forced, warns", [
    (3, "Haswell", "AVX2"), (3, "ZEN", "AVX2"), (3, "SkylakeX", ""), (3, "SapphireRapids", ""), (3, "Sandybridge", "AVX"),
    (2, "Haswell", ""), (2, "SkylakeX", ""), (2, "Prescott", "no AVX"), (0, "Core2", ""), (None, "Haswell", ""), (3, "", ""),
])  # fmt: skip
def test_it_warns_only_if_the_forced_type_is_slower_than_the_processor_s_own(monkeypatch, own, forced, warns):
    monkeypatch.setattr(blas, "vectors_of_the_processor", lambda: own)
    sentence = blas.slower_than_needed({"OPENBLAS_CORETYPE": forced})
    if not warns:
        assert sentence == ""
    else:
        assert f"OPENBLAS_CORETYPE={forced} makes NumPy multiply matrices with {warns}, but this processor has {blas.VECTORS[own]}" in sentence
        assert "unset OPENBLAS_CORETYPE before" in sentence


def test_it_names_all_that_is_to_be_unset(monkeypatch):
    monkeypatch.setattr(blas, "vectors_of_the_processor", lambda: 3)
    both = {"OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_L2_SIZE": "1024"}
    assert "unset OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE before" in blas.slower_than_needed(both)


def test_the_warning_is_shown_once(monkeypatch):
    monkeypatch.setattr(blas, "slower_than_needed", lambda: "slow")
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("default")
        for _ in range(3):
            blas.warn_if_slower_than_needed()
    assert [str(warning.message) for warning in seen] == ["slow"]
    monkeypatch.setattr(blas, "slower_than_needed", lambda: "")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        blas.warn_if_slower_than_needed()


def test_a_training_run_warns_before_its_first_step(monkeypatch, tmp_path):
    class Warned(Exception):
        pass

    def warn():
        raise Warned

    run = importlib.import_module("minidiff.training.run")
    monkeypatch.setattr(run, "warn_if_slower_than_needed", warn)
    with pytest.raises(Warned):
        run.run(None, tmp_path, None, run.RunSettings(steps=1))


def test_it_says_which_blas_runs_and_what_the_processor_has():
    line = blas.blas_line()
    assert line.startswith("matrix products on the CPU: ")
    own = blas.vectors_of_the_processor()
    assert own is None or line.endswith(f"the processor has {blas.VECTORS[own]}")


def test_a_forced_type_is_what_openblas_then_runs():
    own = blas.vectors_of_the_processor()
    if own is None or own < 2 or "openblas" not in blas.blas_line():
        pytest.skip("OpenBLAS on a processor with AVX2 is wanted")
    code = "from minidiff.kernels import blas; print(blas.blas_line())"
    env = {**os.environ, "OPENBLAS_CORETYPE": "Sandybridge"}
    out = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
    assert "kernels for Sandybridge" in out
