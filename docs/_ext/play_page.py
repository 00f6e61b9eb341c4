"""Puts the page to play with beside the pages of the site: its files, the package as a zip, and where Pyodide is.

Pyodide comes from its CDN, or from the folder that MINIDIFF_PYODIDE names: then the site needs no network.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from minidiff.classroom.play import write_page


def write(app: Any, error: Exception | None) -> None:
    """After a build of HTML: play/index.html and what it needs."""
    if error is None and app.builder.format == "html":
        write_page(Path(app.outdir) / "play", os.environ.get("MINIDIFF_PYODIDE") or None)


def setup(app: Any) -> dict[str, bool]:
    """Sphinx calls it."""
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
