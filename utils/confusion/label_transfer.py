"""LEL-LTN: label embeddings and label transfer networks.

Augenstein, Ruder, Soegaard 2018, "Multi-task Learning of Pairwise Sequence
Classification Tasks Over Disparate Label Spaces" (arXiv 1802.09913). All
labels of all tasks have embeddings in one space, in `networks.build` the
columns of the heads' kernels. For each task a label transfer network reads
what the other tasks predict, as expected label embeddings, and learns to
predict the task's own label from it; where the label is missing, its
prediction takes the label's place.
"""

from collections.abc import Callable

import keras
from keras import layers, ops

from samtl.common.errors import UserError
from samtl.data.images import Split
from samtl.data.tasks import Task
from samtl.networks import LABEL_DIMENSIONS
from samtl.pseudo_labels import Triples, filling
from samtl.training.learner import AuxiliaryLoss
from utils.confusion import partial_loss

HIDDEN = 64  # units of a transfer network's hidden layer


def build(tasks: list[Task]) -> keras.Model:
    """The label transfer networks of all tasks, as one model.

    Input: {task name: [B, LABEL_DIMENSIONS] expected label embeddings}; output:
    {task name: [B, C_t] logits}. Task t's network, a hidden layer of relu
    units, reads the other tasks' embeddings side by side (section 3.3).

    Args:
        tasks: at least two.

    Raises:
        UserError: there is one task alone.
    """
    if len(tasks) < 2:
        raise UserError(
            f"LEL-LTN predicts {tasks[0].name} from other tasks, and there is "
            "none; give a dataset of another task, or choose another method"
        )
    inputs = {
        task.name: keras.Input((LABEL_DIMENSIONS,), name=task.name)
        for task in tasks
    }
    outputs = {}
    for task in tasks:
        others = [x for name, x in inputs.items() if name != task.name]
        x = layers.concatenate(others) if len(others) > 1 else others[0]
        x = layers.Dense(HIDDEN, "relu", name=f"hidden_{task.name}")(x)
        outputs[task.name] = layers.Dense(len(task), name=f"to_{task.name}")(x)
    return keras.Model(inputs, outputs, name="label_transfer")


def expected_embeddings(logits, embeddings):
    """sum_j p_j l_j with p = softmax(z), equation 4 of the paper.

    Args:
        logits: z, [B, C].
        embeddings: rows l_j, [C, L].

    Returns:
        [B, L].
    """
    return ops.matmul(ops.softmax(logits, axis=-1), embeddings)


def transferred(
    transfer: keras.Model, network: keras.Model, logits: dict
) -> dict:
    """Predictions of the transfer networks from those of the network.

    No gradient passes through the predictions, which would learn to carry
    other tasks' labels; the label embeddings do learn.

    Args:
        transfer: model from `build`.
        network: model from `networks.build` with label embeddings.
        logits: {task name: [B, C_t]} of the network.

    Returns:
        {task name: [B, C_t]} logits.
    """
    read = {
        name: expected_embeddings(
            ops.stop_gradient(ops.convert_to_tensor(values)),
            ops.transpose(network.get_layer(f"head_{name}").kernel),
        )
        for name, values in logits.items()
    }
    return transfer(read)


def fill(
    transfer: keras.Model,
    network: keras.Model,
    splits: list[Split],
    tasks: list[Task],
    teacher: Callable,
) -> list[dict[Task, Triples]]:
    """Triples of the missing labels by label transfer.

    The transfer networks' softmax predictions become targets of weight 1.

    Args:
        transfer, network: see `transferred`.
        splits: training Split of each dataset.
        tasks: of the network.
        teacher: function of a Split to the teacher's outputs.
    """
    targets = []
    for split in splits:
        found = transferred(transfer, network, teacher(split)["logits"])
        targets.append(
            {
                task: ops.convert_to_numpy(ops.softmax(found[task.name]))
                for task in tasks
            }
        )
    return filling.soft_triples(splits, targets)


def losses(
    transfer: keras.Model,
    network: keras.Model,
    tasks: list[Task],
    loss_weights: dict[str, float],
) -> dict[str, AuxiliaryLoss]:
    """Losses that train the transfer networks.

    Each learns from the images labelled for its task, with the task's weight.

    Args:
        transfer, network: see `transferred`.
        tasks: of the network.
        loss_weights: {task name: lambda_t >= 0}.
    """

    def value(task):
        loss = partial_loss(task, labelled=True)

        def of_batch(outputs, triples):
            found = transferred(transfer, network, outputs["logits"])
            return loss({"logits": found}, triples)

        return of_batch

    return {
        f"{task.name}_transfer_loss": AuxiliaryLoss(
            loss_weights[task.name], value(task)
        )
        for task in tasks
    }
