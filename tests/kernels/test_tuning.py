"""Plans that are tried: the fastest counts, each convolution is tried once, and results stay right."""

import numpy as np
import pytest

from minidiff import functional as F
from minidiff import kernels
from minidiff.kernels.cuda import tuning
from minidiff.kernels.cuda.plan import FAST, Plan, Product, candidates, plan


@pytest.fixture
def tuned(monkeypatch):
    monkeypatch.setattr(tuning, "_times", {})
    monkeypatch.setattr(tuning, "LAUNCHES", 2)
    monkeypatch.setattr(tuning, "ROUNDS", 1)
    kernels.tune_plans()
    yield
    kernels.tune_plans(False)


def test_the_fastest_is_taken_and_remembered(cuda, tuned, monkeypatch):
    xp, _ = cuda
    times = {Plan(0, 1): 3.0, Plan(1, 2): 1.0, Plan(2, 4): 2.0}
    asked = []
    monkeypatch.setattr(tuning, "seconds", lambda xp, plan, launch: asked.append(plan) or times[plan])
    for _ in range(2):
        assert tuning.fastest(xp, "a convolution", tuple(times), lambda plan: None) == Plan(1, 2)
    assert asked == list(times)
    assert tuning.tuned() == {"a convolution": times}


def test_the_models_choice_stays_unless_another_is_clearly_faster(cuda, tuned, monkeypatch):
    xp, _ = cuda
    times = {Plan(0, 1): 1.0, Plan(1, 2): 0.97}
    monkeypatch.setattr(tuning, "seconds", lambda xp, plan, launch: times[plan])
    assert tuning.fastest(xp, "a convolution", tuple(times), lambda plan: None) == Plan(0, 1)


def test_launches_are_timed_inside_of_a_graph(cuda, tuned):
    """By events around single launches one would time Python."""
    xp, _ = cuda
    recording = []
    y = xp.zeros(4, "float32")

    def launch(plan):
        recording.append(xp.cuda.get_current_stream().is_capturing())
        y[...] = 1.0

    assert tuning.seconds(xp, Plan(0, 1), launch) >= 0
    assert recording == [False] + [True] * tuning.LAUNCHES and not xp.cuda.get_current_stream().is_capturing()


def test_nothing_is_tried_while_a_graph_is_recorded(cuda, tuned):
    xp, _ = cuda
    stream = xp.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        try:
            assert tuning.fastest(xp, "a convolution", (Plan(0, 1), Plan(1, 2)), lambda plan: pytest.fail("launched")) == Plan(0, 1)
        finally:
            stream.end_capture()
    assert tuning.tuned() == {}


def test_a_convolution_is_tried_once_and_stays_right(cuda, tuned):
    xp, _ = cuda
    rng = np.random.default_rng(0)
    x, weight = (rng.standard_normal(shape, dtype=np.float32) for shape in ((2, 3, 9, 8), (5, 3, 3, 3)))
    expected = F.conv2d(x, weight, padding=1)
    for _ in range(2):
        y = F.conv2d(xp.asarray(x), xp.asarray(weight), padding=1)
        assert np.abs(xp.asnumpy(y.data) - expected.data).max() < 1e-5
    ((key, times),) = tuning.tuned().items()
    assert key[:2] == ("fast", "forward") and len(times) > 1 and min(times.values()) >= 0


def test_nothing_is_tried_unless_asked_for(cuda, monkeypatch):
    xp, _ = cuda
    monkeypatch.setattr(tuning, "_times", {})
    F.conv2d(xp.ones((1, 1, 4, 4), "float32"), xp.ones((1, 1, 3, 3), "float32"))
    assert tuning.tuned() == {}


@pytest.mark.parametrize("images", [1, 128])
def test_candidates_begin_with_the_models_choice_and_have_every_tile(images):
    product = Product(64, images * 196, 9 * 64, 1, images * 64 * 196)
    plans = candidates(product, FAST, 132, True)
    assert plans[0] == plan(product, FAST, 132, True)
    assert {p.tile for p in plans} == set(range(len(FAST))) and len(set(plans)) == len(plans) <= 12
