"""The sources as pages, each line with an anchor: `source/minidiff/diffusion/forward.html#L33`.

Links of the pages to files of the repository, such as `../minidiff/x.py`, lead there instead of to a download.
"""

from __future__ import annotations

import posixpath
from html import escape
from pathlib import Path

from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import CppLexer, PythonLexer
from pygments.lexers.special import TextLexer
from sphinx import addnodes
from sphinx.transforms.post_transforms import SphinxPostTransform

ROOT = Path(__file__).parents[2]
FOLDERS = ("minidiff", "examples", "tests", "csrc", "notebooks")
KINDS = (".py", ".cu", ".h", ".cpp", ".gdb")


def files() -> list[str]:
    """The files that get a page, as paths from the root of the repository."""
    found = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*")) if path.suffix in KINDS]
    return [path.relative_to(ROOT).as_posix() for path in found if "__pycache__" not in path.parts]


LEXERS = {".py": PythonLexer, ".cu": CppLexer, ".h": CppLexer, ".cpp": CppLexer}


def lines_html(text: str, file: str) -> str:
    """The text with a number and an anchor for each line."""
    lexer = LEXERS.get(Path(file).suffix, TextLexer)(stripnl=False)
    inner = highlight(text, lexer, HtmlFormatter(nowrap=True)).rstrip("\n").split("\n")
    rows = "".join(
        f'<span class="line" id="L{n}"><a href="#L{n}">{n}</a>{line}\n</span>' for n, line in enumerate(inner, 1)
    )
    return f'<div class="highlight"><pre>{rows}</pre></div>'


def pages(app):
    if app.builder.format != "html":
        return
    for file in files():
        text = (ROOT / file).read_text(encoding="utf-8")
        body = f'<div class="source"><h1>{escape(file)}</h1>{lines_html(text, file)}</div>'
        yield f"source/{file}", {"title": file, "body": body}, "page.html"


class LinkToSource(SphinxPostTransform):
    """`[code](../minidiff/x.py)` becomes a link to the page of that file."""

    default_priority = 5

    def run(self, **kwargs):
        known = set(files())
        folder = posixpath.dirname(self.env.docname)
        for node in list(self.document.findall(addnodes.download_reference)):
            path = (Path(self.app.srcdir) / folder / node["reftarget"].partition("#")[0]).resolve()
            if not path.is_relative_to(ROOT) or path.relative_to(ROOT).as_posix() not in known:
                continue
            up = "../" * self.env.docname.count("/")
            target = f"{up}source/{path.relative_to(ROOT).as_posix()}.html"
            node.replace_self(nodes.reference("", "", *node.children, refuri=target, internal=True))


def setup(app):
    app.connect("html-collect-pages", pages)
    app.add_post_transform(LinkToSource)
    return {"parallel_read_safe": True}

