"""The page docs/play as people use it, in a browser: its text and its pixels are read."""

import numpy as np
import pytest

from minidiff.classroom.coverage import repository
from minidiff.classroom.index import all_equations
from minidiff.classroom.page import digits, points
from minidiff.classroom.tables.latex import LATEX
from minidiff.classroom.tables.symbols import SYMBOLS
from minidiff.diffusion import ddpm_steps, make_schedule
from minidiff.engine.random import RNG

from .conftest import SECONDS, Play

TABS = {
    "points": "Points in the plane", "digits": "A digit comes out of noise", "equation": "One equation, live",
    "unet": "The network that predicts the noise", "broken": "Broken on purpose",
    "lab": "Bug lab", "exercises": "Exercises",
}  # fmt: skip


def arrays(answer, name):
    return np.array(answer[name]["data"]).reshape(answer[name]["shape"])


@pytest.mark.parametrize("tab", TABS)
def test_every_tab_loads_without_a_complaint(play, tab):
    play.open(tab)
    assert TABS[tab] in play.text(f"#panel-{tab} h1")
    assert play.page.locator(f"#panel-{tab} .note.bad").count() == 0
    assert play.page.locator("merror").count() == 0


def test_a_ddpm_step_on_the_page_has_the_numbers_of_cpython(play):
    play.call("points.reverse_start", data="clusters", schedule="linear", T=20, sampler="ddpm")
    answer = play.call("points.reverse_more", count=1)
    here = points.world("clusters", "linear", 20)
    rng = RNG(1)
    x_T = rng.normal((points.N_POINTS, 2))
    step = next(ddpm_steps(here.eps_theta, x_T, make_schedule("linear", 20), rng))
    for name in ("eps_hat", "x_0_hat", "mu", "z", "x_prev"):
        np.testing.assert_allclose(arrays(answer["terms"], name), step[name][0], atol=1e-6, rtol=1e-6)
    cloud = np.array(answer["clouds"][0]["data"]).reshape(-1, 2)
    np.testing.assert_allclose(cloud, step.x_prev, atol=1e-6, rtol=1e-6)


def test_a_step_of_the_network_on_the_page_has_the_numbers_of_cpython(play):
    settings = {"sampler": "ddpm", "S": 4, "seed": 5}
    play.call("digits.start", **settings)
    on_page = play.call("digits.more", count=1)["steps"][0]["terms"]
    digits.start(**settings)
    here = digits.more(count=1)["steps"][0]["terms"]
    for name in ("x_t", "eps_hat", "mu", "x_prev"):
        np.testing.assert_allclose(arrays(on_page, name), here[name], atol=2e-5, rtol=1e-5)


def test_training_points_for_ten_seconds_halves_the_distance_to_the_exact_score(play):
    play.open("points?mode=train&data=moons")
    play.page.get_by_role("button", name="Train", exact=True).nth(1).click()
    play.page.wait_for_function("parseFloat([...document.querySelectorAll('#panel-points .number')].map(n => n.innerText).find(t => t.includes('of training'))) >= 10")
    shown = play.text("#panel-points .numbers")
    play.page.get_by_role("button", name="Stop").click()
    lines = shown.splitlines()
    distance, before = (float(lines[lines.index(what) - 1]) for what in ("distance to the exact score", "before training"))
    assert distance < before / 2


def test_the_slider_of_t_moves_the_cloud_the_values_and_the_address(play):
    play.open("points?t=10&data=roll")
    read = "() => document.querySelector('#panel-points canvas').toDataURL()"
    before, text = play.page.evaluate(read), play.text("#panel-points .code")
    play.page.locator("#points-t").focus()
    play.page.keyboard.press("ArrowRight")
    play.page.wait_for_function("text => document.querySelector('#panel-points .code').innerText !== text", arg=text)
    assert play.page.evaluate(read) != before
    assert "t=11" in play.page.url


def test_the_sampler_walks_back_to_the_data(play):
    play.open("points?mode=reverse&data=clusters&T=50")
    play.page.get_by_role("button", name="▶ Play").click()
    play.page.wait_for_selector("text=what exact draws have")
    distance = float(play.text("#panel-points .numbers").splitlines()[0])
    assert distance < 0.1


def test_each_new_sampler_shows_its_distance_to_the_exact_map(play):
    found = {}
    for sampler in ("ddim", "heun", "dpm++", "sa", "flow-euler"):
        play.open(f"points?mode=reverse&data=four&T=100&schedule=linear&sampler={sampler.replace('+', '%2B')}&S=20&spacing=log-snr")
        play.page.get_by_role("button", name="▶ Play").click()
        play.page.wait_for_selector("text=from the exact map, each point")  # while it walks
        play.page.wait_for_selector("text=calls of the noise predictor")
        lines = play.text("#panel-points .numbers").splitlines()
        found[sampler] = float(lines[0])
        assert lines[-2] == {"heun": "39"}.get(sampler, "20")
        points.reverse_start("four", "linear", 100, sampler, S=20, spacing="log-snr")
        wanted = points.reverse_more(100)
        assert found[sampler] == pytest.approx(wanted["map_distance"], rel=0.02)
    assert max(found["heun"], found["dpm++"], found["sa"]) < 0.5 * found["ddim"]


def test_every_formula_has_the_colours_that_it_has_on_the_site(play, monkeypatch):
    pytest.importorskip("ziamath", reason="pip install -e .[docs]")
    monkeypatch.syspath_prepend(str(repository() / "docs" / "_ext"))
    from formula_svg import symbols_in

    play.open("points")
    read = """async (all) => {
      const { formula } = await import("./formula.js");
      return all.map(([id, latex]) => [id, [...new Set([...formula(latex, "").matchAll(/sym s-(\\w+)/g)].map((m) => m[1]))].sort()]);
    }"""
    on_page = play.page.evaluate(read, list(map(list, LATEX.items())))
    assert {id: found for id, found in on_page} == {id: sorted(symbols_in(latex)) for id, latex in LATEX.items()}
    # and the same colour: a symbol of the code of this tab
    seen = play.page.evaluate("getComputedStyle(document.querySelector('#panel-points .s-x_0')).color")
    light = next(symbol.light for symbol in SYMBOLS if symbol.name == "x_0")
    assert seen == f"rgb({', '.join(str(int(light[i : i + 2], 16)) for i in (1, 3, 5))})"


def test_a_drawn_shape_becomes_the_data(play):
    play.open("points?data=drawn")
    box = play.page.locator("#panel-points canvas").first.bounding_box()
    x, y, side = box["x"], box["y"], box["width"]
    play.page.mouse.move(x + 0.3 * side, y + 0.3 * side)
    play.page.mouse.down()
    play.page.mouse.move(x + 0.7 * side, y + 0.5 * side, steps=20)
    play.page.mouse.up()
    play.page.wait_for_function("location.hash.includes('drawn=')")
    play.page.wait_for_selector("#panel-points .code .line")
    assert "points x_t" in play.text("#points-caption")


def test_a_wrong_edit_fails_its_check_and_the_right_code_passes_again(play):
    play.open("equation?id=forward.q_sample")
    editor = play.page.locator("#equation-code")
    right = editor.input_value()
    editor.fill(right.replace("signal + noise", "signal - noise"))
    play.page.get_by_role("button", name="Check").click()
    play.page.wait_for_selector("#equation-say .note.bad")
    assert "Failed" in play.text("#equation-say") and "x_t[0, 0] is" in play.text("#equation-say")
    editor.fill(right)
    play.page.get_by_role("button", name="Check").click()
    play.page.wait_for_selector("#equation-say .note.good")
    assert "Passed: 2 exact checks" in play.text("#equation-say")


def test_other_words_for_the_same_formula_pass(play):
    play.open("equation?id=reverse.p_step")
    editor = play.page.locator("#equation-code")
    editor.fill("def p_step(mu, sigma_t, z):\n    return mu + z * sigma_t")
    play.page.get_by_role("button", name="Check").click()
    play.page.wait_for_selector("#equation-say .note.good")


def test_arguments_are_changed_and_each_line_shows_its_value(play):
    play.open("equation?id=reverse.p_step")
    box = play.page.locator("#arg-sigma_t")
    box.fill("0")
    box.press("Enter")
    play.page.wait_for_function("document.getElementById('equation-values').innerText.includes('[0.2, -0.6]')")
    assert "a.sigma_t=0" in play.page.url
    box.fill("much")
    box.press("Enter")
    play.page.wait_for_selector("#equation-say .note.bad")
    assert play.text("#equation-say") == "sigma_t: wanted float like 0.1, got 'much'"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def q_sample(x_0, t, eps, schedule:\n    return x_0", "line 1: "),
        ("def q_sample(x_0, t, eps, schedule):\n    return x_1", "NameError: name 'x_1' is not defined"),
        ("def other(x_0):\n    return x_0", "the code must define q_sample(...)"),
    ],
)
def test_code_that_does_not_run_is_told_in_a_sentence(play, code, said):
    play.open("equation?id=forward.q_sample")
    play.page.locator("#equation-code").fill(code)
    play.page.locator("#equation-code").press("Control+Enter")
    play.page.wait_for_selector("#equation-say .note.bad")
    text = play.text("#equation-say")
    assert said in text and "Traceback" not in text and "\n" not in text


def test_a_round_of_find_the_bug_is_won_by_mending_it(play):
    play.open("equation?bug=10")  # forward.q_sample: the sign
    editor = play.page.locator("#equation-code")
    assert "signal - noise" in editor.input_value()
    play.page.get_by_role("button", name="Check").click()
    play.page.wait_for_selector("#equation-say .note.bad")
    play.page.get_by_role("button", name="Show me").click()
    play.page.wait_for_selector("text=What is wrong: sign.")
    editor.fill(editor.input_value().replace("signal - noise", "signal + noise"))
    play.page.get_by_role("button", name="Check").click()
    play.page.wait_for_selector("text=Found and mended.")


def test_every_formula_is_drawn(play):
    play.open("equation")
    drawn = play.page.evaluate(
        """async (latex) => {
            const { formula } = await import("./formula.js");
            const box = document.createElement("div");
            document.body.append(box);
            const wrong = [];
            for (const [id, text] of Object.entries(latex)) {
                box.innerHTML = formula(text);
                const width = box.querySelector("math").getBoundingClientRect().height;
                if (box.querySelector("merror") || !(width > 8) || box.innerText.includes("\\\\") || box.innerText.includes("undefined")) wrong.push(id);
            }
            box.remove();
            return wrong;
        }""",
        {id: LATEX[id] for id in all_equations()},
    )
    assert not drawn


def test_ten_digits_appear(play):
    play.open("points")
    play.page.goto(f"{play.address}#digits?mode=ten&S=12")
    play.page.wait_for_selector("#digits-images[data-done=yes]", timeout=SECONDS)
    images = play.page.evaluate(
        """() => [...document.querySelectorAll("#digits-images canvas")].map((c) =>
            Array.from(c.getContext("2d").getImageData(0, 0, c.width, c.height).data).filter((_, i) => i % 4 === 0))"""
    )
    images = np.array(images).reshape(10, 28, 28)
    dark, bright = (images < 40).mean(axis=(1, 2)), (images > 180).mean(axis=(1, 2))
    assert (dark > 0.5).all() and (bright > 0.02).all(), (dark, bright)  # white strokes on black, no noise
    assert len({image.tobytes() for image in images}) == 10


def test_words_draw_and_unknown_words_are_told(play):
    play.open("digits?mode=words&prompt=a+thick+three&S=6")
    play.page.wait_for_selector("#digits-images[data-done=yes]")
    box = play.page.locator("#digits-prompt")
    box.fill("a green three")
    box.press("Enter")
    play.page.wait_for_selector("#panel-digits .note.bad")
    assert "green" in play.text("#panel-digits .note.bad")


def test_a_term_of_a_step_lights_the_line_that_made_it(play):
    play.open("digits?mode=one&S=6")
    play.page.wait_for_selector("#digits-images[data-done=yes]")
    play.page.locator('#panel-digits [data-term="x_0_hat"]').click()
    play.page.wait_for_function("document.querySelector('#panel-digits .line.lit')?.innerText.includes('clip_x_0(')")
    play.page.locator('#panel-digits [data-term="x_prev"]').click()
    play.page.wait_for_function("document.querySelector('#panel-digits .line.lit')?.innerText.includes('ddim_step(')")
    assert "x_prev = predicted_x_0 + direction + random_noise" in play.text("#panel-digits")


def test_a_block_of_the_network_shows_its_maps_its_code_and_a_gradient(play):
    play.open("unet")
    for side in ("28²", "14²", "7²"):
        assert side in play.text("#unet-drawing")
    play.page.locator('[data-block="down.0"]').click()
    play.page.wait_for_function("document.querySelector('#panel-unet h2').innerText.startsWith('down.0: DownBlock')")
    assert play.page.locator("#unet-maps canvas").count() >= 8
    assert "def forward(self, x: Tensor" in play.text("#panel-unet .code")
    play.page.get_by_role("button", name="Its gradient").click()
    play.page.wait_for_selector("#unet-gradient .number")
    by_tape, by_difference = (float(play.page.locator("#unet-gradient b").nth(i).inner_text()) for i in (0, 1))
    assert by_tape != 0 and abs(by_tape - by_difference) < 0.05 * abs(by_tape) + 1e-5


def test_a_switch_breaks_the_cloud_and_back_again(play):
    play.open("broken?erratum=28&broken=no")
    right = float(play.text("#broken-numbers b"))
    play.page.locator('[data-erratum="28"]').click()
    play.page.wait_for_selector('[data-erratum="28"][aria-checked=true]')
    play.page.wait_for_function("before => parseFloat(document.querySelector('#broken-numbers b').innerText) > before + 0.2", arg=right)
    assert "broken=yes" in play.page.url
    play.page.locator('[data-erratum="28"]').click()
    play.page.wait_for_function("before => Math.abs(parseFloat(document.querySelector('#broken-numbers b').innerText) - before) < 1e-9", arg=right)


def test_what_cannot_run_says_why(play):
    play.open("broken?erratum=39&broken=yes")
    assert "28x28 can't be halved 3 times" in play.text("#broken-stage")


def test_the_keyboard_is_enough(play):
    play.open("points")
    play.page.locator("#tab-points").focus()
    play.page.keyboard.press("ArrowRight")
    play.settle("digits")
    play.page.keyboard.press("End")
    play.settle("exercises")
    play.page.keyboard.press("ArrowLeft")
    play.settle("lab")
    play.page.keyboard.press("ArrowLeft")
    play.settle("broken")
    play.page.keyboard.press("Tab")  # to the tools, then into the panel
    reached = set()
    for _ in range(20):
        reached.add(play.page.evaluate("document.activeElement.dataset.erratum || document.activeElement.id"))
        play.page.keyboard.press("Tab")
    assert {"share", "theme", "6", "39"} <= reached
    play.page.locator('[data-erratum="6"]').focus()
    play.page.keyboard.press("ArrowDown")
    play.page.keyboard.press("Enter")
    play.page.wait_for_selector('[data-erratum="9"][aria-checked=true]')
    play.page.keyboard.press("Control+3")
    play.settle("equation")
    play.page.keyboard.press("Control+4")
    play.settle("unet")
    play.page.locator('[data-block][tabindex="0"]').focus()
    play.page.keyboard.press("ArrowDown")
    play.page.wait_for_function("document.activeElement.dataset.block === document.querySelector('[data-block][aria-pressed=true]').dataset.block")


def test_light_and_dark(play):
    play.open("points")
    colour = "getComputedStyle(document.body).backgroundColor"
    seen = set()
    for _ in range(3):
        play.page.locator("#theme").click()
        seen.add(play.page.evaluate(colour))
    assert len(seen) == 2


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1920, 1080)])
def test_nothing_overflows(browser, address, width, height):
    play = Play(browser, address, width, height)
    play.open()
    wide = {}
    for state in ("points", "points?mode=reverse&sampler=ddim", "points?mode=train", "digits", "digits?mode=words", "equation?id=vlb.two_sums", "unet", "broken", "lab?round=r10", "lab?round=m77", "exercises?name=conv2d_backward"):
        play.open(state)
        inside = "[...document.querySelectorAll('main *')].filter(n => n.getBoundingClientRect().right > innerWidth + 1 && !n.closest('.formula, .code, .editor, .strip, svg, [role=tablist]')).length"
        wide[state] = play.page.evaluate(f"[document.documentElement.scrollWidth - innerWidth, {inside}]")
    play.context.close()
    assert wide == dict.fromkeys(wide, [0, 0])


def test_loading_says_what_and_how_much(browser, address):
    play = Play(browser, address)
    play.page.goto(address)
    play.page.wait_for_function("/Loading .* [0-9.]+ MB|Starting Python/.test(document.getElementById('loading-what').innerText)")
    assert "of 10.1 MB" in play.text("#loading-steps") or play.page.wait_for_function("document.getElementById('loading-steps').textContent.includes('of 10.1 MB')")
    play.context.close()


def test_without_pyodide_the_page_says_so_in_a_sentence(browser, address):
    play = Play(browser, address)
    play.page.route("**/pyodide.asm.wasm", lambda route: route.fulfill(status=404, body=""))
    play.page.goto(address)
    play.page.wait_for_selector("#loading-what .note.bad")
    assert "The page could not start: pyodide.asm.wasm could not be loaded from localhost" in play.text("#loading-what")
    play.context.close()
