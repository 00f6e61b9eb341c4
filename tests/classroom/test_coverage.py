import pytest

from minidiff.classroom import coverage
from minidiff.classroom.tables.slide import Formula, Slide
from minidiff.diffusion.equation import equation


def test_every_formula_has_an_equation_and_every_equation_a_check():
    report = coverage.deck_report()
    assert report.complete, "\n".join(report.missing)
    assert report.formulas > 100
    assert str(report).endswith("every formula is covered")


def test_a_formula_without_an_equation_and_a_dead_reference_are_reported(monkeypatch):
    slides = (Slide(1, "Made Up", (Formula("lost", None, ()), Formula("wrong", None, ("no.such",))), code=("minidiff.diffusion.nothing",)),)
    monkeypatch.setattr(coverage, "SLIDES", slides)
    report = coverage.deck_report()
    assert report.missing == [
        "slide 1: lost has no equation",
        "slide 1: wrong: no equation is called no.such",
        "slide 1: minidiff.diffusion.nothing does not exist",
    ]
    assert "MISSING  slide 1: lost has no equation" in str(report) and str(report).endswith("3 missing")


def test_an_equation_without_a_check_is_reported(monkeypatch):
    from minidiff.diffusion import equation as equations

    monkeypatch.setattr(equations, "_registry", dict(equations._registry))
    equation("made.up", "none")(lambda x: x)
    assert "made.up has no check in tests/" in coverage.deck_report().missing


def test_without_the_tests_at_hand_the_report_says_so(monkeypatch):
    monkeypatch.setattr(coverage, "repository", lambda: None)
    assert "(the tests are not installed here: checks are not counted)" in coverage.deck_report().lines


def test_a_test_is_said_in_words():
    assert coverage.in_words("tests/a.py::test_the_oracle_s_noise_is_its_score[3]") == "the oracle's noise is its score"
    assert coverage.in_words("test_the_two_agree_at_s_1_and_s_is_kept") == "the two agree at s 1 and s is kept"


def test_the_marker_s_tests_exist_by_name():
    root = coverage.repository()
    tests = coverage.tests_by_equation()["forward.q_sample"]
    assert any(test.startswith("tests/diffusion/test_forward.py::test_") for test in tests)
    assert all((root / test.partition("::")[0]).exists() for test in tests)


def test_resolve_finds_methods_and_refuses_the_rest():
    from minidiff.models import UNet

    assert coverage.resolve("minidiff.models.unet.UNet.forward") is UNet.forward
    with pytest.raises(AttributeError):
        coverage.resolve("minidiff.models.unet.Nothing")
    with pytest.raises(ImportError, match="no module of nowhere.at.all"):
        coverage.resolve("nowhere.at.all")
