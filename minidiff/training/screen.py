"""The output of a program, which may be closed or full, or lack letters, without ending a run."""

from __future__ import annotations

import os
import unicodedata
from contextlib import suppress
from typing import Any

_SPELT = {  # what a name of Unicode does not say well
    "√": "sqrt", "∇": "grad ", "∂": "d", "∑": "sum ", "∏": "prod ", "∫": "int ", "∈": " in ",
    "∞": "inf", "⊆": " subset of ", "∅": "empty", "‖": "||", "❴": "{", "❵": "}", "·": "*",
    "±": "+-", "×": "x", "\u0304": "_bar", "\u0303": "_tilde", "\u0302": "_hat", "→": "->",
    "←": "<-", "−": "-", "–": "-", "—": "-", "…": "...", "’": "'", "‘": "'", "“": '"', "”": '"',
    "█": "#", "░": ".",
}  # fmt: skip


class Screen:
    """A text stream that never fails. `broken` says why nothing more arrives, if so.

    Letters that its encoding lacks are spelt out.
    """

    def __init__(self, file: Any):
        self.file, self.broken = file, ""

    @classmethod
    def of(cls, file: Any) -> Screen:
        """The stream as a Screen; one that is one already stays itself."""
        return file if isinstance(file, cls) else cls(file)

    def write(self, text: str) -> int:
        if self.file is not None and not self.broken:  # None: closed before the program began
            try:
                self.file.write(spelt(text, getattr(self.file, "encoding", None)))
            except (OSError, ValueError) as error:
                self.broken = getattr(error, "strerror", None) or str(error)
        return len(text)

    def flush(self) -> None:
        if self.file is not None and not self.broken:
            try:
                self.file.flush()
            except (OSError, ValueError) as error:
                self.broken = getattr(error, "strerror", None) or str(error)

    def give_up(self) -> None:
        """Point a broken stream to nowhere, so that Python's own flush at the end does not fail."""
        with suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.file.fileno())
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def spelt(text: str, encoding: str | None) -> str:
    """`text` without the characters that the encoding lacks: "sqrt" for a root, "alpha", "_bar".

    Others become escapes such as \\u4e00.
    """
    encoding = encoding or "utf-8"
    try:
        text.encode(encoding)
        return text
    except UnicodeEncodeError:
        return "".join(_spelt(character, encoding) for character in text)


def _spelt(character: str, encoding: str) -> str:
    try:
        character.encode(encoding)
        return character
    except UnicodeEncodeError:
        pass
    plain = unicodedata.normalize("NFD", character)
    if len(plain) > 1:  # a letter and its accents
        return "".join(_spelt(part, encoding) for part in plain)
    name = unicodedata.name(character, "")
    if character in _SPELT:
        return _SPELT[character]
    if name.startswith("GREEK ") and " LETTER " in name:
        word = name.split(" LETTER ")[1].lower()
        return word.capitalize() if "CAPITAL" in name else word
    if name.startswith("BOX DRAWINGS "):
        return "|" if name.endswith("VERTICAL") else "-" if name.endswith("HORIZONTAL") else "+"
    if unicodedata.category(character) == "Zs":
        return " "
    return character.encode("ascii", "backslashreplace").decode()
