"""Errors of expected ages, against a loop over a tiny dataset."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmarks import ages
from samtl.common.errors import UserError
from samtl.data import tables
from samtl.data.tasks import Task
from samtl.inference import loading
from tests.faces import stand_ins

GROUPS = tuple(stand_ins.WITH_AGE["age"])
YEARS = (1, 17.5, 70)
# (split, age group, years); one face without an age.
FACES = [
    *(("train", group, 30 + group) for group in (0, 1, 2)),
    ("validation", 0, 2),
    *(("test", 0, 2), ("test", 1, 19), ("test", 1, 15), ("test", 2, 88)),
    ("test", 2, None),
]


@pytest.fixture
def data_dir(tmp_path):
    """A prepared dataset of noise."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "data" / "db" / "tiny"
    folder.mkdir(parents=True)
    rows = []
    for index, (split, group, years) in enumerate(FACES):
        side = stand_ins.SIDE
        pixels = rng.integers(0, 256, (side, side), dtype=np.uint8)
        Image.fromarray(pixels // (1 + index)).save(folder / f"{index}.png")
        rows.append((f"db/tiny/{index}.png", split, group, years))
    table = pd.DataFrame(rows, columns=["path", "split", "age", "age_years"])
    tables.write("tiny", table, [Task("age", GROUPS)], tmp_path / "data", {})
    return tmp_path / "data"


def test_errors_are_those_of_a_loop(data_dir, tmp_path, capsys):
    weights = stand_ins.network(tmp_path, stand_ins.WITH_AGE)
    table = tables.read("tiny", data_dir)
    predictor = loading.load(weights)
    expected, best = [], []
    for index, (split, _, years) in enumerate(FACES):
        if split != "test" or years is None:
            continue
        pixels = np.asarray(Image.open(data_dir / f"db/tiny/{index}.png"))
        crop = pixels.reshape(predictor.shape)
        shares = predictor.probabilities([crop])["age"][0]
        mean = sum(p * m for p, m in zip(shares, YEARS, strict=True))
        expected.append(abs(mean - years))
        best.append(abs(YEARS[np.argmax(shares)] - years))
    found = ages.measure(table, predictor)
    assert found["expected age"] == pytest.approx(
        {
            "all": np.mean(expected),
            "0-2": expected[0],
            "15-20": np.mean(expected[1:3]),
            "60+": expected[3],
        }
    )
    assert found["most probable group"]["all"] == pytest.approx(np.mean(best))
    assert found["true group"]["all"] == (1 + 1.5 + 2.5 + 18) / 4
    assert found["median of training"]["all"] == (29 + 12 + 16 + 57) / 4
    words = ["--dataset=tiny", f"--data_dir={data_dir}", f"--weights={weights}"]
    ages.main(words)
    assert f"{np.mean(expected):.1f}" in capsys.readouterr().out


def test_other_groups_are_refused(data_dir, tmp_path):
    table = tables.read("tiny", data_dir)
    with pytest.raises(UserError, match="does not predict the age groups"):
        ages.measure(table, loading.load(stand_ins.network(tmp_path)))
    rows = table.rows.drop(columns="age_years")
    tables.write("tiny", rows, [Task("age", GROUPS)], data_dir, {})
    with pytest.raises(UserError, match="has no age_years"):
        ages.measure(tables.read("tiny", data_dir), None)
