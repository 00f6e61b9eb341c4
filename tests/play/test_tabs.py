"""The functions behind the tabs, in CPython: their numbers against independent ones."""

import numpy as np
import pytest

from minidiff.classroom.index import all_equations
from minidiff.classroom.page import broken, digits, equations, points, unet
from minidiff.classroom.tables.errata import ERRATA
from minidiff.classroom.tables.mutants import MUTANTS
from minidiff.diffusion import q_sample
from minidiff.engine.random import RNG

# -- Points ----------------------------------------------------------------------------------------


def test_forward_is_q_sample_and_its_lines_show_the_values_of_the_first_point():
    reply = points.forward("clusters", "linear", 50, 20)
    here = points.world("clusters", "linear", 50)
    np.testing.assert_array_equal(reply["cloud"], q_sample(here.x_0, 20, here.eps, here.schedule))
    last = next(line for line in reply["code"]["lines"] if line["text"].strip().startswith("x_t ="))
    assert float(last["values"]["x_t"].strip("[ ").split(",")[0]) == pytest.approx(reply["cloud"][0, 0], abs=1e-5)


@pytest.mark.parametrize("data", ["roll", "moons", "clusters"])
def test_the_arrows_are_the_gradient_of_the_log_density(data):
    here = points.world(data, "cosine", 50)
    from minidiff.diffusion.oracle import log_marginal

    x, t, h = np.array([[0.3, -0.4]]), 20, 1e-5
    moved = [(log_marginal(x + d, t, here.mixture, here.schedule) - log_marginal(x - d, t, here.mixture, here.schedule))[0] / (2 * h) for d in h * np.eye(2)]
    from minidiff.diffusion.oracle import exact_score

    np.testing.assert_allclose(exact_score(x, t, here.mixture, here.schedule)[0], moved, rtol=1e-5)
    assert here.exact_arrows(t).shape == (points.GRID**2, 2)


@pytest.mark.parametrize(("sampler", "steps"), [("ddpm", 40), ("ddim", 8), ("heun", 8), ("dpm++", 16), ("sa", 16), ("flow-euler", 8), ("flow-heun", 8)])
def test_the_samplers_reach_the_data(sampler, steps):
    points.reverse_start("clusters", "linear", 40, sampler, S=steps)
    seen, reply = 0, {"done": False}
    while not reply["done"]:
        reply = points.reverse_more(5)
        seen += len(reply["clouds"])
    assert seen == steps and reply["distance"] < 0.25


def walk_to_the_end(**how):
    start = points.reverse_start(**how)
    found = []
    while True:
        reply = points.reverse_more(1)
        found.append(reply.get("map_distance"))
        if reply["done"]:
            return start, found, reply


def test_the_exact_map_is_the_ode_of_the_plane():
    """Heun's method with 2,000 steps on the score of the plane's mixture, which knows nothing of quantiles."""
    from minidiff.beyond import heun_steps
    from minidiff.diffusion.schedule import make_schedule

    schedule, x_T = make_schedule("linear", 2000), RNG(0).normal((50, 2), np.float64)
    eps_theta = points.FOUR.plane.eps_theta(schedule)
    for step in heun_steps(eps_theta, x_T, schedule):
        if step.t_prev == 1000:
            np.testing.assert_allclose(step.x_prev, points.FOUR.exact_map(x_T, 1000, schedule), atol=2e-4)
        if step.t_prev == 1:
            np.testing.assert_allclose(step.x_prev, points.FOUR.exact_map(x_T, 1, schedule), atol=5e-3)
    np.testing.assert_allclose(points.FOUR.plane.weights, [0.18, 0.12, 0.42, 0.28])


def test_the_distance_to_the_exact_map_falls_with_the_steps_and_with_the_order_of_the_solver():
    def last(sampler, S, spacing="log-snr"):
        return walk_to_the_end(data="four", schedule="linear", T=200, sampler=sampler, S=S, spacing=spacing)[1][-1]

    assert last("ddim", 40) < 0.6 * last("ddim", 20)
    for sampler in ("heun", "dpm++", "flow-heun"):
        assert last(sampler, 40) < 0.4 * last(sampler, 20) < 0.2 * last("ddim", 20)
    assert last("flow-euler", 20) == pytest.approx(last("ddim", 20), rel=1e-3)  # one method in another scale
    assert last("dpm++", 10, "uniform") > 2 * last("ddim", 10, "uniform")  # a method of second order needs its spacing


def test_the_exact_map_is_compared_where_it_is_known_only():
    for how in ({"data": "clusters", "sampler": "heun"}, {"data": "four", "sampler": "ddpm"}, {"data": "four", "sampler": "ddim", "eta": 0.5}):
        start, found, reply = walk_to_the_end(schedule="linear", T=20, S=5, **how)
        assert not start["follows"] and set(found) == {None} and reply["distance"] < 0.5
    start, found, _ = walk_to_the_end(data="four", schedule="linear", T=20, S=5, sampler="heun")
    assert start["follows"] and start["calls"] == 9 and all(value > 0 for value in found)


def test_the_distance_knows_another_distribution():
    mixture = points.make_mixture("clusters")
    same, other = mixture.sample(400, RNG(5)), points.make_mixture("roll").sample(400, RNG(5))
    assert points.distance_of_clouds(same, mixture) < 0.1 < 0.3 < points.distance_of_clouds(other, mixture)
    assert points.distance_of_clouds(same * np.nan, mixture) == float("inf")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: points.make_mixture("drawn", [[0, 0]]), "draw a shape first"),
        (lambda: points.reverse_start("roll", "linear", 10, "euler"), "the sampler must be ddim, ddpm, heun, dpm\\+\\+, sa, flow-euler, flow-heun, got 'euler'"),
    ],
)
def test_wrong_points_are_told(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def test_training_brings_the_network_nearer_to_the_exact_score():
    points.train_start("clusters", "cosine", 50)
    training = points.training
    for _ in range(60):
        training.step()
    assert training.distance() < 0.8 * training.first_distance


# -- Equation --------------------------------------------------------------------------------------


@pytest.mark.parametrize("id", all_equations())
def test_every_equation_opens_runs_and_runs_edited(id):
    opened = equations.open_equation(id)
    plain = equations.run_equation(id, opened["code"], {})
    edited = equations.run_equation(id, opened["code"] + "\n", {})  # a changed text takes the other way
    assert plain["lines"] == edited["lines"] and len(plain["lines"]) > 1


def test_every_round_of_find_the_bug_changes_one_place():
    for number, mutant in enumerate(MUTANTS):
        right, bug = equations.code_of(all_equations()[mutant.id]), equations.bug(number)
        assert bug["id"] == mutant.id and bug["code"] != right
        assert bug["code"].replace(mutant.new.strip("\n"), mutant.old.strip("\n"), 1) == right or right.count(mutant.old.strip("\n")) >= 1
    assert equations.bug(len(MUTANTS))["number"] == 0


def test_the_first_number_that_differs_is_named():
    id = "forward.q_sample"
    code = equations.open_equation(id)["code"].replace("signal + noise", "signal - noise")
    assert equations.difference(all_equations()[id], code) == "x_t[0, 0] is -0.78605, right is 1.10768"


def test_an_edit_is_gone_afterwards():
    id = "reverse.p_step"
    equation = all_equations()[id]
    before = equation.function.__code__
    with pytest.raises(ZeroDivisionError):
        equations.run_equation(id, "def p_step(mu, sigma_t, z):\n    return 1 / 0", {})
    assert equation.function.__code__ is before


def test_what_is_typed_is_read_or_told():
    found = equations.inputs_from(all_equations()["forward.q_sample"], {"t": "3", "x_0": "[[1, 2]]", "schedule": "cosine 20"})
    assert found["t"] == 3 and found["schedule"].T == 20 and found["x_0"].tolist() == [[1.0, 2.0]]
    with pytest.raises(ValueError, match="schedule: wanted a name and T, such as linear 10, got 'linear'"):
        equations.inputs_from(all_equations()["forward.q_sample"], {"schedule": "linear"})


# -- Broken on purpose -----------------------------------------------------------------------------


def test_every_class_a_erratum_is_a_switch():
    assert {s.erratum for s in broken.SWITCHES} == {number for number, (kind, _) in ERRATA.items() if kind == "A"}


@pytest.mark.parametrize("erratum", [s.erratum for s in broken.SWITCHES])
def test_a_switch_makes_a_difference(erratum):
    right, wrong = broken.flip(erratum, False), broken.flip(erratum, True)
    if "refused" in wrong:
        assert "refused" not in right
    elif right["kind"] == "samples":
        assert abs(wrong["distance"] - right["distance"]) > 0.015
        assert "distance" in broken.flip(erratum, True, "digit")
    elif right["kind"] == "curves":
        assert not np.allclose(right["right"], right["printed"])
    else:
        assert right != wrong


def test_the_numbers_of_the_errata_are_those_of_the_table():
    weight = broken.flip(14, True)
    assert weight["printed"][0] == pytest.approx(5001, rel=1e-3) and weight["right"][0] == pytest.approx(0.50, abs=1e-3)
    assert broken.flip(25, True)["right"][0] == pytest.approx(1)
    assert broken.flip(37, True)["levels"] == [64, 128, 256, 1024] and broken.flip(37, False)["levels"] == [64, 128, 128, 256]


@pytest.mark.parametrize(("arguments", "said"), [((1, True), "erratum 1 is no switch"), ((6, True, "cats"), "must be points or digit, got 'cats'")])
def test_an_unknown_switch_or_subject_is_told(arguments, said):
    with pytest.raises(ValueError, match=said):
        broken.flip(*arguments)


# -- Digits and U-Net ------------------------------------------------------------------------------


@pytest.mark.parametrize(("sampler", "prompt"), [("ddim", ""), ("ddpm", ""), ("ddim", "a thick three")])
def test_every_term_of_a_step_is_explained(sampler, prompt):
    digits.start(sampler, S=3, prompt=prompt, seed=2)
    reply = digits.more(3)
    assert len(reply["steps"]) == 3 and reply["done"]
    for name in reply["steps"][1]["names"]:
        if name == "t_prev":
            continue
        made = digits.term(1, name)
        assert made["latex"] and any(name in line["text"] for line in made["loop"])
        if "code" in made:
            assert any(line["values"] for line in made["code"]["lines"])


def test_the_code_beside_a_term_gives_the_term():
    digits.start("ddim", S=4, seed=1)
    digits.more(2)
    step = digits.walk.steps[1]
    function, _ = digits.MAKERS["ddim"]["x_prev"]
    np.testing.assert_array_equal(function(**digits.arguments_of(function, step)), step.x_prev)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [({"n": 11}, "n must be in 1..10, got 11"), ({"sampler": "euler"}, "the sampler must be ddim or ddpm, got 'euler'"), ({"prompt": "a green three"}, "green")],
)
def test_wrong_digits_are_told(arguments, said):
    with pytest.raises(ValueError, match=said):
        digits.start(**arguments)


def test_latents_are_laid_side_by_side():
    four = np.arange(16.0).reshape(4, 2, 2)
    assert digits.tiled(four).tolist() == [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]


def test_the_blocks_have_the_shapes_of_the_deck():
    reply = unet.run(t=200, digit=5)
    sides = {block["output"][1] for block in reply["blocks"] if len(block["output"]) == 3}
    assert sides == {28, 14, 7} or reply["patch_size"] == 2
    assert sum(block["parameters"] for block in reply["blocks"]) == reply["parameters"]
    assert all("forward" not in vars(module) for _, module in unet.parts(unet.network().model))


def test_a_gradient_is_that_of_the_tape_and_leaves_the_weights_alone():
    unet.run(t=200, digit=5)
    weight = dict(unet.block_called("middle").named_parameters())["res1.conv1.weight"]
    before = weight.data.copy()
    found = unet.gradient("middle", "res1.conv1.weight", 12)
    assert found["gradient"] == pytest.approx(found["difference"], rel=0.05, abs=1e-5)
    np.testing.assert_array_equal(weight.data, before)
    assert weight.grad is None


@pytest.mark.parametrize("call", [lambda: unet.block("attic"), lambda: unet.gradient("middle", "nothing")])
def test_an_unknown_block_is_told(call):
    unet.run()
    with pytest.raises(ValueError, match="unet: "):
        call()


def test_both_bars_of_a_norm_are_as_tall_as_each_other(play):
    play.open("points?mode=train")
    heights = play.page.evaluate(
        "[...document.querySelectorAll('#panel-points .formula mo')].filter((mo) => mo.textContent === '‖').map((mo) => mo.getBoundingClientRect()).map((box) => [box.top, box.height])"
    )
    assert len(heights) == 2 and heights[0] == heights[1] and heights[0][1] > 20
    assert "x_t at t = 30" in play.text("#points-caption"), "what is shown is noisy"
