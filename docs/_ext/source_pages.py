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
        f'<span class="line" id="L{n}"><a href="#L{n}">{n}</a>{line}</span>' for n, line in enumerate(inner, 1)
    )
    return f'<div class="highlight"><pre>{rows}</pre></div>'


def page(text: str, file: str) -> str:
    """A page of its own, without the site's navigation: there are hundreds, and they are only jumped to."""
    up = "../" * (file.count("/") + 1)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<title>{escape(file)}</title><link rel="stylesheet" href="{up}_static/pygments.css"><link rel="stylesheet" href="{up}_static/source.css"></head>'
        f'<body><header><a href="{up}index.html">minidiff</a> <b>{escape(file)}</b></header>{lines_html(text, file)}</body></html>'
    )


def write_pages(app, exception) -> None:
    if exception is not None or app.builder.format != "html":
        return
    for file in files():
        path = Path(app.outdir) / "source" / f"{file}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page((ROOT / file).read_text(encoding="utf-8"), file), encoding="utf-8")


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


class LinkLines(SphinxPostTransform):
    """A table whose head names a file: each code in it that stands in that file becomes a link to its line."""

    default_priority = 6

    def run(self, **kwargs):
        up = "../" * self.env.docname.count("/")
        for table in self.document.findall(nodes.table):
            names = [literal.astext() for head in table.findall(nodes.thead) for literal in head.findall(nodes.literal)]
            file = next((name for name in names if name in set(files())), None)
            if file is None:
                continue
            lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
            for body in table.findall(nodes.tbody):
                for literal in list(body.findall(nodes.literal)):
                    found = next((n for n, line in enumerate(lines, 1) if literal.astext() in line), None)
                    if found:
                        target = f"{up}source/{file}.html#L{found}"
                        literal.replace_self(nodes.reference("", "", literal.deepcopy(), refuri=target, internal=True))


def setup(app):
    app.add_post_transform(LinkLines)
    app.connect("build-finished", write_pages)
    app.add_post_transform(LinkToSource)
    return {"parallel_read_safe": True}

