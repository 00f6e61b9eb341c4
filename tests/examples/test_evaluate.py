"""What evaluate.py accepts as samples, and what it says about other files."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "evaluate.py"
SAMPLES = np.full((3, 1, 2, 2), 0.5, np.float32)


@pytest.fixture(scope="module")
def read_samples():
    spec = importlib.util.spec_from_file_location("evaluate_example", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.read_samples


def test_samples_come_with_or_without_labels(read_samples, tmp_path):
    np.savez(tmp_path / "with.npz", samples=SAMPLES, labels=np.array([3, -1, 0]))
    np.savez(tmp_path / "without.npz", samples=SAMPLES)
    samples, labels = read_samples(tmp_path / "with.npz")
    np.testing.assert_array_equal(samples, SAMPLES)
    assert labels.tolist() == [3, -1, 0] and read_samples(tmp_path / "without.npz")[1] is None


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"x": SAMPLES}, "wanted an npz file with an array `samples`"),
        ({"samples": SAMPLES[0]}, r"samples must be \(N, C, H, W\) float32 in \[0, 1\], got float32 \(1, 2, 2\)"),
        ({"samples": SAMPLES.astype(float)}, "got float64"),
        ({"samples": np.full((3, 1, 2, 2), "a")}, r"float32 in \[0, 1\], got <U1 \(3, 1, 2, 2\)"),
        ({"samples": SAMPLES.astype(complex)}, "got complex128"),
        ({"samples": SAMPLES.astype(object)}, "samples.npy has a header that makes no sense: object are no plain numbers"),
        ({"samples": 3 * SAMPLES}, r"in \[1.5, 1.5\]"),
        ({"samples": np.nan * SAMPLES}, r"in \[nan, nan\]"),
        ({"samples": SAMPLES[:0]}, r"samples must be \(N, C, H, W\) with N >= 1, got \(0, 1, 2, 2\)"),
        ({"samples": SAMPLES, "labels": np.zeros(2, int)}, r"labels must be \(3,\) integers, one for each sample, got int64 \(2,\)"),
        ({"samples": SAMPLES, "labels": np.array(["a", "b", "c"])}, r"labels must be \(3,\) integers"),
    ],
)
def test_other_arrays_are_refused(read_samples, tmp_path, arrays, message):
    np.savez(tmp_path / "s.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        read_samples(tmp_path / "s.npz")


def test_other_files_are_refused(read_samples, tmp_path):
    np.save(tmp_path / "array.npy", SAMPLES)
    np.savez(tmp_path / "s.npz", samples=SAMPLES)
    (tmp_path / "empty").touch()
    (tmp_path / "cut.npz").write_bytes((tmp_path / "s.npz").read_bytes()[:100])
    for name in ("array.npy", "empty", "cut.npz"):
        with pytest.raises(ValueError, match=f"{name}: wanted an npz file with an array `samples`"):
            read_samples(tmp_path / name)
