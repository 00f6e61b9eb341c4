"""Coverage of the deck's formulas: their equations, the tests, the examples that use them."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from minidiff.classroom.index import all_equations
from minidiff.classroom.tables.after_the_deck import EVERYTHING as SLIDES
from minidiff.classroom.tables.slide import Slide

MARKER = "checks"


def repository() -> Path | None:
    """The folder with tests/ and examples/, or None where only the package is installed."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "tests" / "diffusion").is_dir() else None


def slides_of(id: str) -> list[Slide]:
    """The slides on which the equation stands."""
    return [slide for slide in SLIDES if any(id in formula.equations for formula in slide.formulas)]


@cache
def tests_by_equation() -> dict[str, list[str]]:
    """{equation id: ["tests/.../test_x.py::test_name", ...]}

    Read from the `checks` markers without importing the tests.
    """
    root = repository()
    found: dict[str, list[str]] = {}
    for path in sorted((root / "tests").rglob("test_*.py")) if root else []:
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef):
                for id in _checked_ids(function):
                    place = path.relative_to(root).as_posix()  # type: ignore[arg-type]
                    found.setdefault(id, []).append(f"{place}::{function.name}")
    return found


def in_words(test: str) -> str:
    """What a test says: "tests/a.py::test_the_oracle_s_noise" is "the oracle's noise"."""
    name = test.rpartition("::")[2].partition("[")[0].removeprefix("test_")
    return re.sub(r"(?<!\bat)(?<!\bof)(?<!\band) s (?=[a-z])", "'s ", name.replace("_", " "))


def _checked_ids(function: ast.FunctionDef) -> list[str]:
    """The ids in @pytest.mark.checks("id", ...) above a test."""
    calls = [
        d
        for d in function.decorator_list
        if isinstance(d, ast.Call) and getattr(d.func, "attr", None) == MARKER
    ]
    return [ast.literal_eval(argument) for call in calls for argument in call.args]


@cache
def examples_by_name() -> dict[str, list[str]]:
    """{name: [the files in examples/ that import it from the package]}."""
    root = repository()
    found: dict[str, list[str]] = {}
    for path in sorted((root / "examples").glob("*.py")) if root else []:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("minidiff"):
                for alias in node.names:
                    found.setdefault(alias.name, []).append(path.name)
    return found


def resolve(dotted: str) -> Any:
    """The object with this dotted name.

    Raises: ImportError or AttributeError if there is none.
    """
    parts = dotted.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for name in parts[cut:]:
            found = getattr(found, name)
        return found
    raise ImportError(f"no module of {dotted}")


@dataclass
class Report:
    """Slides, lines to print, and what is missing; `complete` is what the exit status says."""

    lines: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    formulas: int = 0

    @property
    def complete(self) -> bool:
        return not self.missing

    def __str__(self) -> str:
        used = {id for slide in SLIDES for formula in slide.formulas for id in formula.equations}
        n_checks = sum(map(len, tests_by_equation().values()))
        chapters = sum(isinstance(slide.number, str) for slide in SLIDES)
        counts = (
            f"{len(SLIDES) - chapters} slides and {chapters} chapters after them, "
            f"{self.formulas} formulas, {len(all_equations())} equations, "
            f"{len(used)} of them in these"
        )
        problems = [f"MISSING  {problem}" for problem in self.missing]
        verdict = "every formula is covered" if self.complete else f"{len(self.missing)} missing"
        return "\n".join([*self.lines, "", *problems, f"{counts}, {n_checks} checks: {verdict}"])


def deck_report() -> Report:
    """The deck slide by slide with what covers it.

    Checks count as missing only where the tests are at hand.
    """
    report = Report()
    equations = all_equations()
    for slide in SLIDES:
        report.lines.append(f"{slide.number:2} {slide.title}")
        for formula in slide.formulas:
            report.formulas += 1
            report.lines.append(f"     {formula.name:32} {', '.join(formula.equations)}")
            if not formula.equations:
                report.missing.append(f"slide {slide.number}: {formula.name} has no equation")
            for id in formula.equations:
                if id not in equations:
                    report.missing.append(
                        f"slide {slide.number}: {formula.name}: no equation is called {id}"
                    )
        report.lines += [f"     code: {name}" for name in slide.code]
        report.missing += [
            f"slide {slide.number}: {name} does not exist"
            for name in slide.code
            if not _exists(name)
        ]
        report.lines += _used_in(slide, equations)
    if repository() is None:
        report.lines.append("(the tests are not installed here: checks are not counted)")
    else:
        report.missing += [
            f"{id} has no check in tests/" for id in equations if id not in tests_by_equation()
        ]
    return report


def _used_in(slide: Slide, equations: dict[str, Any]) -> list[str]:
    ids = {id for formula in slide.formulas for id in formula.equations}
    names = {equations[id].function.__name__ for id in ids if id in equations} | {
        name.rpartition(".")[2] for name in slide.code
    }
    tests = sorted(
        {test.partition("::")[0] for id in ids for test in tests_by_equation().get(id, [])}
    )
    examples = sorted({example for name in names for example in examples_by_name().get(name, [])})
    return _line("tests", [test.removeprefix("tests/") for test in tests]) + _line(
        "examples", examples
    )


def _line(name: str, files: Iterable[str]) -> list[str]:
    return [f"     {name}: {', '.join(files)}"] if files else []


def _exists(dotted: str) -> bool:
    try:
        resolve(dotted)
    except (ImportError, AttributeError):
        return False
    return True
