"""The benchmark of speed, on little."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from benchmarks import speed


def test_turns_alternate_and_the_first_is_lost():
    calls = []
    seconds = speed.in_turns(
        2, lambda: calls.append("part"), lambda: calls.append("limit")
    )
    assert calls == ["part", "limit"] * 3
    assert seconds.shape == (2, 2)


def test_the_ratio_is_the_median_of_the_turns():
    seconds = np.array([[2.0, 1.0], [4.0, 3.0], [8.0, 1.0]])
    found = speed.row("training", "bare fit", seconds, 12, "images/s")
    assert found["speed"] == pytest.approx(12 / 4)
    assert found["limit_speed"] == pytest.approx(12 / 1)
    assert found["ratio"] == pytest.approx(1 / 2)


def test_parts_are_measured_up_to_the_report(tmp_path, capsys):
    rows = speed.decoding(tmp_path, 6, 1) + speed.weights(300, 1)
    parts = [row["part"] for row in rows]
    assert parts == ["decoding", "density", "distribution"]
    assert all(row["ratio"] > 0 for row in rows)
    # Seven classes of less than a block: one tile each.
    assert rows[1]["limit"] == "7 matrix products alone"
    speed.report(rows)
    assert "| density | 7 matrix products alone |" in capsys.readouterr().out


def test_both_small_networks_are_measured(monkeypatch, tmp_path):
    # Two large graphs and two exports take longer than all else here.
    def build(name, tasks):
        image = keras.Input(speed.SHAPE)
        logits = keras.layers.Dense(8)(keras.layers.Flatten()(image))
        return keras.Model(image, {"logits": {"emotion": logits}})

    monkeypatch.setattr(speed.networks, "build", build)
    monkeypatch.setattr(speed.run_folder, "export", lambda *_: None)
    network = SimpleNamespace(run=lambda face: face)
    monkeypatch.setattr(speed.loading, "load", lambda path: network)
    rows = speed.small_networks(tmp_path, 4, 2, 1)
    assert [row["unit"] for row in rows] == ["images/s", "faces/s"]
    assert all(row["speed"] > 0 for row in rows)
