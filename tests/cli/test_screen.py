"""An output that is full, closed or narrow does not end a program."""

import io
import sys

import pytest

from minidiff import cli
from minidiff.training.screen import Screen, spelt


@pytest.mark.parametrize(
    ("encoding", "text", "expected"),
    [
        ("utf-8", "√ᾱ_t 一", "√ᾱ_t 一"),
        ("latin-1", "√(α\u0304_t) x_0 · ε", "sqrt(alpha_bar_t) x_0 · epsilon"),
        ("cp1252", "Σ μ\u0303 ∈ ∇ – é", "Sigma mu_tilde  in  grad  – é"),
        ("ascii", "runs/größe/数", "runs/gro\\u0308\\xdfe/\\u6570"),
        ("ascii", "│─┌\u2003β", "|-+ beta"),
    ],
)
def test_letters_that_an_encoding_lacks_are_spelt_out(encoding, text, expected):
    assert spelt(text, encoding) == expected
    spelt(text, encoding).encode(encoding)


class Full(io.TextIOWrapper):
    def __init__(self):
        super().__init__(io.BytesIO(), "utf-8")

    def write(self, text):
        raise OSError(28, "No space left on device")


def test_a_full_output_is_remembered_and_nothing_is_raised():
    screen = Screen(Full())
    print("text", file=screen, flush=True)
    assert screen.broken == "No space left on device"
    assert Screen.of(screen) is screen
    nothing = Screen(None)  # a program that was started without an output
    print("text", file=nothing, flush=True)
    assert not nothing.broken


def test_a_program_whose_output_fails_does_its_work_and_ends_with_status_1(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", Full())
    done = []
    with pytest.raises(SystemExit) as end, cli.program():
        print("first")
        done.append(1)
    assert end.value.code == 1 and done
    assert capsys.readouterr().err == "error: the output cannot be written (No space left on device)\n"


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (ValueError("a: wanted b, got c"), 2, "error: a: wanted b, got c\n"),
        (MemoryError("Unable to allocate 7 TiB"), 2, "error: not enough memory: Unable to allocate 7 TiB\n"),
        (MemoryError(), 2, "error: not enough memory: MemoryError\n"),
        (OverflowError("too large"), 2, "error: too large\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_a_mistake_is_told_in_one_line(error, status, message, capsys):
    with pytest.raises(SystemExit) as end, cli.program():
        raise error
    assert end.value.code == status and capsys.readouterr().err == message


def test_a_bug_is_no_mistake():
    with pytest.raises(TypeError), cli.program():
        raise TypeError("a bug")
