"""The package is a house: a floor imports only from the floors below it, and from its own.

All imports are read, those inside functions and under TYPE_CHECKING too.
"""

import ast
from pathlib import Path

import pytest

import minidiff

PACKAGE = Path(minidiff.__file__).parent

FLOORS = (  # from the top to the ground; the packages of a line are one floor
    ("classroom", "__main__"),
    ("cli",),
    ("evaluation",),
    ("sampling",),
    ("training",),
    ("pictures",),
    ("models", "data"),
    ("beyond",),
    ("diffusion",),
    ("nn", "optim"),
    ("functional",),
    ("kernels",),
    ("engine",),
)
HEIGHT = {package: -number for number, floor in enumerate(FLOORS) for package in floor}

UPWARD = {  # (file, what it imports): why that cannot be turned round
    ("engine/tensor.py", "functional"): "x + y and x.mean() are operations; the import stands at the end of the file, when Tensor is there",
}


def floor_of(path):
    """The package that a file belongs to; "" for minidiff/__init__.py, which shows what all floors hold and is on none."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def imported(path, package=PACKAGE):
    """(line, floor) of every import from the package; floor is "" for a name of minidiff itself."""
    inside = ("minidiff", *path.relative_to(package).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(inside[: len(inside) + 1 - node.level]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "minidiff":
                yield node.lineno, parts[1] if len(parts) > 1 and parts[1] in HEIGHT else ""


def test_every_part_of_the_package_is_on_a_floor():
    parts = {floor_of(path) for path in PACKAGE.rglob("*.py")} - {""}
    assert parts == set(HEIGHT)


def test_no_floor_imports_from_above():
    wrong, used = [], set()
    for path in sorted(PACKAGE.rglob("*.py")):
        floor = floor_of(path)
        for line, other in imported(path) if floor else ():
            file = path.relative_to(PACKAGE).as_posix()
            if other and HEIGHT[other] <= HEIGHT[floor]:
                continue
            if (file, other) in UPWARD:
                used.add((file, other))
            elif other:
                wrong.append(f"minidiff/{file}:{line}: {floor} imports from {other}, which is above it")
            else:
                wrong.append(f"minidiff/{file}:{line}: {floor} imports from minidiff itself: name the module that holds it")
    assert not wrong, "\n".join(wrong)
    assert used == set(UPWARD), "an exception that is not needed any more"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from minidiff.training.run import run", [(1, "training")]),
        ("def f():\n    from minidiff import functional as F", [(2, "functional")]),
        ("import minidiff.nn.module", [(1, "nn")]),
        ("import minidiff as md", [(1, "")]),
        ("from ..models import UNet", [(1, "models")]),
        ("from . import scaling", [(1, "data")]),
        ("import numpy", []),
    ],
)
def test_which_imports_are_seen(tmp_path, text, expected):
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "file.py"
    path.write_text(text)
    assert list(imported(path, tmp_path)) == expected


@pytest.mark.parametrize("package", ["beyond", "diffusion", "functional"])
def test_nothing_there_has_more_than_eight_arguments_or_ninety_columns(package):
    """A function with more wants a dataclass of settings; wider lines do not fit on a projector beside the slide."""
    wrong = []
    for path in sorted((PACKAGE / package).glob("*.py")):
        text = path.read_text(encoding="utf-8")
        wrong += [f"{path.name}:{n}: {len(line)} columns" for n, line in enumerate(text.splitlines(), 1) if len(line) > 90]
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                names = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs) if a.arg != "self"]
                wrong += [f"{path.name}:{node.lineno}: {node.name} has {len(names)} arguments"] if len(names) > 8 else []
    assert not wrong, "\n".join(wrong)
