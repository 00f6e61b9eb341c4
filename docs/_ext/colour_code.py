"""Lines of Python as HTML: words of the language, comments, and the symbols of the formulas in their colours."""

from __future__ import annotations

from html import escape

from pygments.lexers import PythonLexer
from pygments.token import Token

from minidiff.classroom.tables.symbols import SYMBOLS

_BY_NAME = {name: symbol.name for symbol in SYMBOLS for name in symbol.names}
_KINDS = (
    (Token.Comment, "c"),
    (Token.Literal.String, "st"),
    (Token.Keyword, "k"),
    (Token.Operator.Word, "k"),
    (Token.Literal.Number, "n"),
)


def symbol_class(name: str) -> str:
    """The class of the symbol that a name of the code means, or "".   `now.alpha_bar` is alpha_bar."""
    symbol = _BY_NAME.get(name.rpartition(".")[2])
    return f"s-{symbol}" if symbol else ""


def html_lines(code: str, symbols: bool = True) -> list[str]:
    """One piece of HTML for each line of the code.   symbols: give those of the formulas their colour"""
    lines = [""]
    for token, text in PythonLexer(stripnl=False).get_tokens(code):
        css = next((css for kind, css in _KINDS if token in kind), "")
        if symbols and token in Token.Name:
            css = symbol_class(text)
        for number, piece in enumerate(text.split("\n")):
            if number:
                lines.append("")
            if piece:
                lines[-1] += f'<span class="{css}">{escape(piece)}</span>' if css else escape(piece)
    return lines[: len(code.split("\n"))]
