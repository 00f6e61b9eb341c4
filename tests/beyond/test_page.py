"""docs/after_the_deck.md says what its script computes."""

import re
import subprocess
import sys
from pathlib import Path

from minidiff.classroom.tables.after_the_deck import AFTER

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_numbers_of_the_page_are_those_of_the_script():
    done = subprocess.run([sys.executable, DOCS / "after_the_deck.py", "--numbers"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    page = (DOCS / "after_the_deck.md").read_text(encoding="utf-8")
    printed = set(re.findall(r"\d\.\d\de-\d\d|\d+\.\d+", done.stdout))
    rows = [line for line in page.splitlines() if re.match(r"\| \d+ \|", line)]
    stated = [number for row in rows for number in re.findall(r"\d\.\d\de-\d\d|\d+\.\d+", row)]
    assert len(rows) == 19 and len(stated) > 55
    assert not [number for number in stated if number not in printed]


def test_its_figures_and_links_are_there():
    page = (DOCS / "after_the_deck.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]+)\)", page)
    chapters = re.findall(r"\(deck\.md#(a\d)-", page)
    assert chapters == [chapter.number.lower() for chapter in AFTER]
    assert len(links) >= 4 + len(chapters) and all((DOCS / link.partition("#")[0]).exists() for link in links)
    assert "after_the_deck" in (DOCS / "index.md").read_text(encoding="utf-8")
