"""The examples as modules, so that thousands of command lines can be tried in one process."""

import importlib.util
import sys
from contextlib import contextmanager

from support.examples import EXAMPLES

NEEDS = {"interop.py": ("torch", "diffusers")}  # the compare extra
MISSING = {name for name, packages in NEEDS.items() if not all(map(importlib.util.find_spec, packages))}
# those with options; algorithm_1.py and algorithm_2.py have none
EVERY_PROGRAM = sorted(path.name for path in EXAMPLES.glob("*.py") if "parse_options" in path.read_text(encoding="utf-8"))
PROGRAMS = [name for name in EVERY_PROGRAM if name not in MISSING]  # those that run here


def module_of(name):
    spec = importlib.util.spec_from_file_location(name.removesuffix(".py"), EXAMPLES / name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def arguments(name, *words):
    before, sys.argv = sys.argv, [name, *map(str, words)]
    try:
        yield
    finally:
        sys.argv = before


def options_of(module, *words):
    """What its parse_options() returns, or the status that it ends with."""
    with arguments(module.__name__, *words):
        try:
            return module.parse_options()
        except SystemExit as end:
            return end.code
