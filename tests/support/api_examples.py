"""The examples of docs/api_examples: a file for each package, a section for each public name. Reading them, and running them."""

import doctest
import importlib
import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "api_examples"
PACKAGES = [
    "minidiff", *(f"minidiff.{name}" for name in (
        "functional", "nn", "optim", "diffusion", "data", "sampling", "beyond", "pictures", "evaluation", "training", "models",
    )),
]  # fmt: skip


def public_names(package):
    return list(importlib.import_module(package).__all__)


def sections_of(package):
    """{name: its session}; "" has what all of them begin with."""
    text = (FOLDER / f"{package.rpartition('.')[2]}.md").read_text(encoding="utf-8")
    head, *parts = re.split(r"^## (\S+)$", text, flags=re.MULTILINE)
    sessions = {"": head, **dict(zip(parts[::2], parts[1::2], strict=True))}
    return {name: "".join(re.findall(r"```pycon\n(.*?)```", part, re.DOTALL)) for name, part in sessions.items()}


def failures_of(package, name):
    """What a section prints otherwise than it says, in words; empty if it is right."""
    sections = sections_of(package)
    session = doctest.DocTestParser().get_doctest(sections[""] + sections[name], {"__name__": "__main__"}, f"{package}.{name}", None, 0)
    said = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(session, out=said.append)
    return "".join(said)
