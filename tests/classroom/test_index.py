import pytest

from minidiff.classroom.index import all_equations, get_equation
from minidiff.classroom.tables.after_the_deck import EVERYTHING
from minidiff.classroom.tables.errata import ERRATA
from minidiff.classroom.tables.latex import LATEX


def test_every_equation_has_latex_a_paper_and_a_slide_that_lists_it():
    titles = {slide.title: [] for slide in EVERYTHING}
    for slide in EVERYTHING:
        titles[slide.title] += [id for formula in slide.formulas for id in formula.equations]
    for id, equation in all_equations().items():
        assert LATEX[id] and equation.paper and equation.summary or id == "unet.time_embedding"
        listed = [title for title, ids in titles.items() if id in ids]
        assert listed, f"{id} is on no slide"


def test_no_latex_is_left_of_an_equation_that_is_gone():
    assert set(LATEX) == set(all_equations())


def test_every_erratum_has_a_line_and_every_cited_one_exists():
    assert sorted(ERRATA) == list(range(1, 54))
    assert all(number in ERRATA for e in all_equations().values() for number in e.errata)


def test_the_equations_come_in_the_order_of_the_deck():
    ids = list(all_equations())
    assert ids[0] == "schedule.linear" and ids.index("forward.q_step") < ids.index("posterior.bayes") < ids.index("ddim.step")


def test_an_unknown_id_names_the_nearest():
    with pytest.raises(KeyError, match="no equation is called 'forward.q_smaple'; did you mean forward.q_sample"):
        get_equation("forward.q_smaple")
