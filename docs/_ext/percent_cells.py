"""Notebooks in the percent format, `# %%`: read, run, and turned into Markdown with their pictures.

VS Code, PyCharm, Spyder and JupyterLab (with jupytext) open them as they are.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
from pathlib import Path
from typing import Any, NamedTuple


class Cell(NamedTuple):
    """kind: "markdown" or "code"; line: of its first line in the file."""

    kind: str
    text: str
    line: int


class Output(NamedTuple):
    """What a cell printed and showed: text, HTML of its last value, pictures as PNG."""

    text: str
    html: str
    pictures: tuple[bytes, ...]


def read_cells(path: Path) -> list[Cell]:
    """The cells of a notebook in their order."""
    cells, lines, kind, start = [], [], None, 1
    for number, line in enumerate([*path.read_text(encoding="utf-8").splitlines(), "# %%"], 1):
        if re.match(r"# %%", line):
            if kind is not None:
                text = "\n".join(lines).strip("\n")
                if kind == "markdown":
                    text = re.sub(r"^# ?", "", text, flags=re.MULTILINE)
                cells.append(Cell(kind, text, start))
            kind, lines, start = ("markdown" if "[markdown]" in line else "code"), [], number + 1
        else:
            lines.append(line)
    return cells


def run_cells(path: Path) -> list[tuple[Cell, Output | None]]:
    """Run the code cells one after another in one namespace. An exception names the notebook and its line."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names: dict[str, Any] = {"__name__": "__main__"}
    plt.close("all")
    return [(cell, run_cell(cell, names, path, plt) if cell.kind == "code" else None) for cell in read_cells(path)]


def run_cell(cell: Cell, names: dict[str, Any], path: Path, plt: Any) -> Output:
    """As Jupyter does it: the value of a last expression is shown, unless a semicolon follows it."""
    tree = ast.parse("\n" * (cell.line - 1) + cell.text, filename=str(path))
    shown = bool(tree.body) and isinstance(tree.body[-1], ast.Expr) and not cell.text.rstrip().endswith(";")
    last = ast.Expression(tree.body.pop().value) if shown else None
    said, value = io.StringIO(), None
    with contextlib.redirect_stdout(said):
        exec(compile(tree, str(path), "exec"), names)
        if last is not None:
            value = eval(compile(last, str(path), "eval"), names)
    pictures = []
    for number in plt.get_fignums():
        file = io.BytesIO()
        plt.figure(number).savefig(file, format="png", dpi=110, bbox_inches="tight")
        pictures.append(file.getvalue())
    plt.close("all")
    text, html = said.getvalue(), ""
    if hasattr(value, "_repr_png_"):
        pictures.append(value._repr_png_())
    elif hasattr(value, "_repr_html_"):
        html = value._repr_html_()
        pictures += [b"html"] if "<img" in html else []
    elif value is not None:
        text += repr(value)
    return Output(text.rstrip(), html, tuple(pictures))


def has_picture(output: Output) -> bool:
    return bool(output.pictures)


def markdown(path: Path, pictures: Path) -> str:
    """The notebook as a page: its text, its code, what the cells show. Pictures are written into a folder beside it."""
    lines, count = [], 0
    pictures.mkdir(parents=True, exist_ok=True)
    for cell, output in run_cells(path):
        if output is None:
            lines += [cell.text, ""]
            continue
        lines += [f"```python\n{cell.text}\n```", ""]
        shown = []
        if output.text:
            shown.append(f"```text\n{output.text}\n```")
        if output.html:
            shown.append(f"````{{raw}} html\n<div class=\"value\">{formulas(output.html)}</div>\n````")
        for picture in output.pictures:
            if picture != b"html":
                count += 1
                file = pictures / f"{path.stem}-{count}.png"
                file.write_bytes(picture)
                lines_after = f"![What the cell shows]({pictures.name}/{file.name})"
                shown.append(lines_after)
        if shown:
            lines += ["`````{container} cell-output", *("\n".join([piece, ""]) for piece in shown), "`````", ""]
    return "\n".join(lines)


def formulas(html: str) -> str:
    """The formulas of an HTML value, `$...$`, drawn as everywhere on the site."""
    from formula_svg import svg

    return re.sub(r"\$\\displaystyle (.+?)\$(?=<|$)", lambda match: svg(match[1]), html, flags=re.DOTALL)
