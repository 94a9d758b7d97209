"""The benchmark of size, on little."""

import numpy as np
import pytest

from benchmarks import size
from samtl.data import tables
from samtl.pseudo_labels import density


def test_start_measures_its_stages():
    *stages, whole = size.start(300)
    names = ["start: read", "start: split", "start: first batch"]
    assert [row["what"] for row in stages] == names
    assert whole["count"] == 300
    assert whole["seconds"] == pytest.approx(
        sum(row["seconds"] for row in stages), abs=1e-3
    )


def test_start_measures_a_half_empty_table(tmp_path):
    assert size.start(300, missing=0.5)[-1]["what"] == "start, half empty"
    size.make(tmp_path, 300, missing=0.5)
    table = tables.read("crowd", tmp_path)
    assert 100 < table.is_labelled("pose").sum() < 200


def test_weights_are_measured_up_to_the_report(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(density, "RADIUS_PAIRS", 10_000)
    monkeypatch.setattr(size, "REFERENCE_IMAGES", 100)
    rows = size.weigh(300, exact_to=300) + size.weigh(400, exact_to=300)
    names = ["density, exact", "density, estimated", "distribution"]
    assert [row["what"] for row in rows] == [*names, *names[1:]]
    assert 0 < rows[1]["largest_error"] < 1
    assert 0 < rows[1]["bound"] < 1
    size.report(rows)
    assert f"found {rows[1]['largest_error']:.3f} |" in capsys.readouterr().out
    size.draw(tmp_path / "size.png", rows, size.exponents(rows))
    assert (tmp_path / "size.png").stat().st_size > 10_000


def test_exponents_are_slopes_of_the_last_decade():
    counts = np.array([10, 100, 1000, 10_000])
    rows = [
        {"what": what, "count": count, "seconds": 5 + cost}
        for what, power in (("density, exact", 2), ("distribution", 1))
        for count, cost in zip(counts, 1e6 * counts**power, strict=True)
    ]
    rows[0]["seconds"] = 1e15
    assert size.exponents(rows) == pytest.approx(
        {"density, exact": 2, "distribution": 1}
    )
