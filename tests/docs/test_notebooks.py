"""The notebooks run from top to bottom, show pictures, and ask."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))


@pytest.fixture(scope="module")
def cells():
    spec = importlib.util.spec_from_file_location("percent_cells", ROOT / "docs" / "_ext" / "percent_cells.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["percent_cells"] = module
    spec.loader.exec_module(module)
    return module


def test_there_is_one_for_each_part():
    from minidiff.classroom.plans import PLANS

    assert {path.stem for path in NOTEBOOKS} == set(PLANS)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_and_shows_a_picture_at_least_every_third_cell(cells, path):
    outputs = [output for _, output in cells.run_cells(path) if output is not None]
    without = 0
    for output in outputs:
        without = 0 if output.pictures else without + 1
        assert without < 3, "three cells without a picture"
    assert len(outputs) >= 6
    said = "\n".join(output.text for output in outputs)
    assert not re.search(r"^Text\(|<matplotlib|object at 0x|np\.float", said, re.MULTILINE), "what a class must not see"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_has_two_questions_and_short_cells(cells, path):
    found = cells.read_cells(path)
    text = "\n".join(cell.text for cell in found if cell.kind == "markdown")
    assert text.startswith("# ") and "**Question 1.**" in text and "**Question 2.**" in text
    assert all(len(line) <= 90 for cell in found if cell.kind == "code" for line in cell.text.splitlines())
    assert all(len(cell.text.splitlines()) <= 20 for cell in found if cell.kind == "code")
    assert not any("def q_sample" in cell.text or "np.exp(-0.5" in cell.text for cell in found), "the package's functions, no copies"


def test_cells_are_read_and_run_as_in_jupyter(cells, tmp_path):
    path = tmp_path / "a.py"
    path.write_text("# %% [markdown]\n# # Title\n#\n# text\n\n# %%\nx = 2\nprint(x)\nx + 1\n\n# %%\nx;\n", encoding="utf-8")
    (head, none), (_, first), (_, second) = cells.run_cells(path)
    assert head.text == "# Title\n\ntext" and none is None
    assert first.text == "2\n3" and second.text == ""
    path.write_text("# %%\ny = 1\n\n# %%\nz = 1 / 0\n", encoding="utf-8")
    with pytest.raises(ZeroDivisionError) as error:
        cells.run_cells(path)
    assert error.traceback[-1].lineno == 4 and str(error.traceback[-1].path) == str(path), "line 5, counted from 0"


def test_a_picture_is_taken_from_a_value_or_from_pyplot(cells, tmp_path):
    path = tmp_path / "b.py"
    path.write_text(
        "# %%\nimport matplotlib.pyplot as plt\nplt.plot([1, 2]);\n# %%\nfrom PIL import Image\nImage.new('L', (4, 4))\n# %%\n3\n",
        encoding="utf-8",
    )
    outputs = [output for _, output in cells.run_cells(path)]
    assert [len(output.pictures) for output in outputs] == [1, 1, 0]
    assert all(output.pictures[0].startswith(b"\x89PNG") for output in outputs[:2])
