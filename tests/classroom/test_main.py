import io

import pytest

from minidiff.__main__ import main


def test_no_command_prints_the_status(capsys):
    assert main([]) == 0
    assert capsys.readouterr().out.startswith("minidiff ")


def test_explain_takes_a_title_of_several_words(capsys):
    assert main(["explain", "Forward", "Diffusion", "Process"]) == 0
    assert "forward.q_sample" in capsys.readouterr().out


def test_a_wrong_id_is_one_line_on_stderr(capsys):
    assert main(["explain", "forward.q_smaple"]) == 2
    assert capsys.readouterr().err.startswith("minidiff: no equation is called 'forward.q_smaple'; did you mean forward.q_sample")


def test_deck_reports_full_coverage(capsys):
    assert main(["deck"]) == 0
    assert capsys.readouterr().out.rstrip().endswith("every formula is covered")


def test_step_starts_at_the_time_asked_for(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("q\n"))
    assert main(["step", "ddim", "--t", "500", "--steps", "20"]) == 0
    assert capsys.readouterr().out.startswith("Step ddim, t = 474")


def test_step_says_when_there_is_no_such_time(capsys):
    assert main(["step", "ddpm", "--t", "0", "--T", "10"]) == 2
    assert "minidiff: step: no step at t <= 0; times are 1..10" in capsys.readouterr().err


def test_an_unknown_command_is_an_error(capsys):
    with pytest.raises(SystemExit):
        main(["draw"])
    assert "invalid choice: 'draw'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "mode"),
    [
        (["explain", "forward.q_sample"], "reference"),
        (["step", "ddpm", "--T", "5"], "reference"),
        (["step", "ddpm", "--T", "5", "--kernels", "auto"], "auto"),
    ],
)
def test_what_is_shown_runs_by_the_definitions(arguments, mode, monkeypatch, capsys):
    from minidiff.classroom import explain, walk
    from minidiff.engine import registry

    modes = []
    note = lambda *_, **__: modes.append(registry._choice.get().mode)  # noqa: E731
    monkeypatch.setattr(explain, "explain", note)
    monkeypatch.setattr(walk.Walker, "cmdloop", note)
    assert main(arguments) == 0 and modes == [mode]
    assert registry._choice.get().mode == "auto"


def test_short_is_one_screen(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["explain", "--short", "posterior.mu_tilde"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 23 and max(map(len, lines)) <= 80 and any("return mu_tilde" in line for line in lines)
