"""metrics.csv and the TensorBoard log, as TensorBoard reads it."""

import subprocess
import sys
import time

import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import (
    EventAccumulator,
)
from tensorboard.compat.proto import event_pb2

from samtl.runs import event_log, run_folder


def metrics(count):
    return [
        {
            "round": number,
            "dataset": "ep"[number % 2],
            "loss": 1 / number,
            "validation_pose_accuracy": number / 100,
            **({"pseudo_pose_accuracy": 0.5} if number % 2 else {}),
        }
        for number in range(1, count + 1)
    ]


def logged(run, tag):
    events = EventAccumulator(str(run)).Reload().Scalars(tag)
    return [(event.step, event.value) for event in events]


def test_metrics_and_log_hold_every_round_once(tmp_path):
    for count in (1, 2, 2, 4):  # round 2 is written again after a resume
        run_folder.write_metrics(tmp_path, metrics(count))
    frame = pd.read_csv(tmp_path / "metrics.csv")
    assert frame["round"].tolist() == [1, 2, 3, 4]
    assert frame["loss"].tolist() == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])
    assert frame["pseudo_pose_accuracy"].isna().tolist() == [False, True] * 2
    found = logged(tmp_path, "validation/pose_accuracy")
    assert [step for step, _ in found] == [1, 2, 3, 4]
    assert [value for _, value in found] == pytest.approx(
        [0.01, 0.02, 0.03, 0.04]
    )
    assert [step for step, _ in logged(tmp_path, "pseudo/pose_accuracy")] == [
        1,
        3,
    ]
    assert len(logged(tmp_path, "training/loss")) == 4


def test_each_start_has_a_file_and_each_round_its_latest_values(tmp_path):
    for count, loss in ((2, 0.1), (3, 0.2), (3, 0.3)):
        rows = [row | {"loss": loss} for row in metrics(count)]
        event_log.EventLog(tmp_path).write(rows[:-1])
        log = event_log.EventLog(tmp_path)
        log.write(rows[:-1])
        log.write(rows)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 6
    assert names[0] == "events.out.tfevents.metrics"
    found = logged(tmp_path, "training/loss")
    assert found == [(step, pytest.approx(0.3)) for step in (1, 2, 3)]


def test_logs_that_began_without_a_session_start_go_on(tmp_path):
    """Logs of earlier versions: a header and one record a round."""
    with (tmp_path / event_log.NAME).open("wb") as file:
        header = event_pb2.Event(file_version="brain.Event:2")
        event_log._write(file, [header, *event_log._events(metrics(3))])
    assert len(logged(tmp_path, "training/loss")) == 3
    event_log.EventLog(tmp_path).write(metrics(4))
    found = logged(tmp_path, "training/loss")
    assert [step for step, _ in found] == [1, 2, 3, 4]


def test_rounds_before_a_resume_keep_their_distances_in_time(tmp_path):
    rows = [row | {"seconds": 10.0 * row["round"]} for row in metrics(3)]
    event_log.EventLog(tmp_path).write(rows)
    events = EventAccumulator(str(tmp_path)).Reload().Scalars("training/loss")
    times = [event.wall_time for event in events]
    assert times[2] == pytest.approx(time.time(), abs=60)
    assert times[2] - times[1] == pytest.approx(30, abs=1)
    assert times[1] - times[0] == pytest.approx(20, abs=1)


@pytest.mark.parametrize("lost", [1, 9, 40])
def test_a_record_cut_off_by_a_kill_is_written_anew(tmp_path, lost):
    run_folder.write_metrics(tmp_path, metrics(2))
    (log,) = tmp_path.glob("events.out.tfevents*")
    log.write_bytes(log.read_bytes()[:-lost])
    run_folder.write_metrics(tmp_path, metrics(3))
    assert [step for step, _ in logged(tmp_path, "training/loss")] == [1, 2, 3]


def test_reading_and_logging_load_no_backend(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from samtl.runs import run_folder\n"
        "rows = [{'round': 1, 'loss': 0.5}]\n"
        "run_folder.write_metrics(Path(sys.argv[1]), rows)\n"
        "assert not {'tensorflow', 'jax', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True)
