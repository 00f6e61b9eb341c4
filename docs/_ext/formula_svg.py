"""Formulas as SVG, drawn when the site is built: no script and no font is needed to read them.

`html_math_renderer = "svg"` makes Sphinx use this for every formula of every page. ziamath does the typesetting.
"""

from __future__ import annotations

import re
from functools import cache
from html import escape

import ziamath
from docutils import nodes
from sphinx.errors import ExtensionError

from minidiff.classroom.tables.symbols import SYMBOLS

ziamath.config.svg2 = False
SIZE = 20.0  # units of an em
_SYMBOL = re.compile("|".join(f"(?P<s_{symbol.name}>(?:{symbol.latex})(?:\\^2)?)" for symbol in SYMBOLS))
_SENTINELS = {symbol.name: f"#0102{number:02x}" for number, symbol in enumerate(SYMBOLS, 1)}


def coloured(latex: str) -> str:
    """The formula with each known symbol in the colour that stands for it until the SVG is written."""
    return _SYMBOL.sub(lambda match: f"\\textcolor{{{_SENTINELS[match.lastgroup[2:]]}}}{{{match[0]}}}", latex)


def symbols_in(latex: str) -> list[str]:
    """Names of the symbols that have a colour, in the order in which they come."""
    return list(dict.fromkeys(match.lastgroup[2:] for match in _SYMBOL.finditer(latex)))


@cache
def svg(latex: str, display: bool = True, colour: bool = True) -> str:
    """An <svg> as high as the formula in the font size around it; `latex` is its text for a reader without eyes."""
    text = re.sub(r"\\[bB]igg?(?=\\\|)", "", latex.strip())
    try:
        formula = ziamath.Latex(coloured(text) if colour else text, size=SIZE, inline=not display)
        drawing = formula.svg()
    except Exception as error:
        raise ExtensionError(f"formula_svg: {latex!r} can't be drawn: {error}") from error
    for symbol in SYMBOLS:
        drawing = drawing.replace(f'fill="{_SENTINELS[symbol.name]}"', f'class="s-{symbol.name}"')
        drawing = drawing.replace(f'stroke="{_SENTINELS[symbol.name]}"', f'class="s-{symbol.name}"')
    drawing = drawing.replace('fill="black"', "").replace('stroke="black"', 'stroke="currentColor"')
    drawing = re.sub(r"(-?\d+\.\d{2})\d+", r"\1", drawing)
    x, y, width, height = map(float, re.search(r'viewBox="([^"]*)"', drawing)[1].split())
    head = (
        f'<svg class="formula" role="img" aria-label="{escape(latex.strip())}" viewBox="{x:g} {y:g} {width:g} {height:g}" '
        f'style="width:{width / SIZE:.3f}em;height:{height / SIZE:.3f}em;vertical-align:{-(y + height) / SIZE:.3f}em">'
    )
    return head + re.sub(r"^<svg[^>]*>", "", drawing)


def visit_inline(self, node: nodes.math) -> None:
    self.body.append(svg(node.astext(), display=False))
    raise nodes.SkipNode


def visit_display(self, node: nodes.math_block) -> None:
    self.body.append(f'<div class="math notranslate">{svg(node.astext())}</div>\n')
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("svg", (visit_inline, None), (visit_display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
