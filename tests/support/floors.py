"""The lowest versions that pyproject.toml declares, as pip takes them: one "name==version" a line.

    python tests/support/floors.py dependencies test         (the extras to take, and "dependencies" for those that everybody needs)
"""

import re
import sys
from pathlib import Path

PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def floors(names, text=None):
    """["numpy==2.0", ...] of the lists called `names`.    Raises: ValueError for one without a lowest version, KeyError for a list that is not there."""
    text = PYPROJECT.read_text(encoding="utf-8") if text is None else text
    lists = dict(re.findall(r"^(\w+) = \[(.*?)\]", text, re.MULTILINE | re.DOTALL))
    found = []
    for requirement in (item for name in names for item in re.findall(r'"([^"]+)"', lists[name])):
        parts = re.fullmatch(r"([\w-]+)>=([\d.]+)", requirement)
        if parts is None:
            raise ValueError(f"pyproject.toml: {requirement!r} has no lowest version")
        found.append(f"{parts[1]}=={parts[2]}")
    return found


if __name__ == "__main__":
    print("\n".join(floors(sys.argv[1:])))
