"""Every file has a name that Windows and macOS take, too, and the patterns of names find them by either slash."""

import re
import subprocess
from collections import Counter
from pathlib import Path, PureWindowsPath

import pytest

from minidiff.training.checkpoint import ARRAYS

ROOT = Path(__file__).resolve().parents[1]
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}


def unfit_for_windows(path):
    """The reason, or ""."""
    for part in PureWindowsPath(path).parts:
        if re.search(r'[<>:"|?*\x00-\x1f]', part) or part.endswith((" ", ".")):
            return f"{part!r} has a character that Windows refuses"
        if part.partition(".")[0].lower() in RESERVED:
            return f"{part!r} is a device"
    return f"{len(path)} characters" if len(path) > 180 else ""


@pytest.fixture(scope="module")
def names():
    try:
        result = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a checkout of git")
    return result.stdout.splitlines()


def test_names_fit(names):
    assert len(names) > 100
    assert {name: unfit_for_windows(name) for name in names if unfit_for_windows(name)} == {}


def test_no_two_differ_in_case_alone(names):
    assert [name for name, count in Counter(name.lower() for name in names).items() if count > 1] == []


@pytest.mark.parametrize("name", ["a:b.py", "docs/what?.md", "tests/aux.py", "a./b", "x" * 200])
def test_what_windows_refuses_is_found(name):
    assert unfit_for_windows(name)


def test_a_checkpoint_s_arrays_have_such_a_name_and_no_folder():
    assert ARRAYS.fullmatch("arrays-00000040-f6c421.safetensors") and unfit_for_windows("arrays-00000040-f6c421.safetensors") == ""
    for outside in ("..\\arrays-1.safetensors", "../arrays-1.safetensors", "C:arrays-1.safetensors", "arrays-1\\2.safetensors"):
        assert not ARRAYS.fullmatch(outside)
