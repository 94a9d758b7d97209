"""One training: rounds, evaluation, the best network, and its report.

    for number in experiment.rounds(steps):
        experiment.train(batches)
    experiment.report()

A round is one pass over batches whose triples are filled in. The optimizer,
the learning-rate schedule, early stopping and the choice of the best network
span all rounds, and a stopped run goes on where it was.
"""

import functools
import shlex
import time
from collections.abc import Iterator

import keras
import numpy as np
from keras import ops

from samtl import networks
from samtl.common import files
from samtl.common.errors import on_interrupt
from samtl.data.batches import Batches
from samtl.data.datasets import Datasets
from samtl.distributed import devices
from samtl.evaluation import scoring
from samtl.evaluation.predictions import predictions, score
from samtl.networks.weights import UNREADABLE
from samtl.pseudo_labels import Teacher, diagnostics
from samtl.pseudo_labels.consistency import Consistency
from samtl.pseudo_labels.method import CONSISTENCY
from samtl.runs import run_folder
from samtl.training import state
from samtl.training.config import Configuration
from samtl.training.learner import Auxiliary, Learner, fit_pass
from samtl.training.opening import open_run
from samtl.training.statistics import Statistics

UNFROZEN_RATE = 0.1  # learning rate of the unfrozen stage, relative


class Experiment:
    """Trains a network round by round.

    Between two rounds the network has the weights that were evaluated: with
    `ema_momentum` their moving average (mean teacher: Tarvainen and Valpola
    2017, arXiv 1703.01780). Training goes on with the weights themselves.

    Args:
        config: of the experiment; its run's folder is opened, and a state
            found there is continued.
        datasets: all Splits, and the tasks.
        network: model from `networks.build`; after the last round it is the
            best one.
        teacher: of the network, evaluates it.
        auxiliary: further losses, and the model that they train.
    """

    def __init__(
        self,
        config: Configuration,
        datasets: Datasets,
        network: keras.Model,
        teacher: Teacher,
        auxiliary: Auxiliary = Auxiliary(),  # noqa: B008  it is frozen
    ):
        self.config = config.training
        self.run = open_run(config, datasets.fingerprints())  # its folder
        words = ["python", f"{config.run.script}.py", f"--resume={self.run}"]
        on_interrupt(f"stopped; go on with: {shlex.join(words)}")
        self.datasets = datasets
        self.network = network
        self.teacher = teacher
        self.rows = []  # metrics, one dict a round
        consistency = None
        if config.method.kind in CONSISTENCY:
            consistency = Consistency(network, datasets.tasks, config.method)
        self._make_learner = functools.partial(
            Learner, network, config.training, auxiliary, consistency
        )
        self._learner = self._statistics = None
        self._turn = 1  # rounds in which every dataset is trained on once
        self._weights = None  # the trained ones, where the network has others
        self._is_unfrozen = None
        self._validated = {}  # the best network's predictions
        self._state = {"round": 0, "best": -1.0, "best_round": 0, "waited": 0}
        self._started = None
        self._predicted = 0  # images, by the teacher, before the round

    def rounds(self, steps: list[int]) -> Iterator[int]:
        """Yield the rounds that are left, from 0; each needs one `train`.

        Args:
            steps: optimizer steps of the rounds, which repeat: round n has
                steps[n % len(steps)].

        Raises:
            UserError: the state of a stopped run is damaged.
        """
        config = self.config
        self._turn = len(steps)
        if (self.run / state.FILE).exists():
            self._resume(steps)
        while self._state["round"] < config.epoch and not (
            0 < config.patience <= self._state["waited"]
        ):
            number = self._state["round"]
            if self._is_unfrozen is not config.is_unfrozen(number):
                # The second stage starts from the network that was scored.
                self._weights = None
                self._compile(number, steps)
            self._started = time.perf_counter()
            yield number
        devices.wait_for_everyone()  # for the main process, which writes it
        _load_best(self.network, self.run / "best.keras")

    def train(self, batches: Batches) -> None:
        """One pass over the batches, evaluation, and everything saved.

        Args:
            batches: one pass, its triples filled in.

        Raises:
            UserError: the loss stops being finite.
        """
        row = self._train_pass(batches)
        current = self._state
        current["round"] = row["round"]
        current["waited"] += 1
        self._use_average()
        predicted = self._evaluate(row)
        if row["validation_score"] > current["best"]:
            self._validated = predicted
            current.update(
                best=row["validation_score"], best_round=row["round"], waited=0
            )
            if devices.is_main_process():
                with files.write(self.run / "best.keras") as path:
                    self.network.save(path)
        if self.config.no_freezing_epoch and not self._is_unfrozen:
            current["waited"] = 0  # the second stage is still to come
        self.rows.append(row)
        self._use_weights()
        if devices.is_main_process():
            run_folder.write_metrics(self.run, self.rows)
            path = self.run / state.FILE
            state.save(path, self._learner, current, self.rows)
            # Drawing comes last: without a figure, the round still counts.
            if self.config.is_drawn(row["round"] - 1, self._turn):
                found = batches.diagnostics
                diagnostics.draw_round(self.run, row["round"], found)
        self._use_average()
        _print_round(row, self.datasets.tasks, self.config, current)

    def report(self) -> None:
        """Test the best network once; write and print the results.

        Of several processes, one does the writing.
        """
        self.teacher.update(self.network)
        predicted = {
            # A resumed run may not have them.
            "validation": self._validated or self._predictions("validation"),
            "test": self._predictions("test"),
        }
        if not devices.release():
            return
        scores = {}
        for split, found in predicted.items():
            run_folder.write_predictions(self.run, split, found)
            scores[split] = {name: score(name, f) for name, f in found.items()}
        result = self._result(scores)
        run_folder.export(self.network, self.run, self.datasets.tasks)
        # The result is written last: a run that has one is finished, and needs
        # the state for resuming no more (half a gigabyte with VGG-16).
        run_folder.write_result(self.run, result)
        (self.run / state.FILE).unlink()
        on_interrupt()
        run_folder.print_results(result)
        run_folder.draw(self.run, self.rows, result)
        run_folder.release(self.run)
        print(self.run)

    def _resume(self, steps):
        path = self.run / state.FILE
        self._state, self.rows, arrays = state.read(path)
        self._compile(self._state["round"] - 1, steps)
        state.restore(path, self._learner, arrays)
        self._use_average()

    def _compile(self, number, steps):
        """Make the learner of a round's stage, frozen or unfrozen."""
        config = self.config
        is_unfrozen = self._is_unfrozen = config.is_unfrozen(number)
        learner = self._learner = self._make_learner()
        networks.freeze(learner.network, frozen=not is_unfrozen)
        self._statistics = Statistics(learner.network)
        total = _total(steps, config, is_unfrozen)
        rate = config.learning_rate
        if is_unfrozen and config.is_freezing:
            rate *= UNFROZEN_RATE
        if config.schedule == "cosine":
            rate = keras.optimizers.schedules.CosineDecay(rate, total)
        optimizer = keras.optimizers.Adam(
            rate,
            use_ema=config.ema_momentum > 0,
            ema_momentum=config.ema_momentum,
        )
        learner.compile(
            optimizer=optimizer, jit_compile="auto" if _is_xla_good() else False
        )
        optimizer.build(learner.trainable_variables)

    def _use_average(self):
        """Give the network the moving average of its weights."""
        optimizer = self._learner.optimizer
        iterations = ops.convert_to_numpy(optimizer.iterations)
        if not optimizer.use_ema or iterations == 0:
            return
        variables = self._learner.trainable_variables
        self._weights = [ops.convert_to_numpy(v) for v in variables]
        optimizer.finalize_variable_values(variables)

    def _use_weights(self):
        """Give the network the weights that are trained."""
        if self._weights is None:
            return
        variables = self._learner.trainable_variables
        for variable, value in zip(variables, self._weights, strict=True):
            variable.assign(value)
        self._weights = None

    def _train_pass(self, batches):
        """One pass; returns the round's metrics row."""
        number = self._state["round"] + 1
        row = {"round": number, "dataset": batches.name}
        row["predicted_images"] = self.teacher.images - self._predicted
        if self._learner.consistency is not None:
            row["predicted_images"] += batches.count  # the clean images
        pseudo_seconds = time.perf_counter() - self._started
        measured = {}
        if devices.is_main_process():
            measured = diagnostics.write_round(
                self.run,
                number,
                batches.diagnostics,
            )
        self._use_weights()
        self._learner.task_weighting.start_round(self._losses())
        began = time.perf_counter()
        title = f"round {number}/{self.config.epoch} {batches.name}"
        row |= fit_pass(self._learner, batches, title)
        now = time.perf_counter()
        row["learning_rate"] = float(self._learner.optimizer.learning_rate)
        row["seconds"] = now - self._started
        row["train_seconds"] = now - began
        row["pseudo_seconds"] = pseudo_seconds
        row["images_per_second"] = batches.count / (now - began)
        return row | measured

    def _losses(self):
        """Mean losses of the rounds so far: [rounds, tasks]."""
        names = [f"{task}_loss" for task in self.config.loss_weights]
        losses = [row[name] for row in self.rows for name in names]
        return np.reshape(losses, (-1, len(names)))

    def _predictions(self, split):
        """The teacher's, see `evaluation.predictions`."""
        tasks, datasets = self.datasets.tasks, self.datasets.splits
        return predictions(self.teacher, tasks, datasets, split)

    def _evaluate(self, row):
        """Add validation scores to the row; the teacher copies the network.

        Returns the predictions that are scored.
        """
        began = time.perf_counter()
        if self.config.bn_statistics == "mixed":
            seed = [self.config.seed, row["round"]]
            self._statistics.refresh(self.datasets.train, seed)
        self.teacher.update(self.network)
        predicted = self._predictions("validation")
        scores = {name: score(name, found) for name, found in predicted.items()}
        self._predicted = self.teacher.images
        for task, values in scores.items():
            row |= {
                f"validation_{task}_{name}": value
                for name, value in values.items()
                if name not in ("confusion", "count")
            }
        row["validation_score"] = float(
            np.mean([values["accuracy"] for values in scores.values()])
        )
        row["seconds"] += time.perf_counter() - began
        return predicted

    def _result(self, scores):
        """What result.json holds; `scores` are those of each split and task."""
        rows = self.rows
        trained = sum(row["train_seconds"] for row in rows)
        images_seen = sum(
            row["images_per_second"] * row["train_seconds"] for row in rows
        )
        best = max(rows, key=lambda row: row["validation_score"])
        tables = [split.table for split in self.datasets.train]
        return {
            "rounds": len(rows),
            "best_round": best["round"],
            "seconds": sum(row["seconds"] for row in rows),
            "pseudo_seconds": sum(row["pseudo_seconds"] for row in rows),
            # Forward and backward; forward alone, for pseudo labels. A run
            # may have begun before these were counted.
            "trained_images": round(images_seen),
            "predicted_images": sum(
                row.get("predicted_images", 0) for row in rows
            ),
            "images_per_second": images_seen / trained,
            "peak_memory_mib": run_folder.peak_memory(),
            "tasks": {
                task.name: {
                    "classes": list(task.classes),
                    **{split: scores[split][task.name] for split in scores},
                }
                for task in self.datasets.tasks
            },
            "forgetting": scoring.forgetting(
                rows, {table.name: set(table.tasks) for table in tables}
            ),
        }


def _total(steps, config, is_unfrozen):
    """Steps of all rounds of a stage, frozen or unfrozen."""
    first = config.epoch - config.no_freezing_epoch if config.is_freezing else 0

    def until(number):
        turns, rest = divmod(number, len(steps))
        return turns * sum(steps) + sum(steps[:rest])

    return until(config.epoch) - until(first) if is_unfrozen else until(first)


def _is_xla_good():
    """XLA makes TensorFlow's convolutions 5 times slower on a CPU.

    And it compiles no sums over TensorFlow's replicas.
    """
    return keras.backend.backend() != "tensorflow" or not (
        devices.replicas() > 1
        or all(
            device.startswith("cpu")
            for device in keras.distribution.list_devices()
        )
    )


def _print_round(row, tasks, config, current):
    scores = "  ".join(
        f"{task.name} {100 * row[f'validation_{task.name}_accuracy']:.1f}"
        for task in tasks
    )
    best = " *" if current["best_round"] == row["round"] else ""
    print(
        f"round {row['round']}/{config.epoch}  {row['dataset']}  "
        f"loss {row['loss']:.3f}  validation accuracy (%): {scores}{best}  "
        f"{row['seconds']:.0f} s ({row['pseudo_seconds']:.0f} s pseudo "
        f"labels, {row['images_per_second']:.0f} images/s)",
        flush=True,
    )


def _load_best(network, path):
    try:
        networks.check_stored_inside(path)
        network.load_weights(path)
    except UNREADABLE as error:
        raise state.damaged(path, error) from error
