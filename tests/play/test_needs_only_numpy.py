"""A browser has NumPy and the standard library: everything that the page uses is imported with no other package."""

import subprocess
import sys

import pytest

WITHOUT = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tqdm", "threadpoolctl", "safetensors", "matplotlib", "PIL", "pytest"):
            raise ModuleNotFoundError(f"{name} is not in a browser", name=name)

sys.meta_path.insert(0, Refuse())
"""


@pytest.mark.parametrize(
    "name",
    ["minidiff", "minidiff.diffusion", "minidiff.data", "minidiff.models", "minidiff.optim", "minidiff.training",
     "minidiff.sampling", "minidiff.classroom.explain", "minidiff.classroom.mutants", "minidiff.classroom.page.wire",
     "minidiff.classroom.page.lab", "minidiff.classroom.page.exercises"],
)  # fmt: skip
def test_it_is_imported_with_numpy_alone(name):
    done = subprocess.run([sys.executable, "-c", f"{WITHOUT}\nimport {name}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_refusal_works():
    done = subprocess.run([sys.executable, "-c", f"{WITHOUT}\nimport minidiff.pictures"], capture_output=True, text=True)
    assert "is not in a browser" in done.stderr
