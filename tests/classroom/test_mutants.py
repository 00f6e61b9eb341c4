import subprocess
import sys

import numpy as np
import pytest

from minidiff.classroom import coverage, mutants
from minidiff.classroom.index import get_equation
from minidiff.classroom.tables.mutants import MUTANTS, Mutant
from minidiff.diffusion import forward
from minidiff.diffusion.schedule import make_schedule


def test_the_list_is_long_enough_and_no_mutant_is_there_twice():
    assert len(MUTANTS) >= 20 and len(set(MUTANTS)) == len(MUTANTS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m.id}: {m.what}")
def test_every_mutant_can_be_made_and_is_undone(mutant):
    function = get_equation(mutant.id).function
    before = function.__code__
    with mutants.mutated(mutant):
        assert function.__code__ != before
    assert function.__code__ is before


def test_a_mutant_reaches_everyone_who_imported_the_function():
    x, eps, schedule = np.array([[0.5]]), np.array([[1.0]]), make_schedule("linear", 10)
    with mutants.mutated(Mutant("forward.q_sample", "sign", "signal + noise", "signal - noise")):
        changed = forward.q_sample(x, 5, eps, schedule)
    np.testing.assert_allclose(changed + forward.q_sample(x, 5, eps, schedule), 2 * forward.q_sample(x, 5, 0 * eps, schedule))


def test_text_that_is_not_there_is_an_error():
    with pytest.raises(ValueError, match="mutant of forward.q_sample: 'no such term' must stand in its code once, found 0"):
        with mutants.mutated(Mutant("forward.q_sample", "", "no such term", "")):
            pass


def test_every_mutant_is_killed_by_an_exact_check():
    """The command itself, in a process of its own: pytest does not run inside pytest."""
    command = [sys.executable, "-m", "minidiff", "mutants"]
    done = subprocess.run(command, cwd=coverage.repository(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(MUTANTS)} of {len(MUTANTS)} mutants killed" in done.stdout
    assert "SURVIVED" not in done.stdout


def test_without_the_tests_there_is_nothing_to_run(monkeypatch):
    monkeypatch.setattr(mutants, "repository", lambda: None)
    with pytest.raises(RuntimeError, match="the exact checks are not here: they need a clone of the project, with tests/, and pytest"):
        mutants.run_checks(["forward.q_sample"])


def test_a_result_says_what_killed_it_or_that_it_survived():
    mutant = Mutant("forward.q_step", "sign", "+", "-")
    assert mutants.describe(mutants.Result(mutant, "tests/a.py::test_b")).split() == ["forward.q_step", "sign", "killed", "by", "test_b"]
    assert mutants.describe(mutants.Result(mutant, None)).endswith("SURVIVED")
