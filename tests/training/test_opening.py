"""How a run starts, and what it must find again to go on."""

import hashlib
import json
from dataclasses import replace

import pytest

from samtl.common.errors import UserError
from samtl.data.datasets import DataConfig
from samtl.data.tasks import Task
from samtl.networks import NetworkConfig
from samtl.pseudo_labels.method import Kind, Method, TrainedTeachers
from samtl.runs import run_folder
from samtl.training.config import Configuration, RunConfig
from samtl.training.opening import open_run, start_network
from tests import tiny


def _config(folder, name, weights=None, names=None, method=None):
    return Configuration(
        data=DataConfig(names or {}, (), data_dir=folder),
        network=NetworkConfig("mini_resnet"),
        run=RunConfig(
            "ALTERNATIVE_EP",
            "naive",
            run_dir=folder / name,
            weights=weights,
        ),
        method=method or Method(Kind.NAIVE),
    )


def _resumed(config, folder):
    return replace(config, run=replace(config.run, resume=folder))


def test_a_run_is_resumed_by_its_own_script_and_without_its_weights(
    tmp_path, capsys
):
    run_folder.write_args(tmp_path, {"script": "CONFUSION_EP_multitask"})
    (tmp_path / "state.npz").touch()
    config = _config(tmp_path, "run", weights=tmp_path / "gone.keras")
    config = _resumed(config, tmp_path)
    with pytest.raises(UserError, match="resume it with that"):
        open_run(config)
    run = replace(config.run, script="CONFUSION_EP_multitask")
    config = replace(config, run=run, network=NetworkConfig("mini_xception"))
    assert open_run(config) == tmp_path
    start_network(config, [Task("pose", ("left", "right"))])
    assert capsys.readouterr().out == ""


def test_a_run_keeps_the_digest_of_the_weights_it_starts_from(tmp_path):
    path = tmp_path / "start.keras"
    path.write_bytes(b"weights")
    for number, (start, digest) in enumerate(
        [(path, hashlib.sha256(b"weights").hexdigest()), (None, None)]
    ):
        run = open_run(_config(tmp_path, f"run{number}", start))
        assert run_folder.read_args(run)["weights_sha256"] == digest


def test_a_run_goes_on_with_the_data_and_weights_it_began_with(tmp_path):
    tiny.dataset(tmp_path, "faces", ["gender"])
    table = tmp_path / "db" / "faces.csv"
    weights = tmp_path / "start.keras"
    weights.write_bytes(b"weights")
    names = {"faces": ["gender"]}
    config = _config(tmp_path, "run", weights, names)
    run = open_run(config)
    config = _resumed(config, run)
    assert open_run(config) == run
    before = table.read_bytes()
    table.write_bytes(before.replace(b",train,", b",test,", 1))
    with pytest.raises(UserError, match=r"faces\.csv has changed since"):
        open_run(config)
    table.write_bytes(before)
    classes = table.with_suffix(".json")
    before = classes.read_text()
    description = json.loads(before)
    description["tasks"]["gender"].reverse()
    classes.write_text(json.dumps(description))
    with pytest.raises(
        UserError, match=r"classes in .*faces\.json have changed"
    ):
        open_run(config)
    classes.write_text(before)
    weights.write_bytes(b"others")
    with pytest.raises(UserError, match="have changed or"):
        open_run(config)
    weights.unlink()
    with pytest.raises(UserError, match="have changed or"):
        open_run(config)
    (run / "state.npz").touch()  # has them
    assert open_run(config) == run


def test_a_run_knows_its_teachers(tmp_path):
    teacher = tmp_path / "large" / "best.keras"
    teacher.parent.mkdir()
    teacher.write_bytes(b"weights")
    run_folder.write_args(teacher.parent, {"seed": 3})
    teachers = TrainedTeachers((str(teacher),))
    method = Method(Kind.TRAINED_TEACHERS, teachers=teachers)
    run = open_run(_config(tmp_path, "run", method=method))
    (origin,) = run_folder.read_args(run)["teachers"].values()
    assert origin["sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert origin["command"].startswith("python ")
    assert set(origin) == {"sha256", "command", "commit"}
