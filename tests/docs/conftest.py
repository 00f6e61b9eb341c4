"""The site, built once for all tests of this folder; they skip where the docs extra is not installed."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEEDED = ("sphinx", "myst_parser", "furo", "ziamath")


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The folder of the pages. The sources are a copy, so that a build writes nothing into the checkout."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"the site wants {', '.join(missing)}: pip install -e '.[docs]'")
    place = tmp_path_factory.mktemp("site")
    ignored = shutil.ignore_patterns("__pycache__", "*.so", "_build", "build", "deck", "after", "guide", "api", "drawn", "*.egg-info")
    for folder in ("docs", "minidiff", "notebooks", "examples", "tests", "csrc"):
        shutil.copytree(ROOT / folder, place / folder, ignore=ignored)
    shutil.rmtree(place / "docs" / "notebooks", ignore_errors=True)
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "docs", "html"]
    built = subprocess.run(command, cwd=place, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[-3000:]
    return place / "html"
