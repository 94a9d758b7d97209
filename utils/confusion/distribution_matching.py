"""Distribution matching with soft co-annotation.

Kollias, Sharmanska, Zafeiriou 2024, "Distribution Matching for Multi-Task
Learning of Classification Tasks" (AAAI, arXiv 2401.01219). How the labels of
two tasks go together, their relatedness, couples the tasks twice: a label of
one task gives a soft label of the other (soft co-annotation), and what the
network predicts for one has to agree with what it predicts for the other
(distribution matching).
"""

from collections.abc import Callable
from dataclasses import replace

import keras
import numpy as np
from keras import ops
from scipy.special import softmax

from samtl.common.errors import UserError
from samtl.data.images import Split
from samtl.data.tasks import Task
from samtl.pseudo_labels import Triples, filling
from samtl.training.learner import AuxiliaryLoss
from utils.confusion import observed


class Relatedness(keras.layers.Layer):
    """P(t = c | s = d) of every ordered pair of tasks (s, t).

    It is estimated, not trained. Before the first estimate all labels are
    equally probable, and the matching has no gradient.

    Args:
        tasks: of the network, at least two.

    Attributes:
        tables: {(name of s, name of t): variable [C_s, C_t], rows sum to 1}.

    Raises:
        UserError: there is one task alone.
    """

    def __init__(self, tasks: list[Task]):
        super().__init__()
        if len(tasks) < 2:
            raise UserError(
                f"distribution matching relates {tasks[0].name} to other "
                "tasks, and there is none; give a dataset of another task, or "
                "choose another method"
            )
        self._tasks = tuple(tasks)
        self.tables = {
            (s.name, t.name): self.add_weight(
                shape=(len(s), len(t)),
                initializer=keras.initializers.Constant(1 / len(t)),
                trainable=False,
            )
            for t in tasks
            for s in tasks
            if s != t
        }
        self.built = True

    def estimate(
        self,
        splits: list[Split],
        true: list[dict[Task, Triples]],
        teacher: Callable,
    ) -> None:
        """Set the tables by `relatedness` on the training images.

        Args:
            splits: training Split of each dataset.
            true: triples of the datasets' labels.
            teacher: function of a Split to the teacher's outputs.
        """
        labels, beliefs = {}, {}
        for task in self._tasks:
            name = task.name
            labels[name] = np.concatenate(
                [
                    observed(triples, task, len(split))
                    for split, triples in zip(splits, true, strict=True)
                ]
            )
            logits = [teacher(split)["logits"][name] for split in splits]
            beliefs[name] = np.where(
                labels[name].any(axis=1, keepdims=True),
                labels[name],
                softmax(np.concatenate(logits), axis=1),
            )
        for (s, t), table in self.tables.items():
            table.assign(relatedness(labels[s], beliefs[t]))

    def fill(
        self, splits: list[Split], true: list[dict[Task, Triples]]
    ) -> list[dict[Task, Triples]]:
        """Soft co-annotation: triples (sum_d q_s(d) P(t | s = d), 1, 1).

        q_s is the image's label of another task s; of several, the mean is
        taken. An image without any label is masked.

        Args:
            splits: training Split of each dataset.
            true: triples of the datasets' labels.
        """
        tables = {
            pair: ops.convert_to_numpy(table)
            for pair, table in self.tables.items()
        }
        filled = []
        for split, triples in zip(splits, true, strict=True):
            labels = {
                task.name: observed(triples, task, len(split))
                for task in self._tasks
            }
            targets = {}
            for task in self._tasks:
                total = sum(
                    labels[s] @ table
                    for (s, t), table in tables.items()
                    if t == task.name
                )
                count = total.sum(axis=1, keepdims=True)
                targets[task] = total / np.maximum(count, 1e-8)
            (soft,) = filling.soft_triples([split], [targets])
            filled.append(
                {
                    task: replace(
                        found, weight=found.weight * targets[task].any(axis=1)
                    )
                    for task, found in soft.items()
                }
            )
        return filled

    def losses(self, weight: float) -> dict[str, AuxiliaryLoss]:
        """The matching of every ordered pair of tasks, on a whole batch.

        Args:
            weight: of each, >= 0; 1 in the paper.
        """

        def value(s, t):
            def of_batch(outputs, triples):
                logits = outputs["logits"]
                return matching(logits[s], logits[t], self.tables[s, t])

            return of_batch

        return {
            f"{s}_{t}_matching": AuxiliaryLoss(weight, value(s, t))
            for s, t in self.tables
        }


def relatedness(labels: np.ndarray, beliefs: np.ndarray) -> np.ndarray:
    """P(t = c | s = d): the mean belief about t over the images labelled d.

    The paper takes it from prior knowledge, or counts it on images with labels
    of both tasks. Disjoint datasets have none: there, the belief is the
    teacher's prediction.

    Args:
        labels: of s, [N, C_s] distributions; rows of zeros where there is none.
        beliefs: of t, [N, C_t] distributions; true labels where there are.

    Returns:
        [C_s, C_t] float32. A label that no image has gets the mean of all.
    """
    counts = labels.sum(axis=0)[:, None]
    sums = labels.T @ beliefs
    mean = np.tile(beliefs.mean(axis=0), (len(sums), 1))
    return np.divide(sums, counts, out=mean, where=counts > 0).astype("float32")


def matching(source, logits, table):
    """mean_i -sum_c p_i(c) log q_i(c), q_i = sum_d p'_i(d) P(t = c | s = d).

    p and p' are the network's predictions for t and s. Both learn.

    Args:
        source: [B, C_s] logits of s.
        logits: [B, C_t] logits of t.
        table: [C_s, C_t] relatedness.

    Returns:
        scalar.
    """
    expected = ops.matmul(ops.softmax(source), table)
    log = ops.log(ops.maximum(expected, 1e-7))
    return -ops.mean(ops.sum(ops.softmax(logits) * log, axis=-1))
