"""docs/debugging.md: its sessions, run as they stand, must say what the page shows.

After a change of the code, `python tests/classroom/test_debugging_page.py` writes the page anew: the commands stay, the
answers are those of now. Read the difference.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "debugging.md"
PROMPT = "(minidiff) "
BLOCK = re.compile(r"^```pdb\n(.*?)^```", re.MULTILINE | re.DOTALL)


def sections():
    """{title: text} of the sections with a session."""
    parts = re.split(r"^## (.*)\n", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {title: text for title, text in zip(parts[1::2], parts[2::2], strict=True) if BLOCK.search(text)}


def commands_of(text):
    return [line.removeprefix(PROMPT) for line in text.splitlines() if line.startswith(PROMPT)]


def start(text, folder):
    """The command line of a section: its example, or its program, written into a folder."""
    example = re.search(r"^    python (examples/\S+)(.*)$", text, re.MULTILINE)
    if example:
        return [str(ROOT / example[1]), *example[2].split()]
    (program,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    name = re.match(r"# (\w+\.py)\n", program)[1]
    (folder / name).write_text(program, encoding="utf-8")
    return [name]


def run(text, folder):
    """What the debugger says before the first command, and after each."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    said = subprocess.run(
        [sys.executable, *start(text, folder)], cwd=folder, env=environment, capture_output=True, text=True, timeout=120,
        input="\n".join([*commands_of(text), ""]),
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    return [answer.rstrip("\n").replace(f"{ROOT}/", "") for answer in said.stdout.split(PROMPT)]


def with_answers(text, answers):
    """The section with the answers of now: the first before its first command."""
    left = iter(answers)
    begin = next(left)

    def block(match):
        nonlocal begin
        lines, begin = begin.splitlines(), ""
        for command in commands_of(match[1]):
            lines += [PROMPT + command, *next(left).splitlines()]
        return "```pdb\n" + "\n".join(lines) + "\n```"

    return BLOCK.sub(block, text)


@pytest.mark.parametrize("title", list(sections()))
def test_the_session_of_the_page(title, tmp_path):
    text = sections()[title]
    assert with_answers(text, run(text, tmp_path)) == text, "python tests/classroom/test_debugging_page.py writes it anew"


def test_the_page_steps_through_the_three_that_it_promises():
    shown = "".join(sections().values())
    for place in ("diffusion/forward.py", "diffusion/reverse.py", "functional/conv2d.py"):
        assert re.search(rf"> minidiff/{place}:\d+ ", shown)
    assert "conv2d_backward()" in shown


def test_a_changed_answer_would_be_seen(tmp_path):
    text = sections()["From x_0 to x_t"].replace("> minidiff/diffusion/forward.py:", "> minidiff/diffusion/forward.py:9")
    assert with_answers(text, run(text, tmp_path)) != text


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    for old in sections().values():
        with tempfile.TemporaryDirectory() as place:
            page = page.replace(old, with_answers(old, run(old, Path(place))))
    PAGE.write_text(page, encoding="utf-8")
