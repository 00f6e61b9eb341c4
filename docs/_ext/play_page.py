"""Puts the page to play with beside the pages of the site: its files, the package as a zip, and where Pyodide is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minidiff.classroom.play import write_page


def write(app: Any, error: Exception | None) -> None:
    """After a build of HTML: play/index.html and what it needs."""
    if error is None and app.builder.format == "html":
        write_page(Path(app.outdir) / "play")


def setup(app: Any) -> dict[str, bool]:
    """Sphinx calls it."""
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
