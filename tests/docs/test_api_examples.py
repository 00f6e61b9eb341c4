"""Every public name has an example, and each prints what it says."""

import re

import numpy as np
import pytest
from support import api_examples
from support.api_examples import PACKAGES, failures_of, public_names, sections_of

from minidiff.engine import operation as engine_operation

CASES = [(package, name) for package in PACKAGES for name in public_names(package)]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_has_an_example_that_uses_it_and_no_other_has(package):
    sections = sections_of(package)
    names = public_names(package)
    assert sorted(sections) == sorted(["", *names])
    wrong = [name for name in names if ">>> " not in sections[name] or not re.search(rf"\b{name}\b", sections[name])]
    assert wrong == [], f"{package}: no example uses {wrong}"


@pytest.mark.parametrize("package, name", CASES, ids=lambda part: part)
def test_it_prints_what_it_says(package, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some write files
    monkeypatch.delenv("MINIDIFF_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(engine_operation, "operations", dict(engine_operation.operations))  # one example adds an operation
    with np.errstate(divide="ignore"):
        assert failures_of(package, name) == ""


def test_a_wrong_example_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(api_examples, "FOLDER", tmp_path)
    (tmp_path / "nn.md").write_text("# Examples\n\n```pycon\n>>> x = 1\n```\n\n## Linear\n\n```pycon\n>>> x + 1\n3\n```\n")
    assert "Expected:\n    3\nGot:\n    2" in failures_of("minidiff.nn", "Linear")
