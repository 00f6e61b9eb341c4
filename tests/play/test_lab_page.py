"""The tabs Bug lab and Exercises in a browser."""

import pytest

from minidiff.classroom.lab.rounds import all_rounds, choices, symptom_of

from .conftest import SECONDS


def letter_of(code):
    return next(letter for letter, key in choices(all_rounds()[code]).items() if key == all_rounds()[code].history.cause)


def opened(play, code):
    play.open(f"lab?round={code}")
    play.page.wait_for_function(f"document.querySelector('#lab-title').innerText.startsWith('{code}:') && document.querySelector('#lab-question input')")


def test_the_symptom_has_the_numbers_of_cpython(play):
    reply = play.call("lab.open_round", code="r1")
    here = symptom_of(all_rounds()["r1"]).measures
    for row in reply["rows"]:
        assert row["here"] == pytest.approx(here[row["name"]], rel=1e-3, abs=1e-3)
    opened(play, "r1")
    assert "width of the clusters" in play.text("#lab-symptom tr.shows")


def test_a_wrong_answer_is_refuted_and_the_right_one_praised(play):
    opened(play, "r3")
    right = letter_of("r3")
    wrong = "b" if right == "a" else "a"
    play.page.locator(f"#lab-question input[value={wrong}]").check()
    play.page.get_by_role("button", name="Answer", exact=True).click()
    play.page.wait_for_selector("#lab-say .note.bad")
    assert "here it is" in play.text("#lab-say") and "1 answer" in play.text("#lab-tries")
    play.page.locator(f"#lab-question input[value={right}]").check()
    play.page.keyboard.press("Enter")
    play.page.wait_for_selector("#lab-say .note.good")
    assert "erratum 22" in play.text("#lab-say") and "2 answers" in play.text("#lab-tries")


def test_a_training_says_how_far_it_is_and_the_other_tabs_work_meanwhile(play):
    opened(play, "r3")
    play.page.goto(f"{play.address}#lab?round=r13")
    play.page.wait_for_selector("#lab-symptom .working progress")
    play.page.wait_for_function("/A training of 400 steps, with the bug: [1-9]\\d* %/.test(document.getElementById('lab-symptom').innerText)")
    play.page.goto(f"{play.address}#points?t=20")
    play.page.wait_for_function("document.querySelectorAll('#panel-points .code .line').length > 4 && !document.getElementById('panel-points').hidden")
    assert play.page.locator("#lab-symptom .working").count() == 1, "the training is not over yet"
    play.page.goto(f"{play.address}#lab?round=r13")
    play.page.wait_for_selector("#lab-symptom table.symptom")
    assert play.page.locator("#lab-pictures canvas").count() >= 2
    wrong = next(letter for letter in "abc" if letter != letter_of("r13"))
    play.page.locator(f"#lab-question input[value={wrong}]").check()
    play.page.get_by_role("button", name="Answer", exact=True).click()
    play.page.wait_for_selector("#lab-say .note.bad")


def test_answer_without_a_choice_says_so(play):
    opened(play, "r2")
    play.page.get_by_role("button", name="Answer", exact=True).click()
    play.page.wait_for_selector("#lab-say .note.bad")
    assert play.text("#lab-say") == "Choose a cause first."


def test_a_line_and_a_term_are_clicked(play):
    opened(play, "m18")
    line = play.page.locator("#lab-question label", has_text="removed = now.beta / sqrt")
    line.locator("input").check()
    play.page.locator("#lab-terms").get_by_role("button", name="eps_hat", exact=True).click()
    play.page.wait_for_selector("#lab-say .note.bad")
    assert "as it should be" in play.text("#lab-say")
    play.page.locator("#lab-terms").get_by_role("button", name="sqrt", exact=True).click()
    play.page.wait_for_selector("#lab-say .note.good")
    assert "missing square root" in play.text("#lab-say")


def test_hints_come_one_by_one_and_reveal_names_the_test(play):
    opened(play, "m21")
    button = play.page.get_by_role("button", name="Hint")
    button.click()
    play.page.wait_for_function("document.querySelectorAll('#lab-hints .note').length === 1")
    assert "reverse.p_step" in play.text("#lab-hints")
    button.click()
    play.page.wait_for_function("document.querySelectorAll('#lab-hints .note').length === 2")
    assert button.is_disabled()
    play.page.get_by_role("button", name="Reveal").click()
    play.page.wait_for_function("document.getElementById('lab-revealed').innerText.includes('Caught by test_')")


def test_what_does_not_run_says_why(play):
    opened(play, "m2")
    assert "It does not run. ValueError: Schedule: beta must be (T,) numbers in (0, 1)" in play.text("#lab-symptom")


def test_the_round_is_in_the_address_and_the_next_one_is_a_click_away(play):
    opened(play, "r4")
    play.page.locator("#lab-next").click()
    play.page.wait_for_function("document.querySelector('#lab-title').innerText.startsWith('r5:') && document.querySelector('#lab-question input')")
    assert "round=r5" in play.page.url
    read = "() => [...document.querySelectorAll('#lab-pictures canvas')].map(c => c.toDataURL())"
    here, right = play.page.evaluate(read)
    assert here != right
    play.page.locator("#lab-pick").select_option("m4")
    play.page.wait_for_function("document.querySelector('#lab-title').innerText.startsWith('m4:')")
    assert "round=m4" in play.page.url


def test_a_round_with_a_training(play):
    opened(play, "r12")
    play.page.wait_for_selector("#lab-symptom tr.shows", timeout=SECONDS)
    assert "jumps of the loss" in play.text("#lab-symptom")


# -- exercises -------------------------------------------------------------------------------------

BODY = "    now = schedule.at(t, like=x_0)\n    return sqrt(now.alpha_bar) * x_0 + {} * eps\n"


def written(play, body):
    editor = play.page.locator("#exercise-code")
    head, _, _ = editor.input_value().partition("    now =" if "    now =" in editor.input_value() else "    raise NotImplementedError")
    editor.fill(head + body)
    play.page.get_by_role("button", name="Check", exact=True).click()


def test_an_exercise_is_graded_as_in_a_terminal(play):
    play.open("exercises?name=q_sample")
    written(play, BODY.format("now.one_minus_alpha_bar"))
    play.page.wait_for_selector("#exercise-say .note.bad")
    said = play.text("#exercise-say")
    assert "x_t[0, 0] is 0.261887, exact 0.333384" in said and "the ratio is sqrt(1 - alpha_bar_t)" in said
    assert "with this fault: missing square root." in said and "code=" in play.page.url
    written(play, BODY.format("sqrt(now.one_minus_alpha_bar)"))
    play.page.wait_for_selector("#exercise-say .note.good")
    assert "Right (3 calls, 45 numbers agree" in play.text("#exercise-say")
    assert play.text('[data-name="q_sample"] .mark') == "✓"


def test_an_address_brings_the_code_back(play):
    play.open("exercises?name=p_step&code=def+p_step(mu%2C+sigma_t%2C+z)%3A%0A++++return+mu")
    assert play.page.locator("#exercise-code").input_value() == "def p_step(mu, sigma_t, z):\n    return mu"
    play.page.locator("#exercise-code").press("Control+Enter")
    play.page.wait_for_selector("#exercise-say .note.bad")
    assert "the part with z is missing" in play.text("#exercise-say")


def test_hints_the_list_and_beginning_anew(play):
    play.open("exercises?name=mu_theta")
    play.page.get_by_role("button", name="Hint").click()
    play.page.wait_for_selector("#exercise-hints .note")
    assert "Take a share of the predicted noise away" in play.text("#exercise-hints")
    play.page.locator("#exercise-code").fill("nothing")
    play.page.get_by_role("button", name="Begin anew").click()
    assert "raise NotImplementedError" in play.page.locator("#exercise-code").input_value()
    play.page.locator('[data-name="mu_theta"]').focus()
    play.page.keyboard.press("ArrowDown")
    play.page.keyboard.press("Enter")
    play.page.wait_for_function("document.getElementById('exercise-title').innerText.includes('p_step')")
    assert "name=p_step" in play.page.url and not play.text("#exercise-hints")


def test_the_editor_keeps_the_indent(play):
    play.open("exercises?name=L_simple")
    editor = play.page.locator("#exercise-code")
    editor.fill("def L_simple(eps, eps_hat):")
    editor.press("End")
    editor.press("Enter")
    play.page.keyboard.type("x = 1")
    editor.press("Enter")
    play.page.keyboard.type("return x")
    assert editor.input_value() == "def L_simple(eps, eps_hat):\n    x = 1\n    return x"


def test_a_loop_without_an_end_does_not_freeze_the_page(play):
    play.open("exercises?name=p_step")
    play.page.locator("#exercise-code").fill("def p_step(mu, sigma_t, z):\n    while True:\n        mu = mu + z")
    play.page.get_by_role("button", name="Check", exact=True).click()
    play.page.wait_for_selector("#exercise-say .note.bad", timeout=SECONDS)
    assert "a loop without an end?" in play.text("#exercise-say")
