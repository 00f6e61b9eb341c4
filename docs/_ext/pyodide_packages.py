"""Which packages of Pyodide the notebooks of the site need. It imports nothing, so that CI can ask before anything is installed."""

from __future__ import annotations

from typing import Any

NEEDED = ("numpy", "matplotlib", "pillow", "micropip", "ssl", "sqlite3", "jedi", "ipython")
"""NumPy and what draws; the last five are what the kernel of JupyterLite starts with."""


def wheels(lock: dict[str, Any], names: tuple[str, ...] = NEEDED) -> dict[str, str]:
    """{file name: its sha256} of these packages and of all that they depend on.   lock: pyodide-lock.json"""
    packages = {normal(name): package for name, package in lock["packages"].items()}
    found: dict[str, str] = {}
    waiting = list(names)
    while waiting:
        package = packages[normal(waiting.pop())]
        if package["file_name"] not in found:
            found[package["file_name"]] = package["sha256"]
            waiting += package["depends"]
    return found


def normal(name: str) -> str:
    return name.replace("_", "-").lower()
