import os

import numpy as np
import pytest
from PIL import Image

from minidiff.pictures import (
    curves,
    save_code_usage,
    save_loss_curve,
    save_loss_per_t,
    save_perplexity,
)


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB"))


@pytest.fixture
def drawn(monkeypatch):
    """The matplotlib figures that were saved."""
    figures = []
    real_save = curves.save_figure
    monkeypatch.setattr(curves, "save_figure", lambda figure, path: (figures.append(figure), real_save(figure, path)))
    return figures


def test_a_loss_curve_shows_what_it_was_given(tmp_path, drawn):
    steps, losses, smoothed = [1, 2, 3], [1.0, 0.5, 0.2], [1.0, 0.7, 0.4]
    save_loss_curve(tmp_path / "loss.png", steps, losses, smoothed, title="Loss of this run")
    (axes,) = drawn[0].axes
    assert [line.get_ydata().tolist() for line in axes.lines] == [losses, smoothed]
    assert axes.get_title() == "Loss of this run"
    assert axes.get_yscale() == "log"
    assert pixels(tmp_path / "loss.png").shape == (600, 1000, 3)
    assert os.listdir(tmp_path) == ["loss.png"]


@pytest.mark.parametrize("losses", [[0.0], [-1.0], [np.nan]])
def test_a_loss_that_has_no_logarithm_is_drawn_on_a_linear_axis(tmp_path, drawn, losses):
    save_loss_curve(tmp_path / "loss.png", [1], losses)
    assert drawn[0].axes[0].get_yscale() == "linear"


def test_loss_per_t_draws_the_mean_of_each_part(tmp_path, drawn):
    t, loss = np.array([1, 2, 3, 4, 9, 10]), np.array([1.0, 3.0, 5.0, 7.0, 2.0, 4.0])
    save_loss_per_t(tmp_path / "t.png", t, loss, bins=5)
    dots, mean = drawn[0].axes[0].lines
    assert (dots.get_xdata().tolist(), dots.get_ydata().tolist()) == (t.tolist(), loss.tolist())
    assert mean.get_xdata().tolist() == [1.5, 3.5, 9.5]  # of 1-2, 3-4, 9-10; 5-6 and 7-8 are empty
    assert mean.get_ydata().tolist() == [2, 6, 3]


def test_codes_are_shown_by_rank_beside_an_equal_share(tmp_path, drawn):
    save_code_usage(tmp_path / "usage.png", np.array([1, 6, 0, 3]), title="Codes of this run")
    (axes,) = drawn[0].axes
    assert [bar.get_height() for bar in axes.patches] == [0.6, 0.3, 0.1, 0]
    assert [bar.get_x() + bar.get_width() / 2 for bar in axes.patches] == [1, 2, 3, 4]
    assert [line.get_ydata()[0] for line in axes.lines] == [0.25]
    assert axes.get_title() == "Codes of this run" and pixels(tmp_path / "usage.png").shape == (600, 1000, 3)


def test_codes_that_were_never_counted_are_bars_of_no_height(tmp_path, drawn):
    save_code_usage(tmp_path / "usage.png", np.zeros(3, np.int64))
    assert [bar.get_height() for bar in drawn[0].axes[0].patches] == [0, 0, 0]


@pytest.mark.parametrize("counts", [np.zeros(0, np.int64), np.ones((2, 2), np.int64)])
def test_counts_that_are_no_row_are_refused(tmp_path, counts):
    with pytest.raises(ValueError, match=r"save_code_usage: counts has shape \(.*\) but \(K,\) with K >= 1 is wanted"):
        save_code_usage(tmp_path / "usage.png", counts)
    assert os.listdir(tmp_path) == []


def test_perplexity_is_shown_on_the_way_from_0_to_all_codes(tmp_path, drawn):
    save_perplexity(tmp_path / "perplexity.png", [1.0, 5.0, 7.5], 8)
    (axes,) = drawn[0].axes
    curve, limit = axes.lines
    assert (curve.get_xdata().tolist(), curve.get_ydata().tolist()) == ([1, 2, 3], [1.0, 5.0, 7.5])
    assert limit.get_ydata()[0] == 8 and limit.get_label() == "K = 8"
    low, high = axes.get_ylim()
    assert low == 0 and high > 8
    assert pixels(tmp_path / "perplexity.png").shape == (600, 1000, 3)


def test_a_single_perplexity_is_a_visible_dot(tmp_path, drawn):
    save_perplexity(tmp_path / "perplexity.png", [2.0], 4)
    assert drawn[0].axes[0].lines[0].get_marker() == "."
    with pytest.raises(ValueError, match=r"save_perplexity: perplexities has shape \(0,\) but \(M,\) with M >= 1 is wanted"):
        save_perplexity(tmp_path / "none.png", [], 4)


def test_curves_of_other_lengths_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"save_loss_curve: losses has shape \(2,\) but steps has \(3,\)"):
        save_loss_curve(tmp_path / "a.png", [1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match=r"save_loss_curve: smoothed has shape \(1,\) but steps has \(2,\)"):
        save_loss_curve(tmp_path / "a.png", [1, 2], [1, 2], [1])
    with pytest.raises(ValueError, match=r"save_loss_curve: steps has shape \(0,\) but \(M,\) with M >= 1 is wanted"):
        save_loss_curve(tmp_path / "a.png", [], [])
    with pytest.raises(ValueError, match=r"save_loss_per_t: loss has shape \(2,\) but t has \(1,\)"):
        save_loss_per_t(tmp_path / "a.png", [1], [1, 2])
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("low", "high"), [(0.11, 0.19), (0.3, 0.32), (0.02, 0.5), (0.0005, 1.2), (1e-5, 90.0), (1e-9, 1e9), (0.5, 0.5)])
def test_a_logarithmic_axis_has_some_labels_and_they_do_not_overlap(tmp_path, drawn, low, high):
    save_loss_per_t(tmp_path / "t.png", np.arange(1, 101), np.geomspace(high, low, 100))
    (axes,) = drawn[0].axes
    assert axes.get_yscale() == "log"
    bottom, top = axes.get_ylim()
    shown = [text for text in axes.yaxis.get_ticklabels(which="both") if bottom <= text.get_position()[1] <= top and text.get_text()]
    assert 2 <= len(shown) <= 12, [text.get_text() for text in shown]
    boxes = sorted((text.get_window_extent() for text in shown), key=lambda box: box.y0)
    assert all(below.y1 <= above.y0 for below, above in zip(boxes, boxes[1:], strict=False))
