"""Training on two devices or in two processes has the result of one."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from samtl.common.errors import UserError
from samtl.data.batches import Batches
from samtl.distributed import devices, processes
from samtl.distributed.devices import DevicesConfig
from tests import tiny
from utils import confusion

HERE = Path(__file__).parents[2]
ONE_DEVICE = "--xla_backend_optimization_level=0"  # compiles faster
TWO_DEVICES = f"{ONE_DEVICE} --xla_force_host_platform_device_count=2"
DATASETS = "--dataset_emotion=faces --dataset_pose=poses --batch_size=8"
SA_MTL = (
    f"ALTERNATIVE_EP {DATASETS} --epoch=3 --cluster_k=2 "
    "--is_augmentation=True --precision=float32"
)
SFSMR = (
    f"CONFUSION_EP_multitask_manifold {DATASETS} --epoch=2 "
    "--is_lnorm=True --is_trace_norm=True --ema_momentum=0.5"
)
SECONDS = 500  # a run that hangs
DYING = """
import os, signal, sys, time
import tests.no_tensorflow
from samtl.cli import command_line
from samtl.common import errors
from samtl.distributed import devices
def main():
    parser = command_line.parser("", "")
    command_line.add_run_flags(parser)
    args = command_line.parse(parser, sys.argv[1:])
    names = command_line.DEVICE_FLAGS
    config = devices.DevicesConfig(*(getattr(args, name) for name in names))
    devices.distribute(config)
    if args.process_id:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    devices.wait_for_everyone()
errors.run_script(main)
"""
RUN = ["-m", "tests.shared_run"]

IS_JAX_THERE = importlib.util.find_spec("jax") is not None
needs_jax = pytest.mark.skipif(not IS_JAX_THERE, reason="no jax installed")


class Runs:
    """Runs of `tests.shared_run` and what they leave.

    Args:
        folder: of the data and the runs.
    """

    def __init__(self, folder):
        self.folder = folder
        self.data = f"--data_dir={folder / 'data'}"

    def new(self, name, flags="", method=SA_MTL):
        """The command of a new run."""
        run = self.folder / name
        return f"{method} {self.data} --run_dir={run} {flags}"

    def weights(self, name):
        """The network's variables after the last round."""
        with np.load(self.folder / name / "last.npz") as state:
            return {k: state[k] for k in state if k.startswith("network/")}


def start(backend, words, *commands, flags=ONE_DEVICE):
    """Start Python on `words` with the commands as its arguments."""
    return subprocess.Popen(
        [sys.executable, *words, *commands],
        cwd=HERE,
        env={**os.environ, "KERAS_BACKEND": backend, "XLA_FLAGS": flags},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def pair():
    """The flags of two processes that train together."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meeting = f"--coordinator=127.0.0.1:{port} --num_processes=2"
    return [f"--distribute=auto {meeting} --process_id={i}" for i in range(2)]


def end(process):
    output, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, errors
    return output


def same(runs, one, other):
    """Every variable of two runs is the same to 1e-5 of its norm.

    Not of each of its elements: one that is 0 but for rounding may be
    anything.
    """
    ours, theirs = runs.weights(one), runs.weights(other)
    assert ours.keys() == theirs.keys()
    for name, values in ours.items():
        distance = np.linalg.norm(values - theirs[name])
        assert distance <= 1e-5 * np.linalg.norm(values), name


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs, the first of them started: all at once for more than one core."""
    runs = Runs(tmp_path_factory.mktemp("shared"))
    for seed, (name, task, count) in enumerate(
        [("faces", "emotion", 40), ("poses", "pose", 24)]
    ):
        data = runs.folder / "data"
        tiny.dataset(data, name, [task], (count, 8, 8), seed)
    auto = "--distribute=auto"
    commands = [
        runs.new("one"),
        runs.new("two", auto),
        runs.new("joint_one", method=SFSMR),
        runs.new("joint_two", auto, SFSMR),
    ]
    runs.tensorflow = start("tensorflow", RUN, *commands)
    runs.pair = []
    if IS_JAX_THERE:
        runs.pair = [
            start("jax", RUN, runs.new("processes", flags)) for flags in pair()
        ]
    yield runs
    for process in (runs.tensorflow, *runs.pair):
        process.kill()  # where a test gave up


@needs_jax
def test_jax_devices_and_processes(runs):
    main, worker = runs.pair
    assert "round 3/3" in end(main)
    assert "round" not in end(worker)
    commands = [
        runs.new("jax"),
        runs.new("devices", "--distribute=auto"),
        f"ALTERNATIVE_EP {runs.data} "
        f"--resume={runs.folder / 'processes_stopped'}",
    ]
    end(start("jax", RUN, *commands, flags=TWO_DEVICES))
    same(runs, "jax", "processes")
    same(runs, "jax", "devices")
    same(runs, "jax", "processes_stopped")


def test_tensorflow_replicas(runs):
    output = end(runs.tensorflow)
    assert "devices: 2 (cpu:0, cpu:1)" in output
    same(runs, "one", "two")
    same(runs, "joint_one", "joint_two")


@needs_jax
def test_a_process_that_dies_ends_the_others():
    main, dying = (
        start("jax", ["-c", DYING], *flags.split()) for flags in pair()
    )
    _, errors = main.communicate(timeout=SECONDS)
    assert dying.wait(SECONDS) == -signal.SIGTERM
    assert main.returncode == 2
    assert "error: process 0 of 2 lost another one" in errors
    assert "Traceback" not in errors


@pytest.fixture
def second_of_two(monkeypatch):
    monkeypatch.setattr(devices, "_process", lambda: (1, 2))
    monkeypatch.setattr(devices, "count", lambda: 2)


class Split:
    """Images that are their row's number; notes which are read."""

    def __init__(self, count):
        self.count = count
        self.read = []

    def __len__(self):
        return self.count

    def images(self, rows):
        self.read += list(rows)
        return np.reshape(rows, (-1, 1, 1, 1))


def test_a_process_reads_only_its_shard(second_of_two):
    split = Split(7)
    inputs, _ = Batches(split, {}, 4, seed=0, order=np.arange(7))[0]
    assert inputs["image"].ravel().tolist() == split.read == [2, 3]


@pytest.mark.parametrize("sizes", [(5, 3), (2, 6), (4, 4), (1, 1, 6)])
def test_shards_of_mixed_batches(second_of_two, sizes):
    passes = [
        Batches(Split(size), {}, size, seed=0, order=np.arange(size))
        for size in sizes
    ]
    inputs, _ = confusion.MixedBatches(passes)[0]
    whole = [row for size in sizes for row in range(size)]
    assert inputs["image"].ravel().tolist() == whole[4:]


def test_pieces_of_work_are_split(second_of_two):
    assert devices.split_between_processes(list("abcde")) == ["b", "d"]


def test_a_batch_that_cannot_be_sharded_is_refused(second_of_two):
    devices.check_batch_size(6)
    with pytest.raises(UserError, match="--batch_size=6 or 8"):
        devices.check_batch_size(7)
    with pytest.raises(UserError, match=r"--batch_size=2$"):
        devices.check_batch_size(1)


def test_other_backends_name_jax(monkeypatch):
    config = DevicesConfig("auto", coordinator="here:1")
    for backend in ("tensorflow", "torch"):
        monkeypatch.setattr(keras.backend, "backend", lambda name=backend: name)
        with pytest.raises(UserError, match="KERAS_BACKEND=jax"):
            devices.distribute(config)


@pytest.mark.parametrize("number", [0, 1])
def test_processes_that_cannot_meet_name_the_address(monkeypatch, number):
    monkeypatch.setattr(processes, "MEETING_SECONDS", 0)
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        if number == 1:
            taken.close()
        config = DevicesConfig("auto", f"127.0.0.1:{port}", 2, number)
        with pytest.raises(
            UserError, match=rf"{number} of 2 cannot .*:{port} \(.*free port"
        ):
            processes._require_meeting_place(config)


def test_without_the_flag_there_is_one_device():
    devices.distribute(DevicesConfig())
    assert devices.count() == 1
    assert devices.shard(5) == slice(0, 5)
    assert devices.broadcast("a") == "a"
    assert devices.is_main_process()
    assert devices.release()


def test_full_precision_ends_with_its_block():
    import tensorflow as tf

    is_rounded = tf.config.experimental.tensor_float_32_execution_enabled
    assert is_rounded()
    with devices.full_precision():
        assert not is_rounded()
    assert is_rounded()
