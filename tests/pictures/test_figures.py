"""A notebook gives its programs a backend that this Python may not have."""

import os
import subprocess
import sys

import pytest

CODE = "import os{}; import minidiff.pictures, matplotlib; print(os.environ['MPLBACKEND'], matplotlib.get_backend())"


@pytest.mark.parametrize("first", ["", ", minidiff.pictures.curves", ", minidiff.pictures.plane", ", minidiff.pictures.images"])
def test_a_backend_that_is_not_there_does_not_matter(first):
    environment = {**os.environ, "MPLBACKEND": "module://a_notebook_of_nobody.backend_inline"}
    result = subprocess.run([sys.executable, "-c", CODE.format(first)], capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(environment["MPLBACKEND"])


def test_a_backend_that_is_there_is_kept():
    result = subprocess.run([sys.executable, "-c", CODE.format("")], capture_output=True, text=True, env={**os.environ, "MPLBACKEND": "svg"})
    assert result.stdout.split() == ["svg", "svg"], result.stderr
