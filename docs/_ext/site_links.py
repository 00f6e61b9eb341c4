"""Links to pages that only the site has: in the repository, such a link leads to what is there in their place.

A page of docs/ is read in the repository, too, where docs/after/ and docs/guide/ are not.
"""

from __future__ import annotations

import re

from minidiff.classroom.tables.after_the_deck import AFTER

CHAPTERS = {rf"deck\.md#{chapter.number.lower()}-[\w-]+": f"after/{chapter.number.lower()}.md" for chapter in AFTER}
ON_THE_SITE = {
    "after_the_deck": CHAPTERS,
    "bug_lab": {r"\.\./minidiff/classroom/plans": "guide/index.md"},
}
"""{page: {link in the repository, as a pattern: page of the site}}"""


def on_the_site(docname: str, text: str) -> str:
    """The page with its links as the site has them.    Raises: ValueError if a link is not there once."""
    for pattern, page in ON_THE_SITE.get(docname, {}).items():
        text, count = re.subn(rf"\]\({pattern}\)", f"]({page})", text)
        if count != 1:
            raise ValueError(f"{docname}.md must have one link to {pattern}, which is {page} on the site, found {count}")
    return text


def read_source(app, docname: str, source: list[str]) -> None:
    source[0] = on_the_site(docname, source[0])


def setup(app):
    app.connect("source-read", read_source)
    return {"parallel_read_safe": True}
