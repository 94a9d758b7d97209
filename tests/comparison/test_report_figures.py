"""The report's figures, drawn from tables known by hand."""

import numpy as np
import pandas as pd

from samtl.comparison import figures


def test_a_forest_draws_the_intervals():
    tests = pd.DataFrame(
        {
            "method": ["a", "b", "c"],
            "difference": [2.0, -3.0, 0.5],
            "low": [1.0, -4.0, -1.0],
            "high": [3.0, -2.0, 2.0],
            "corrected_p": [0.01, 0.04, 0.3],
        }
    )
    titles = dict(zip("abc", "ABC", strict=True))
    axes = figures.forest(tests, titles, "points").axes[0]
    assert axes.get_xlabel() == "points"
    bars = [
        line.get_xdata() for line in axes.lines if len(line.get_xdata()) == 2
    ]
    np.testing.assert_array_equal(
        bars[:3], [[1.0, 3.0], [-4.0, -2.0], [-1.0, 2.0]]
    )
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [dot.get_xdata()[0] for dot in dots] == [2.0, -3.0, 0.5]
    fills = [dot.get_markerfacecolor() for dot in dots]
    assert fills == [figures.BLUE, figures.RED, figures.PAPER]


def test_curves_are_the_mean_over_the_seeds():
    rounds = pd.DataFrame(
        {
            "method": ["a"] * 4 + ["single-task"] * 2,
            "seed": [0, 0, 1, 1, 0, 0],
            "round": [1, 2, 1, 2, 1, 2],
            "validation_pose_accuracy": [0.5, 0.6, 0.7, 0.8, 0.4, 0.5],
        }
    )
    titles = {"single-task": "S", "a": "A"}
    figure = figures.curves(rounds, "pose", titles, "single-task")
    grey, blue = figure.axes[0].lines
    np.testing.assert_allclose(grey.get_ydata(), [40, 50])
    np.testing.assert_allclose(blue.get_ydata(), [60, 70])
    np.testing.assert_allclose(blue.get_xdata(), [50, 100])


def test_a_page_shows_titles_as_they_are():
    axis = '<path style="stroke: #222222" d="M 1.2345 0"/>'
    title = "<text>lr 0.0003: #222222</text>"
    shown = figures.inline(f"<svg> {axis} {title}</svg>")
    assert title in shown
    assert 'style="stroke: var(--ink)" d="M 1.23 0"' in shown


def test_the_win_loss_matrix_counts_significant_differences():
    rows = [("a", "b", 2.0, 0.01), ("b", "a", -2.0, 0.02)]
    rows += [("a", "c", 1.0, 0.2), ("c", "a", -1.0, 0.2)]
    rows += [("b", "c", -1.0, 0.01), ("c", "b", 1.0, 0.01)]
    names = ["method", "baseline", "difference", "corrected_p"]
    figure = figures.wins(
        pd.DataFrame(rows, columns=names), dict(zip("abc", "ABC", strict=True))
    )
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["1 : 0", "0 : 2", "1 : 0"]
