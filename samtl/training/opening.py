"""The start of a run: its network, its folder, and what it began with."""

from pathlib import Path

import keras

from samtl import networks
from samtl.common import files
from samtl.common.errors import UserError
from samtl.data import tables
from samtl.data.tasks import Task
from samtl.distributed import devices
from samtl.networks import weights
from samtl.runs import run_folder
from samtl.training import state
from samtl.training.config import Configuration


def start_network(
    config: Configuration, tasks: list[Task], label_embeddings: bool = False
) -> keras.Model:
    """A network for the tasks, with trained weights where there are any.

    Those of a resumed run come with its state.

    Args:
        config: of the experiment; its seed is that of the initial weights and
            of everything random that follows.
        tasks: of the heads.
        label_embeddings: see `networks.build`.
    """
    keras.utils.set_random_seed(config.training.seed)
    network = networks.build(config.network, tasks, label_embeddings)
    run = config.run
    if not run.resume or not (run.resume / state.FILE).exists():
        print(weights.pretrained(network, config.network.model, run.weights))
    return network


def open_run(
    config: Configuration, images: dict[str, list[str]] | None = None
) -> Path:
    """The run's folder: a new one with its args.json, or the resumed one.

    This process holds it from now on, see `run_folder.hold`.

    Args:
        config: of the experiment.
        images: {dataset: fingerprints of its images}, to be told of others
            when the run is resumed.

    Raises:
        UserError: the folder exists, cannot be written, is in use, holds a run
            of another script or of other data, or is not seen by all
            processes.
    """
    images = images or {}
    run = config.run
    if run.resume:
        saved = run_folder.read_args(run.resume)
        started = saved.get("script", run.script)
        if started != run.script:
            raise UserError(
                f"{run.resume} is a run of {started}.py; resume it with that"
            )
        _require_same(config, saved)
        if devices.is_main_process():
            run_folder.hold(run.resume)
            run_folder.require_unfinished(run.resume)
            run_folder.go_on(run.resume, images)
        return run.resume
    names = list(config.data.names)
    folder = ""
    if devices.is_main_process():
        folder = run_folder.create(
            run.runs,
            run.script,
            names,
            run.method,
            config.training.seed,
            run.run_dir,
        )
        facts = {"method": run.method, "script": run.script}
        if not config.training.batch_sizes:
            facts["batch_size"] = config.training.batch_size  # perhaps lowered
        facts |= _started_from(config) | {"images_fingerprint": images}
        run_folder.write_args(folder, {**run.arguments, **facts})
    folder = Path(devices.broadcast(str(folder)))
    if not (folder / "args.json").exists():
        raise UserError(
            f"process {config.devices.process_id} does not see {folder}, the "
            "run folder of process 0; choose a --run_dir on a disk that all "
            "machines share"
        )
    print(f"{run.method} on {' and '.join(names)}, run folder {folder}")
    return folder


def require_tables(run: Path, saved: dict, data_dir: Path) -> None:
    """Refuse tables that are no longer those that a run began with.

    Args:
        run: its folder, for messages.
        saved: its arguments, from `run_folder.read_args`.
        data_dir: folder of the prepared datasets.

    Raises:
        UserError: one is another.
    """
    for name, digest in saved.get("tables_sha256", {}).items():
        path = tables.csv_path(name, data_dir)
        if path.is_file() and files.sha256(path) != digest:
            raise UserError(
                f"{path} has changed since {run} began; put the old one back "
                "or start a new run"
            )
    for name, classes in saved.get("classes", {}).items():
        if _classes(name, data_dir) != classes:
            path = tables.csv_path(name, data_dir).with_suffix(".json")
            raise UserError(
                f"the classes in {path} have changed since {run} began; put "
                "the old ones back or start a new run"
            )


def _started_from(config):
    """What a run starts from: tables, classes, weights and teachers."""
    data_dir = config.data.data_dir
    source = weights.source(config.network.model, config.run.weights)
    return {
        "tables_sha256": {
            name: files.sha256(tables.csv_path(name, data_dir))
            for name in config.data.names
        },
        "classes": {
            name: _classes(name, data_dir) for name in config.data.names
        },
        "weights_sha256": source and files.sha256(source),
        "teachers": {
            path: run_folder.origin(Path(path))
            for path in config.method.teachers.paths
        },
    }


def _require_same(config, saved):
    """Refuse to go on with other data, or to begin with other weights."""
    resume = config.run.resume
    require_tables(resume, saved, config.data.data_dir)
    if (resume / state.FILE).exists():
        return
    source = weights.source(config.network.model, config.run.weights)
    digest = source and source.is_file() and files.sha256(source)
    if saved.get("weights_sha256") not in (None, digest):
        raise UserError(
            f"the weights that {resume} began with have changed or are gone; "
            "put them back or start a new run"
        )


def _classes(name, data_dir):
    found = tables.labelled_tasks(name, data_dir)
    return {task.name: list(task.classes) for task in found.values()}
