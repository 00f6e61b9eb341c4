"""The wrong answer on the page gets just the grade that the page shows."""

import re
from pathlib import Path

from minidiff.classroom.exercises.command import grade_files
from minidiff.classroom.exercises.stubs import TODO, stub
from minidiff.classroom.exercises.tables.exercises import get_exercise

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "exercises.md").read_text(encoding="utf-8")


def test_the_grade_on_the_page_is_what_is_printed(tmp_path):
    body = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL).group(1)
    shown = re.search(r"```text\n(.*?)```", PAGE, re.DOTALL).group(1)
    text = stub(get_exercise("q_sample")).replace(f"    {TODO}\n", body)
    (tmp_path / "q_sample.py").write_text(text, encoding="utf-8")
    right, said = grade_files("q_sample", tmp_path, debug=True)
    assert not right
    assert said == shown + "(hints: python -m minidiff exercise q_sample --hint)"
