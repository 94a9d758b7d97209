"""Files of results, and the tables that are printed."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest

from samtl.data.tasks import GENDER
from samtl.evaluation import scoring
from samtl.runs import run_folder


@pytest.fixture
def result():
    scores = {
        split: scoring.scores([0, 0, 1], np.eye(2)[[0, 1, 1]])
        for split in run_folder.SPLITS
    }
    return {"seconds": 1.5, "tasks": {"gender": {"classes": GENDER, **scores}}}


def test_result_files(tmp_path, result):
    run_folder.write_result(tmp_path, result)
    rows = [{"round": 1, "dataset": "faces", "loss": 1.0}]
    run_folder.draw(tmp_path, rows, result)
    saved = json.loads((tmp_path / "result.json").read_text())
    assert saved["seconds"] == 1.5
    test = saved["tasks"]["gender"]["test"]
    assert test["accuracy"] == pytest.approx(2 / 3)
    assert test["balanced_accuracy"] == pytest.approx(3 / 4)
    frame = pd.read_csv(tmp_path / "confusion_gender_test.csv", index_col=0)
    assert frame.columns.tolist() == frame.index.tolist() == list(GENDER)
    np.testing.assert_array_equal(frame, [[1, 1], [0, 1]])
    assert cv2.imread(str(tmp_path / "confusion_gender_validation.png")).size
    assert "confusion" in result["tasks"]["gender"]["test"]  # left as it was


def test_predictions_name_the_classes(tmp_path):
    frame = pd.DataFrame(
        {
            "dataset": "faces",
            "path": ["a.png", "b.png"],
            "label": [1, 0],
            "woman": [0.25, 0.75],
            "man": [0.75, 0.25],
        }
    )
    run_folder.write_predictions(tmp_path, "test", {"gender": frame})
    text = (tmp_path / "predictions_gender_test.csv").read_text()
    assert text.splitlines() == [
        "dataset,path,label,prediction,woman,man",
        "faces,a.png,man,man,0.25,0.75",
        "faces,b.png,woman,woman,0.75,0.25",
    ]


def test_printed_results(capsys, result):
    run_folder.print_results(result)
    text = capsys.readouterr().out
    assert "66.7" in text
    assert "75.0" in text
    assert "1-off" not in text
    assert "forgotten" not in text


def test_printed_results_with_age_and_forgetting(capsys, result):
    scores = scoring.scores([0, 2], np.eye(3)[[1, 0]], ordered=True)
    entry = {"classes": "abc", "validation": scores, "test": scores}
    result["tasks"]["age"] = entry
    result["forgetting"] = {
        "gender": {"own": None, "others": None, "drop": None},
        "age": {
            "own": {"mean": 0.612, "best": 0.7},
            "others": {"mean": 0.5, "best": 0.6},
            "drop": 0.123,
        },
    }
    run_folder.print_results(result)
    text = capsys.readouterr().out
    assert "1-off" in text
    assert "50.0" in text
    forgotten = text[text.index("forgotten") :]
    assert "61.2" in forgotten
    assert "12.3" in forgotten
    assert "gender" not in forgotten
