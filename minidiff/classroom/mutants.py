"""`python -m minidiff mutants`: break one term of an equation, and see whether its checks notice.

A check that passes whatever the formula says proves nothing. Each mutant is one replacement in an
equation's source, made in the running process. The tests marked with `checks(id)` run on it, and at
least one must fail.
"""

from __future__ import annotations

import ast
import contextlib
import io
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from minidiff.classroom.coverage import repository, tests_by_equation
from minidiff.classroom.index import get_equation
from minidiff.classroom.tables.mutants import MUTANTS, Mutant
from minidiff.engine.printing import source_of

NO_CHECKS = (
    "the exact checks are not here: they need a clone of the project, with tests/, and pytest "
    "(pip install pytest, where `python -m minidiff play` runs if you read this on the page)"
)


class Result(NamedTuple):
    """killed_by: the first test that failed, None if the mutant survived."""

    mutant: Mutant
    killed_by: str | None


@contextlib.contextmanager
def mutated(mutant: Mutant) -> Iterator[None]:
    """The equation's function with the replacement, for everyone who has imported it.

    Raises: ValueError if the text does not stand there exactly once.
    """
    with patched(get_equation(mutant.id).function, mutant.old, mutant.new, mutant.id):
        yield


@contextlib.contextmanager
def patched(function: Callable[..., Any], old: str, new: str, name: str = "") -> Iterator[None]:
    """A function of the package with `new` for `old` in its code, for everyone who has imported it.

    name: what an error calls it. The code is put back at the end, whatever happens inside.
    Raises: ValueError if the text does not stand in the function exactly once.
    """
    head, code = _split_after_docstring(source_of(function))
    if code.count(old) != 1:
        found = f"must stand in its code once, found {code.count(old)}"
        raise ValueError(f"mutant of {name or function.__qualname__}: {old!r} {found}")
    source = "from __future__ import annotations\n" + head + code.replace(old, new)
    changed = compile(source, f"<mutant of {name or function.__qualname__}>", "exec")
    names: dict = {}
    exec(changed, function.__globals__, names)  # noqa: S102 - our own source, one term replaced
    original: types.CodeType = function.__code__
    function.__code__ = names[function.__name__].__code__
    try:
        yield
    finally:
        function.__code__ = original


def _split_after_docstring(source: str) -> tuple[str, str]:
    """A function's lines up to the end of its docstring, and its code: mutants are of the code."""
    definition = ast.parse(source).body[0]
    has_docstring = ast.get_docstring(definition) is not None  # type: ignore[arg-type]
    end = definition.body[0].end_lineno if has_docstring else 0  # type: ignore[attr-defined]
    lines = source.splitlines(keepends=True)
    return "".join(lines[:end]), "".join(lines[end:])


class _FirstFailure:
    """A pytest plugin that remembers the first failed test."""

    def __init__(self) -> None:
        self.failed: str | None = None
        self.why = ""  # what pytest says about it, on one line
        self.passed = 0

    def pytest_runtest_logreport(self, report) -> None:
        if report.failed and self.failed is None:
            self.failed = report.nodeid
            said = [line[1:] for line in report.longreprtext.splitlines() if line[:2] == "E "]
            self.why = " ".join(" ".join(said[:5]).split())[:240]
        self.passed += report.when == "call" and report.passed


def run_checks(ids: list[str]) -> _FirstFailure:
    """Run the exact checks of these equations in this process, up to the first failure.

    Raises: RuntimeError if none can run.
    """
    root = repository()
    if root is None:
        raise RuntimeError(NO_CHECKS)
    try:
        import pytest
    except ImportError as error:
        raise RuntimeError(NO_CHECKS) from error
    tests = sorted({f"{root}/{test}" for id in ids for test in tests_by_equation().get(id, [])})
    seen = _FirstFailure()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        code = pytest.main(
            # -s: a browser has no files to keep the output in, and it goes to StringIO anyway
            ["-x", "-q", "-s", "-p", "no:cacheprovider", "--rootdir", str(root), *tests],
            plugins=[seen],
        )
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) or not (
        seen.passed or seen.failed
    ):
        raise RuntimeError(
            f"pytest could not run the checks of {', '.join(ids)}: exit code {int(code)}"
        )
    return seen


def run_mutants(mutants: tuple[Mutant, ...] = MUTANTS) -> Iterator[Result]:
    """Each mutant with the test that killed it.

    Raises: RuntimeError if the checks fail on the unchanged equations.
    """
    healthy = run_checks(sorted({mutant.id for mutant in mutants}))
    if healthy.failed:
        raise RuntimeError(f"the unchanged equations fail {healthy.failed}: mend that first")
    for mutant in mutants:
        with mutated(mutant):
            yield Result(mutant, run_checks([mutant.id]).failed)


def describe(result: Result) -> str:
    """One line: what was changed, and which test noticed."""
    verdict = (
        f"killed by {result.killed_by.rpartition('::')[2]}" if result.killed_by else "SURVIVED"
    )
    return f"{result.mutant.id:28} {result.mutant.what:28} {verdict}"
