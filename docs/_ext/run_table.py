"""A run of a function as a table: each line of its code, with its number and the values that it made."""

from __future__ import annotations

import ast
import re
from html import escape

from colour_code import html_lines, symbol_class

from minidiff.classroom.code_lines import CodeRun

WIDTHS = (88, 102)  # columns of code and values that fit 1280 pixels in the large type, in the middle one
MANY_LINES = (14, 19, 23)  # rows, with those of wrapped values
WRAP = 40  # columns of values in a row, about


def code_table(run: CodeRun, colour: bool) -> str:
    """The call on top; then a row for each line: its number, the code, the values."""
    code = html_lines("\n".join(line.text for line in run.lines), colour)
    arguments = " ".join(value_html(name, text, colour) for name, text in run.arguments)
    head = html_lines(short_head(run.head), colour)[0]
    rows = [
        f'<tr class="head"><td></td><td class="code" colspan="2">{head}</td></tr>'
        f'<tr class="arguments"><td></td><td class="value" colspan="2">{arguments}</td></tr>'
    ]
    for line, text in zip(run.lines, code, strict=True):
        values = " ".join(value_html(name, value, colour) for name, value in line.values)
        turns = f' <span class="turns">turn {line.turns}</span>' if line.turns > 1 else ""
        number = f'<a href="{source_url(f"{run.file}:{line.number}")}">{line.number}</a>'
        rows.append(
            f'<tr><td class="number">{number}</td>{code_cell(text)}<td class="value">{values}{turns}</td></tr>'
        )
    return f'<table class="run lines-{size_of(run)}">{"".join(rows)}</table>'


def code_cell(line: str) -> str:
    """A line of code, and how far in it begins: on a phone it goes on further in."""
    indent = len(line) - len(line.lstrip(" "))
    return f'<td class="code" style="--indent: {indent}">{line}</td>'


def size_of(run: CodeRun) -> int:
    """1 to 4: the large type where lines and values fit the first screen in it, or smaller ones."""
    code = max((len(line.text) for line in run.lines), default=0)
    value = max((len(f"{name} = {text}") for line in run.lines for name, text in line.values), default=0)
    # a value may be wrapped where few lines leave room below
    columns = code + min(value, 34 if len(run.lines) > 8 else 26)
    beside = [sum(len(f"{name} = {text}") + 2 for name, text in line.values) for line in run.lines]
    rows = sum(max(1, -(-length // WRAP)) for length in beside)
    return 1 + max(sum(columns > wide for wide in WIDTHS), sum(rows > many for many in MANY_LINES))


def short_head(head: str) -> str:
    """A head of one line as it is; of a longer one the names of its arguments."""
    if "\n" not in head and "#" not in head:
        return head
    function = ast.parse(f"{head.partition('  #')[0]}\n    pass").body[0]
    names = [argument.arg for argument in (*function.args.args, *function.args.kwonlyargs)]
    return f"def {function.name}({', '.join(names)}):"


def value_html(name: str, text: str, colour: bool) -> str:
    """A large array by its shape and its range."""
    css = symbol_class(name) if colour else ""
    label = f"{escape(name)} = " if name else "&rarr; "
    text = re.sub(r"\w+ (\([\d, ]+\)), min (\S+), mean \S+, max ([^\s,]+)", r"\1 from \2 to \3", text)
    return f'<span class="v {css}">{label}{escape(text)}</span>'


def source_url(place: str) -> str:
    """From a page of the deck to file:line on the site."""
    file, _, line = place.rpartition(":")
    return f"../source/{file}.html#L{line}"


def place_link(place: str) -> str:
    return f'<a class="place" href="{source_url(place)}">{escape(place)}</a>'
