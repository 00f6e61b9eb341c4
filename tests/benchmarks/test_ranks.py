"""The model of many ranks, and that the page holds what the figures beside it give."""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def ranks():
    spec = importlib.util.spec_from_file_location("ranks", ROOT / "benchmarks" / "ranks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_holds_the_figures_beside_it(ranks):
    folder = ROOT / "docs" / "benchmarks"
    facts = json.loads((folder / "ranks.json").read_text(encoding="utf-8"))
    assert (folder / "ranks.md").read_text(encoding="utf-8") == ranks.report(facts)


def test_the_model_counts_what_it_says(ranks):
    model = {"a": 2.0, "c": 0.5, "d": 0.01}
    assert ranks.step_seconds(100, 1, model, 1000, 1.0, 10.0) == (2 + 50 + 1, 0)
    seconds, messages = ranks.step_seconds(100, 8, model, 1000, 1.0, 10.0)
    assert messages == 2 * 3 * 1.0 + 2 * 1000 * 7 / 8 / 10.0 and seconds == 2 + 0.5 * 13 + 1 + messages  # the slowest rank has 13 images


def test_the_fit_finds_the_parts(ranks):
    gradient = {str(n): 0.3 + 0.02 * n for n in ranks.SHARES}
    model = ranks.fit({"gradient": gradient, "update": 0.1, "draw": 0.64}, 64)
    assert model == {"a": pytest.approx(0.4), "c": pytest.approx(0.02), "d": pytest.approx(0.01)}
