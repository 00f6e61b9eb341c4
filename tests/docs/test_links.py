"""Links between the repository's own pages, as somebody follows them who reads it without the site."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "benchmarks").glob("*.md")]
    if path.name != "index.md"  # the front page of the site is no page of the repository
)  # fmt: skip


def dead_links(text, folder, committed):
    """Links of Markdown that lead to nothing that is committed, or to a heading that is not there."""
    dead = []
    text = re.sub(r"^(`{3,}).*?^\1`*$", "", text, flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(<?([^)\s>]+)>?\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (folder / name).resolve() if name else None
        if target and target not in committed:
            dead.append(link)
        elif anchor and target and target.suffix == ".md" and anchor not in anchors(target.read_text(encoding="utf-8")):
            dead.append(link)
    return dead


def anchors(text):
    """The anchors of headings, as GitHub and MyST make them, and those that are written out."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    made = {"".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c in "-_") for title in headings}
    return made | set(re.findall(r'<a (?:id|name)="([^"]+)"', text)) | set(re.findall(r"^\(([\w-]+)\)=$", text, re.MULTILINE))


@pytest.fixture(scope="module")
def committed():
    """Every file of the repository that git would commit, and the folders that hold them."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this is no clone: git does not say which files are committed")
    files = {(ROOT / name).resolve() for name in listed.stdout.splitlines()}
    return files | {folder for file in files for folder in file.parents if folder.is_relative_to(ROOT.resolve())}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_link_of_a_page_is_dead_in_the_repository(page, committed):
    assert dead_links(page.read_text(encoding="utf-8"), page.parent, committed) == []


def test_a_dead_link_is_seen(tmp_path):
    page = tmp_path / "a.md"
    page.write_text("# One title\n")
    text = "[x](b.md) [y](a.md#two) [z](a.md#one-title) [w](https://c)\n```text\n[v](d.md)\n```\n"
    assert dead_links(text, tmp_path, {page.resolve()}) == ["b.md", "a.md#two"]


def test_a_link_that_the_site_has_better_must_be_in_its_page(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "_ext"))
    try:
        from site_links import on_the_site

        assert on_the_site("bug_lab", "the [plans](../minidiff/classroom/plans)") == "the [plans](guide/index.md)"
        with pytest.raises(ValueError, match="bug_lab.md must have one link to .*plans, which is guide/index.md on the site, found 0"):
            on_the_site("bug_lab", "no plans")
    finally:
        sys.modules.pop("site_links", None)
