"""matplotlib's figures, whatever window or notebook it would like to draw into, and their files."""

import importlib
import os
import sys

from minidiff.data.atomic import atomic_write


def _import_matplotlib() -> None:
    """Import it, also where $MPLBACKEND names what this Python lacks.

    A notebook gives its programs its own backend, which another Python may not have. Nothing here
    draws with pyplot, so that it does not matter.
    """
    try:
        importlib.import_module("matplotlib")
    except ValueError:
        chosen = os.environ.pop("MPLBACKEND", None)
        if chosen is None:
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
            del sys.modules[name]  # what was left of the first try
        try:
            importlib.import_module("matplotlib")
        finally:
            os.environ["MPLBACKEND"] = chosen


_import_matplotlib()

from matplotlib.figure import Figure  # noqa: E402

__all__ = ["Figure", "save_figure"]


def save_figure(figure: Figure, path: str | os.PathLike[str], dpi: float | None = None) -> None:
    """Write it as a PNG, complete or not at all."""
    with atomic_write(path) as part:
        figure.savefig(part, format="png", dpi="figure" if dpi is None else dpi)
