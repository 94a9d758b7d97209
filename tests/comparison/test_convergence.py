"""Whether runs were trained to the end, on curves made by hand."""

import dataclasses

import pandas as pd
import pytest

from samtl.comparison import convergence, loading


def _comparison(curves, seeds=5):
    """curves: {(method, task): validation accuracy of 16 rounds}."""
    rows = [
        {
            "pair": "p",
            "method": method,
            "seed": seed,
            "round": number,
            f"validation_{task}_accuracy": value + 0.1 * seed,
        }
        for (method, task), values in curves.items()
        for seed in range(seeds)
        for number, value in enumerate(values, 1)
    ]
    results = pd.DataFrame(
        [
            {"pair": "p", "method": method, "seed": seed, "task": task}
            for method, task in curves
            for seed in range(seeds)
        ]
    )
    titles = {method: method.upper() for method, _ in curves}
    methods = list(titles)
    empty = pd.DataFrame()
    return loading.Comparison(
        results, pd.DataFrame(rows), empty, None, ["p"], methods, titles
    )


FLAT = [0.2] * 4 + [0.6] * 12
# Rounds 11 and 12 are the eighth before the last quarter, 15 and 16 the end.
RISING = [0.2] * 10 + [0.50, 0.52, 0.5, 0.9, 0.55, 0.57]


def test_the_gain_is_that_of_the_smoothed_last_quarter():
    found = convergence.gains(
        _comparison({("a", "emotion"): RISING, ("b", "pose"): FLAT})
    )
    assert found.set_index("method")["gain"].to_dict() == {
        "a": pytest.approx(5.0),
        "b": pytest.approx(0.0),
    }


def test_too_few_rounds_tell_nothing():
    found = convergence.gains(_comparison({("a", "emotion"): [0.1, 0.9]}))
    assert found.empty


def test_a_short_comparison_says_what_it_cannot_show():
    curves = {("a", "emotion"): RISING, ("b", "emotion"): FLAT}
    for seeds, start in ((5, None), (1, "1 seed does not"), (3, "3 seeds do")):
        comparison = _comparison(curves, seeds)
        gained = convergence.gains(comparison)
        *first, last = convergence.caveats(comparison, gained)
        assert "1 of 2 curves still gained more than 0.3 points" in last
        assert "most that of A on emotion (+5.0)" in last
        assert len(first) == (start is not None)
        assert all(sentence.startswith(start) for sentence in first)
    comparison = _comparison({("b", "emotion"): FLAT})
    assert convergence.caveats(comparison, convergence.gains(comparison)) == []
    comparison = dataclasses.replace(comparison, results=comparison.results[:0])
    assert convergence.caveats(comparison, convergence.gains(comparison)) == []
