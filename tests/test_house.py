"""Sizes that keep the code readable: widths of lines, lengths of files, numbers of arguments, and imports of examples.

Code that is shown in class must fit on a projector, so its lines are shorter.
"""

import ast
import re
from pathlib import Path

import pytest

import minidiff

PACKAGE = Path(minidiff.__file__).parent
ROOT = Path(__file__).resolve().parents[1]

WIDTH, WIDTH_IN_CLASS = 100, 90
IN_CLASS = ("minidiff/functional", "minidiff/diffusion", "minidiff/beyond", "examples")
LINES = 300  # of a file
LINES_IN_CLASS = 3300  # of functional/ and diffusion/ together
ARGUMENTS = 8  # of a function in these folders
FEW_ARGUMENTS = ("minidiff/models", "minidiff/diffusion", "minidiff/beyond", "minidiff/training")
IMPORT_LINES = 8  # of an example


def name_of(path):
    """minidiff/... or examples/..., wherever the package is installed."""
    if path.is_relative_to(PACKAGE):
        return "minidiff/" + path.relative_to(PACKAGE).as_posix()
    return path.relative_to(ROOT).as_posix()


def files():
    return [*sorted(PACKAGE.rglob("*.py")), *sorted((ROOT / "examples").glob("*.py"))]


def wide_lines(text, width):
    """(number, length) of each line that is longer than width."""
    return [(number, len(line)) for number, line in enumerate(text.splitlines(), start=1) if len(line) > width]


def many_arguments(text, most):
    """(line, name, number) of each function with more than `most` arguments, self and cls not counted."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            of = node.args
            names = [argument.arg for argument in (*of.posonlyargs, *of.args, *of.kwonlyargs)]
            names += [argument.arg for argument in (of.vararg, of.kwarg) if argument is not None]
            count = len(names) - (names[:1] in (["self"], ["cls"]))
            if count > most:
                yield node.lineno, node.name, count


def import_lines(text):
    """How many lines of a program are of import statements."""
    statements = [node for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.Import, ast.ImportFrom))]
    return sum(node.end_lineno - node.lineno + 1 for node in statements)


def test_lines_fit():
    wrong = []
    for path in files():
        name = name_of(path)
        width = WIDTH_IN_CLASS if name.startswith(IN_CLASS) else WIDTH
        lines = wide_lines(path.read_text(encoding="utf-8"), width)
        wrong += [f"{name}:{number}: {length} columns, at most {width}" for number, length in lines]
    assert not wrong, "\n".join(wrong)


def test_files_fit_in_a_head():
    wrong = []
    for path in files():
        count = len(path.read_text(encoding="utf-8").splitlines())
        if path.is_relative_to(PACKAGE) and count > LINES:
            wrong.append(f"{name_of(path)}: {count} lines, at most {LINES}")
    assert not wrong, "\n".join(wrong)


def test_functions_take_few_arguments():
    wrong = []
    for path in files():
        if name_of(path).startswith(FEW_ARGUMENTS):
            functions = many_arguments(path.read_text(encoding="utf-8"), ARGUMENTS)
            wrong += [f"{name_of(path)}:{line}: {function} has {count}" for line, function, count in functions]
    assert not wrong, f"more than {ARGUMENTS} arguments, a dataclass of settings?\n" + "\n".join(wrong)


def test_the_screen_of_mathematics_stays_small():
    folders = ("minidiff/functional", "minidiff/diffusion")
    shown = [path for path in files() if name_of(path).startswith(folders)]
    count = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in shown)
    assert count <= LINES_IN_CLASS, f"{' + '.join(folders)}: {count} lines, at most {LINES_IN_CLASS}"


def docstrings(path):
    """(line, docstring) of the module, of each class and of each function."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node):
            yield getattr(node, "lineno", 1), ast.get_docstring(node)


def test_docstrings_say_what_a_thing_is_and_have_a_line_for_what_they_raise():
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        for line, text in docstrings(path):
            if line == 1 and text.startswith(("What ", "How ", "Which ")):
                wrong.append(f"{name_of(path)}: begins with a question, {text.split()[0]!r}")
            if re.search(r"Raises [A-Z]\w*Error", text) or re.search(r"\S.*Raises:", text):
                wrong.append(f"{name_of(path)}:{line}: 'Raises:' has no line of its own")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_an_example_has_few_import_lines(path):
    assert import_lines(path.read_text(encoding="utf-8")) <= IMPORT_LINES


def test_what_is_counted():
    assert wide_lines("ab\nabc\nabcd", 2) == [(2, 3), (3, 4)]
    text = "class A:\n    def f(self, a, b, *c, d=1, **e): ...\ndef g(a): ..."
    assert list(many_arguments(text, 4)) == [(2, "f", 5)] and not list(many_arguments(text, 5))
    assert import_lines("import a\nfrom b import (\n    c,\n)\ndef f():\n    import d") == 5


def bars_without_a_word(text):
    """The lines of calls of tqdm that do not say whether there is a bar: its frames fill a log file."""
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "tqdm"]
    return [call.lineno for call in calls if "disable" not in {keyword.arg for keyword in call.keywords}]


def test_a_progress_bar_says_whether_anybody_watches():
    assert bars_without_a_word("tqdm(steps)\ntqdm(steps, disable=None)") == [1]
    wrong = [f"{name_of(path)}:{line}" for path in files() for line in bars_without_a_word(path.read_text(encoding="utf-8"))]
    assert wrong == [], "give tqdm disable=None"
