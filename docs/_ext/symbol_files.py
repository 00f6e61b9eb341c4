"""Writes the colours of the symbols for browsers, from minidiff/classroom/tables/symbols.py.    python docs/_ext/symbol_files.py

The site and the page have the same style sheet; the page also reads which names of the code mean which symbol.
A test compares these files with the table.
"""

from __future__ import annotations

import json
from pathlib import Path

from minidiff.classroom.tables.symbols import SYMBOLS

DOCS = Path(__file__).resolve().parents[1]
HEAD = "Written by docs/_ext/symbol_files.py from minidiff/classroom/tables/symbols.py: change that."


def style_sheet() -> str:
    """One variable and one class for each symbol. The site has its theme on <body>, the page on <html>."""
    light = " ".join(f"--s-{symbol.name}: {symbol.light};" for symbol in SYMBOLS)
    dark = " ".join(f"--s-{symbol.name}: {symbol.dark};" for symbol in SYMBOLS)
    classes = "\n".join(f".s-{s.name} {{ color: var(--s-{s.name}); fill: var(--s-{s.name}); }}" for s in SYMBOLS)
    return (
        f"/* {HEAD} */\n"
        f':root, body, [data-theme="light"] {{ {light} }}\n'
        f'[data-theme="dark"], [data-theme="dark"] body {{ {dark} }}\n'
        "@media (prefers-color-scheme: dark) {\n"
        f'  :root:not([data-theme="light"]), :root:not([data-theme="light"]) body:not([data-theme="light"]) {{ {dark} }}\n'
        "}\n"
        f"{classes}\n"
    )


def names() -> str:
    """A JavaScript module: {name in the code: its symbol}."""
    found = {name: symbol.name for symbol in SYMBOLS for name in symbol.names}
    return f"// {HEAD}\n\nexport const NAMES = {json.dumps(found, indent=2)};\n"


FILES = {"_static/symbols.css": style_sheet, "play/symbols.css": style_sheet, "play/names.js": names}

if __name__ == "__main__":
    for name, text in FILES.items():
        (DOCS / name).write_text(text(), encoding="utf-8")
