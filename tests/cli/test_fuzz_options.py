"""Command lines at random, for every example: taken or refused in one line, at once, without a traceback."""

import argparse
import re

import pytest
from support.fuzzing import cases, no_hang
from support.programs import EVERY_PROGRAM, EXAMPLES, PROGRAMS, module_of, options_of

from minidiff import cli
from minidiff.cli.options import Parser

NUMBERS = (
    "0", "-1", "1", "2", "1e12", "1" + "0" * 12, "1e26", "9" * 30, "9" * 5000, "nan", "inf", "-inf", "1e400", "1e-400", "0.5", "1.0", "0x10", "1_0",
    "١", "one", "", " ", "-", "--", "\x7f", "ü", "\udcff", "%s", "%(default)s", "{}", "[1]", "None", "True", "1\n2", "cuda:99", "cpu:0", "mnist", "../..", "/", "-5e3",
)  # fmt: skip


def parser_of(name, monkeypatch):
    """The Parser that an example makes."""
    made = []
    parse = Parser.parse_args

    def parse_args(self, *rest):
        made.append(self)
        return parse(self, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(Parser, "parse_args", parse_args)
        options_of(module_of(name))
    return made[0]


def test_every_example_with_options_is_here():
    """And starts inside cli.program(), from which errors come as one line."""
    assert len(EVERY_PROGRAM) == len(list(EXAMPLES.glob("*.py"))) - 2
    for name in PROGRAMS:
        text = (EXAMPLES / name).read_text(encoding="utf-8")
        assert "    with cli.program():" in text.split('if __name__ == "__main__":')[1], name


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_number_has_a_limit_and_every_path_a_name(name, monkeypatch):
    parser = parser_of(name, monkeypatch)
    for action in parser._actions:
        if action.nargs == 0 or action.choices is not None or action.dest == "prompt":
            continue
        assert action.type is not None, f"{name}: {action.dest} takes anything"
        for text in ("1" + "0" * 12, "", "1e26") if action.type not in (cli.path,) and action.dest != "data_dir" else ("",):
            if text[:2] == "10" and action.dest == "seed":
                continue
            with pytest.raises(argparse.ArgumentError):
                parser._get_value(action, text)


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_and_random_options(name, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    module = module_of(name)
    assert options_of(module, "--help") == 0 and "usage: " in capsys.readouterr().out
    known = [option for action in parser_of(name, monkeypatch)._actions for option in action.option_strings if option not in ("-h", "--help")]
    capsys.readouterr()
    refused = 0
    for i, random in cases(60, seed=5):
        words = []
        for _ in range(random.integers(1, 4)):
            words.append(str(random.choice(known)))
            if random.random() < 0.9:
                words.append(str(random.choice(NUMBERS)))
        with no_hang():
            try:
                with cli_program():
                    end = options_of(module, *words)
            except SystemExit as refusal:  # --resume where there is no run
                end = refusal.code
        errors = capsys.readouterr().err
        if isinstance(end, argparse.Namespace):
            continue
        refused += 1
        assert end == 2, (i, words, end)
        assert len(re.findall("error: ", errors)) == 1 and "Traceback" not in errors and len(errors) < 3000, (i, words, errors)
    assert refused > 20
    assert not list(tmp_path.iterdir())


class cli_program:
    """cli.program(), of which only a mistake inside of parse_options() is to be seen."""

    def __enter__(self):
        self.frame = cli.program()
        self.frame.__enter__()

    def __exit__(self, *error):
        return self.frame.__exit__(*error)
