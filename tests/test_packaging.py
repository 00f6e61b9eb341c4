"""What stands beside the package: the same facts are the same everywhere, and what a page or a workflow names exists."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import minidiff

ROOT = Path(__file__).resolve().parents[1]


def text_of(name):
    return (ROOT / name).read_text(encoding="utf-8")


def pyproject():
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no tomllib")
    return tomllib.loads(text_of("pyproject.toml"))


def test_the_version_is_the_same_everywhere():
    version = minidiff.__version__
    assert pyproject()["project"]["version"] == version
    assert re.search(r"^version: (\S+)$", text_of("CITATION.cff"), re.MULTILINE)[1] == version
    assert re.findall(r"^## (\d\S+)", text_of("CHANGELOG.md"), re.MULTILINE)[0] == version


def test_groups_hold_what_the_extras_of_their_names_hold():
    found = pyproject()
    extras, groups = found["project"]["optional-dependencies"], found["dependency-groups"]
    assert groups["test"] == extras["test"] and groups["docs"] == extras["docs"]
    assert {entry["include-group"] for entry in groups["dev"] if isinstance(entry, dict)} == groups.keys() - {"dev"}


def test_the_classifiers_begin_with_the_least_python_that_is_taken():
    found = pyproject()["project"]
    versions = [line.rpartition(" ")[2] for line in found["classifiers"] if re.search(r"Python :: 3\.\d+$", line)]
    assert f">={versions[0]}" == found["requires-python"]


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", ".github/workflows/ci.yml", ".github/workflows/wheels.yml", "noxfile.py"])
def test_the_paths_that_it_names_exist(name):
    named = set(re.findall(r"(?<![\w/.-])(?:\.ci|tests|minidiff|csrc|docs|examples)/[\w./*-]*\w", text_of(name)))
    named |= {f"minidiff/classroom/{path}" for path in re.findall(r"`(tables/\w+\.py)`", text_of(name))}
    ignored = tuple(line.strip("/") for line in text_of(".gitignore").splitlines() if line.startswith("docs/"))
    generated = {path for path in named if path.startswith(ignored)}  # written by the build of the site
    missing = [path for path in named - generated if not list(ROOT.glob(path))]
    assert named and missing == []


def test_the_operation_of_the_recipe_is_right():
    import numpy as np

    from minidiff.engine.checks import check_floating
    from minidiff.engine.operation import operation, operations

    (program,) = re.findall(r"```python\n( +@operation.*?)```", text_of("CONTRIBUTING.md"), re.DOTALL)
    names = {"operation": operation, "check_floating": check_floating}
    before = dict(operations)
    exec(re.sub(r"^   ", "", program, flags=re.MULTILINE), names)
    try:
        x = minidiff.Tensor(np.linspace(-2, 2, 7), requires_grad=True)
        h = 1e-6
        names["softsign"](x).sum().backward()
        slope = (names["softsign"](x.data + h).data - names["softsign"](x.data - h).data) / (2 * h)
        np.testing.assert_allclose(x.grad[[0, 1, 2, 4, 5, 6]], slope[[0, 1, 2, 4, 5, 6]], rtol=1e-6)
    finally:
        operations.clear()
        operations.update(before)


def test_the_workflow_runs_ci_on_linux_and_the_pure_part_elsewhere():
    yaml = pytest.importorskip("yaml", reason="PyYAML comes with the docs extra")
    jobs = yaml.safe_load(text_of(".github/workflows/ci.yml"))["jobs"]
    assert {"run": ".ci/run"} in jobs["everything"]["steps"] and jobs["everything"]["runs-on"].startswith("ubuntu")
    assert {name.partition("-")[0] for name in jobs["pure"]["strategy"]["matrix"]["os"]} == {"macos", "windows"}
    assert jobs["pure"]["env"]["MINIDIFF_KERNELS"] == ""
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_the_source_distribution_has_examples_kernels_and_tests(tmp_path):
    here = tmp_path / "copy"
    ignored = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "*.so", "__pycache__", "_build", "runs")
    shutil.copytree(ROOT, here, ignore=ignored)
    environment = {**os.environ, "MINIDIFF_KERNELS": ""}
    command = [sys.executable, "setup.py", "-q", "sdist", "--dist-dir", str(tmp_path)]
    subprocess.run(command, cwd=here, env=environment, check=True, capture_output=True)
    with tarfile.open(tmp_path / f"minidiff-{minidiff.__version__}.tar.gz") as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {path.relative_to(ROOT).as_posix() for path in (ROOT / "examples").glob("*.py")}
    wanted |= {"CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "csrc/conv2d/fast.cu", "tests/conftest.py"}
    wanted |= {"minidiff/py.typed", "minidiff/weights/classifier.npz"}
    assert wanted <= held, wanted - held
    assert not [name for name in held if name.endswith((".so", ".pyc"))]
