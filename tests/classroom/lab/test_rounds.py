"""Every round of the lab: its symptom can be measured, the right diagnosis passes, wrong ones fail, and the bug is taken out again."""

import inspect

import pytest

from minidiff.classroom.index import all_equations
from minidiff.classroom.lab import diagnosis
from minidiff.classroom.lab.diagnosis import diagnose
from minidiff.classroom.lab.experiments import EXPERIMENTS
from minidiff.classroom.lab.listing import listing, place_of, squeezed, terms_of
from minidiff.classroom.lab.patch import applied, function_at
from minidiff.classroom.lab.rounds import all_rounds, choices, symptom_of, symptom_of_cause
from minidiff.classroom.lab.symptom import (
    MARGIN,
    difference,
    largest_difference,
    observed,
    right_symptom,
)
from minidiff.classroom.lab.tables.causes import CAUSES
from minidiff.classroom.lab.tables.consequences import BY_ID, BY_MUTANT
from minidiff.classroom.tables.mutants import MUTANTS

ROUNDS = all_rounds()
HISTORY = [code for code, round in ROUNDS.items() if round.history is not None]
OF_MUTANTS = [code for code, round in ROUNDS.items() if round.mutant is not None]


def codes_of_the_package():
    """The code of every function that a round changes."""
    functions = {patch.target: function_at(patch.target) for cause in CAUSES.values() for patch in cause.patches}
    functions |= {id: all_equations()[id].function for id in {mutant.id for mutant in MUTANTS}}
    return {name: function.__code__ for name, function in functions.items()}


BEFORE = codes_of_the_package()


@pytest.fixture(autouse=True)
def the_bug_is_taken_out_again():
    yield
    assert {name: code.co_code for name, code in codes_of_the_package().items()} == {name: code.co_code for name, code in BEFORE.items()}
    assert codes_of_the_package() == BEFORE


def test_there_are_enough_and_each_mutant_has_its_round():
    assert len(HISTORY) >= 12 and len(OF_MUTANTS) == len(MUTANTS) >= 57
    titles = [ROUNDS[code].title for code in HISTORY]
    assert len(titles) == len(set(titles))
    assert all(ROUNDS[code].history.seen and ROUNDS[code].history.lesson for code in HISTORY)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_gives_the_same_numbers_again(name):
    right = right_symptom(EXPERIMENTS[name])
    assert not right.failed and right.measures and right.pictures
    assert observed(EXPERIMENTS[name]).measures == right.measures or name == "solvers"  # nan is not nan


@pytest.mark.parametrize("code", ROUNDS)
def test_the_symptom_can_be_measured(code):
    """A number differs from the right one by more than the stated share, or it does not run at all."""
    round = ROUNDS[code]
    right = right_symptom(round.experiment)
    assert not right.failed
    name, apart = largest_difference(symptom_of(round), right)
    assert apart > MARGIN, f"{name} differs by {apart:.3f} only"


@pytest.mark.parametrize("code", HISTORY)
def test_the_right_cause_is_right_and_each_wrong_one_is_told_a_number(code):
    round = ROUNDS[code]
    offered = choices(round)
    assert len(set(offered.values())) == len(offered) >= 4
    for letter, key in offered.items():
        grade = diagnose(round, letter)
        assert grade.right == (key == round.history.cause)
        if grade.right:
            assert round.history.lesson in grade.text
        else:
            assert grade.text.startswith("No. ") and ("here it is" in grade.text or "but it is" in grade.text or "not even run" in grade.text)


@pytest.mark.parametrize("code", HISTORY)
def test_the_numbers_tell_the_causes_apart(code):
    """Whoever reads the numbers can answer: each wrong cause has another symptom."""
    round = ROUNDS[code]
    for key in round.history.others:
        _, apart = largest_difference(symptom_of_cause(round.experiment, key), symptom_of(round))
        assert apart > MARGIN, key


@pytest.mark.parametrize("code", HISTORY)
def test_no_title_and_no_hint_says_the_answer(code):
    round = ROUNDS[code]
    cause = CAUSES[round.history.cause]
    for text in (round.title, *round.history.hints):
        assert cause.text.lower() not in text.lower()
        assert all(patch.old not in text and (patch.new not in text or len(patch.new) < 6) for patch in cause.patches)


def right_answer(round):
    """(line, term) of a round with a mutant."""
    place = place_of(round.mutant)
    found = [line for line in listing(round.experiment.suspects) if line.id == round.mutant.id and line.text == place.line]
    assert len(found) == 1 and found[0].number
    return found[0], squeezed(place.line)[place.start : place.end]


@pytest.mark.parametrize("code", OF_MUTANTS)
def test_line_and_term_are_right_and_three_others_are_wrong(code, monkeypatch):
    round = ROUNDS[code]
    line, term = right_answer(round)
    grade = diagnose(round, f"{line.number} {term}")
    assert grade.right and round.mutant.what in grade.text
    assert any(diagnose(round, f"{line.number} {piece}").right for piece in terms_of(line.text)), "a click on one piece must do"
    monkeypatch.setattr(diagnosis, "MUTANTS", ())  # what another bug would look like is measured elsewhere
    wrong = 0
    for other in listing(round.experiment.suspects):
        for piece in terms_of(other.text) if other.number else ():
            if other != line:
                grade = diagnose(round, f"{other.number} {piece}")
                assert not grade.right and (grade.text.startswith("No. ") or "that line" in grade.text)
                wrong += 1
                break
    pieces = [piece for piece in dict.fromkeys(terms_of(line.text)) if not diagnose(round, f"{line.number} {piece}").right]
    assert all("as it should be" in diagnose(round, f"{line.number} {piece}").text for piece in pieces)
    assert wrong + len(pieces) >= 3


def test_another_function_is_told_what_a_bug_in_it_would_look_like():
    round = ROUNDS["m19"]  # mu_theta, alpha_bar for alpha, on three clusters
    number = next(line.number for line in listing(round.experiment.suspects) if line.id == "reverse.p_step" and "sigma_t * z" in line.text)
    said = diagnose(round, f"{number} sigma_t").text
    assert said.startswith("No. reverse.p_step returns the right numbers for what it is given. One bug in it is: variance for sigma. With that, ")
    assert "here it is" in said


def test_lines_before_and_after_the_bug_are_told_apart():
    round = ROUNDS["m18"]
    lines = {line.text.strip(): line.number for line in listing(round.experiment.suspects) if line.id == "reverse.mu_theta"}
    before, after = lines["now = schedule.at(t, like=x_t)"], lines["return mu"]
    assert "is still right" in diagnose(round, f"{before} schedule.at").text
    assert "only hands on what is wrong before" in diagnose(round, f"{after} mu").text


def test_half_a_line_is_too_much():
    round = ROUNDS["m17"]
    line, _ = right_answer(round)
    assert "Point at less" in diagnose(round, f"{line.number} {line.text.strip()}").text


@pytest.mark.parametrize(
    ("code", "answer", "said"),
    [
        ("r1", "z", "r1 wants a letter from a to e, got 'z'"),
        ("m19", "sqrt", "m19 wants a line and a term on it, such as"),
        ("m19", "9999 x", r"m19 has lines 1 to \d+, got 9999"),
        ("m19", "5 nothing", "line 5 is `for t in range.*no 'nothing' there"),
    ],
)
def test_an_answer_of_another_form_is_told(code, answer, said):
    with pytest.raises(ValueError, match=said):
        diagnose(ROUNDS[code], answer)


def test_words_are_as_good_as_a_letter():
    round = ROUNDS["r3"]
    assert diagnose(round, "the loop over t runs upwards from 1 to T").right
    assert diagnose(round, "upwards").right


def test_a_bug_is_taken_out_when_the_experiment_fails():
    function = function_at("diffusion.reverse:mu_theta")
    before = function.__code__
    with pytest.raises(ZeroDivisionError), applied(CAUSES["alpha_bar in the mean"].patches):
        assert function.__code__ is not before
        raise ZeroDivisionError
    assert function.__code__ is before


def test_two_changes_of_one_function_are_made_together():
    cause = CAUSES["alpha for alpha_bar, DDIM"]
    target = "diffusion.targets:x_0_from_eps"
    assert sum(patch.target == target for patch in cause.patches) == 2
    with applied(cause.patches):
        names = function_at(target).__code__.co_names
    assert "alpha_bar" not in names and "one_minus_alpha_bar" not in names


@pytest.mark.parametrize("key", CAUSES)
def test_a_cause_changes_the_code_in_one_place(key):
    for patch in CAUSES[key].patches:
        assert inspect.isfunction(function_at(patch.target)) and patch.old != patch.new
    with applied(CAUSES[key].patches):
        pass


def test_every_consequence_is_of_a_mutant():
    known = {(mutant.id, mutant.what) for mutant in MUTANTS}
    assert set(BY_ID) <= {id for id, _ in known} and set(BY_MUTANT) <= known
    assert set(BY_ID.values()) | set(BY_MUTANT.values()) <= set(EXPERIMENTS)


def test_how_far_two_numbers_are_apart():
    nan, inf = float("nan"), float("inf")
    assert difference(1.0, 2.0) == 0.5 and difference(0.0, 0.0) == 0 and difference(-1.0, 1.0) == 2
    assert difference(nan, nan) == 0 and difference(inf, inf) == 0 and difference(nan, 1.0) == 2
    assert difference(0.01, 0.02, least=0.25) == pytest.approx(0.04)
