"""JupyterLite below lite/: the notebooks of the site, to change and to run in the browser, by the package itself.

It needs the packages jupyterlite-core and jupyterlite-pyodide-kernel; without them the site has no link to it.
Pyodide comes from its CDN, or from the folder that MINIDIFF_PYODIDE names, which is copied.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

from notebook_pages import notebooks
from percent_cells import read_cells
from pyodide_packages import wheels
from sphinx.util import logging

import minidiff
from minidiff.classroom.play import CDN
from minidiff.engine.printing import PACKAGE

INSTALL = "%pip install -q minidiff"
WHEEL = "Wheel-Version: 1.0\nGenerator: minidiff\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
LOCAL = "./static/pyodide/"
log = logging.getLogger(__name__)


def is_possible() -> bool:
    """Whether JupyterLite can be built here."""
    return all(importlib.util.find_spec(name) for name in ("jupyterlite_core", "jupyterlite_pyodide_kernel", "comm"))


# -- the notebooks ---------------------------------------------------------------------------------


def as_ipynb(path: Path) -> str:
    """A notebook of the percent format as Jupyter stores it, with a first cell that installs the package."""
    cells = [cell_of("code", INSTALL, 0)]
    cells += [cell_of(cell.kind, cell.text, number) for number, cell in enumerate(read_cells(path), 1)]
    kernel = {"display_name": "Python (Pyodide)", "language": "python", "name": "python"}
    return json.dumps({"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}, indent=1)


def cell_of(kind: str, text: str, number: int) -> dict:
    shared = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, "source": text.splitlines(keepends=True)}
    return shared if kind == "markdown" else shared | {"execution_count": None, "outputs": []}


def listing(files: list[Path]) -> str:
    """The answer of JupyterLite's server, which is a file, to what notebooks there are."""
    when = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    shared = {"created": when, "last_modified": when, "mimetype": None, "content": None, "writable": True}
    items = [shared | {"name": f.name, "path": f.name, "type": "notebook", "format": None, "size": f.stat().st_size} for f in files]
    return json.dumps(shared | {"name": "", "path": "", "type": "directory", "format": "json", "size": None, "content": items})


# -- wheels ----------------------------------------------------------------------------------------


def write_wheel(folder: Path, name: str, version: str, metadata: str, files: Iterator[tuple[str, bytes]]) -> None:
    """A wheel of pure Python."""
    about = f"{name}-{version}.dist-info"
    contents = [*files, (f"{about}/METADATA", metadata.encode()), (f"{about}/WHEEL", WHEEL.encode())]
    record = "".join(f"{path},sha256={digest(data)},{len(data)}\n" for path, data in contents)
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in [*contents, (f"{about}/RECORD", f"{record}{about}/RECORD,,\n".encode())]:
            archive.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED)


def digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def wheel_of_minidiff(folder: Path) -> None:
    """The package without compiled kernels, and without what Pyodide does not have (safetensors)."""
    files = (p for p in sorted(PACKAGE.rglob("*")) if p.suffix in (".py", ".npz") and "__pycache__" not in p.parts)
    needs = "".join(f"Requires-Dist: {name}\n" for name in ("numpy", "matplotlib", "pillow"))
    metadata = f"Metadata-Version: 2.1\nName: minidiff\nVersion: {minidiff.__version__}\n{needs}"
    write_wheel(
        folder, "minidiff", minidiff.__version__, metadata,
        ((f"minidiff/{p.relative_to(PACKAGE).as_posix()}", p.read_bytes()) for p in files),
    )  # fmt: skip


def wheel_of_comm(folder: Path) -> None:
    """`comm`, which the kernel wants and neither Pyodide nor the kernel brings: the installed package as a wheel again."""
    distribution = importlib.metadata.distribution("comm")
    files = (f for f in distribution.files or () if f.parts[0] == "comm" and f.suffix == ".py")
    write_wheel(
        folder, "comm", distribution.version, f"Metadata-Version: 2.1\nName: comm\nVersion: {distribution.version}\nRequires-Dist: traitlets\n",
        ((str(f), Path(str(f.locate())).read_bytes()) for f in files),
    )  # fmt: skip


# -- the whole -------------------------------------------------------------------------------------


def pyodide_folder() -> Path | None:
    """The folder that MINIDIFF_PYODIDE names, if it has all that a notebook needs."""
    named = os.environ.get("MINIDIFF_PYODIDE")
    if not named:
        return None
    folder = Path(named).resolve()
    wanted = ["pyodide.js", *wheels(json.loads((folder / "pyodide-lock.json").read_text(encoding="utf-8")))]
    missing = [name for name in wanted if not (folder / name).is_file()]
    if missing:
        log.info("lite: %s holds no %s, so notebooks take Pyodide from its CDN", folder, ", ".join(missing))
        return None
    return folder


def build(out: Path) -> None:
    """Write lite/ with its notebooks.    Raises: RuntimeError with what JupyterLite's own build says"""
    folder = pyodide_folder()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "wheels").mkdir()
        wheel_of_minidiff(place / "wheels")
        wheel_of_comm(place / "wheels")
        kernel = {"pyodideUrl": f"{LOCAL if folder else CDN}pyodide.js", "disablePyPIFallback": True}
        settings = {"litePluginSettings": {"@jupyterlite/pyodide-kernel-extension:kernel": kernel}, "appName": "minidiff"}
        (place / "jupyter-lite.json").write_text(json.dumps({"jupyter-lite-schema-version": 0, "jupyter-config-data": settings}))
        (place / "overrides.json").write_text(json.dumps({"@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"}}))  # a print has all cells
        options = {"apps": ["notebooks"], "no_sourcemaps": True, "output_dir": "out"}
        (place / "jupyter_lite_config.json").write_text(json.dumps({"LiteBuildConfig": options, "PipliteAddon": {"piplite_urls": ["wheels"]}}))
        command = [sys.executable, "-m", "jupyterlite_core", "build", "--lite-dir", "."]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True)
        if done.returncode or not (place / "out" / "notebooks" / "index.html").is_file():
            raise RuntimeError(f"lite: JupyterLite could not be built:\n{(done.stdout + done.stderr)[-2000:]}")
        add_notebooks(place / "out")
        if folder:
            shutil.copytree(folder, place / "out" / "static" / "pyodide")
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(place / "out", out)


def add_notebooks(lite: Path) -> None:
    (lite / "files").mkdir(exist_ok=True)
    (lite / "api" / "contents").mkdir(parents=True, exist_ok=True)
    for path in notebooks():
        (lite / "files" / f"{path.stem}.ipynb").write_text(as_ipynb(path), encoding="utf-8")
    written = sorted((lite / "files").glob("*.ipynb"))
    (lite / "api" / "contents" / "all.json").write_text(listing(written), encoding="utf-8")


def write(app, error) -> None:
    if error is None and app.builder.format == "html" and is_possible():
        build(Path(app.outdir) / "lite")


def setup(app):
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
