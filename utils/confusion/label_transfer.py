"""LEL-LTN: label embeddings and label transfer networks.

Augenstein, Ruder, Soegaard 2018, "Multi-task Learning of Pairwise Sequence
Classification Tasks Over Disparate Label Spaces" (arXiv 1802.09913). All
labels of all tasks have embeddings in one space, in `networks.build` the
columns of the heads' kernels. For each task a label transfer network reads
what the other tasks predict, as expected label embeddings, and learns to
predict the task's own label from it; where the label is missing, its
prediction takes the label's place.
"""

import keras
from keras import layers, ops

from samtl.networks import LABEL_DIMENSIONS
from samtl.pseudo_labels import filling
from samtl.training.learner import AuxiliaryLoss, triple_loss

HIDDEN = 64  # units of a transfer network's hidden layer


def build(tasks):
    """The label transfer networks of all tasks, as one model.

    Input: {task name: [B, LABEL_DIMENSIONS] expected label embeddings}; output:
    {task name: [B, C_t] logits}. Task t's network, a hidden layer of relu
    units, reads the other tasks' embeddings side by side (section 3.3).

    Args:
        tasks: list of at least two Task.
    """
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


def transferred(transfer, network, logits):
    """What the transfer networks make of the network's predictions.

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


def fill(transfer, network, warmup, tasks, parts, labelled, predict, number):
    """Fill in missing triples by label transfer, for `confusion.Rounds`.

    The transfer networks' softmax predictions become targets of weight 1. In
    the first `warmup` epochs missing labels are left out.

    Args:
        transfer, network: see `transferred`.
        warmup: epochs, >= 0.
        tasks: list of Task.
        parts, labelled, predict, number: see `confusion.Rounds`.
    """
    if number < warmup:
        return [filling.left_out(part, tasks) for part in parts], []
    targets = []
    for part, triples in zip(parts, labelled, strict=True):
        found = transferred(transfer, network, predict(part)["logits"])
        targets.append(
            {
                task: ops.convert_to_numpy(ops.softmax(found[task.name]))
                for task in tasks
                if task not in triples
            }
        )
    return filling.soft_triples(parts, targets)


def terms(transfer, network, plan, loss_weights):
    """What the transfer networks' training adds, for `training.fit`.

    Each learns from the images labelled for its task, with the task's weight.

    Args:
        transfer, network: see `transferred`.
        plan: `confusion.Rounds`.
        loss_weights: {task name: lambda_t >= 0}.

    Returns:
        {<task>_transfer_loss: learner.AuxiliaryLoss}.
    """

    def term(task):
        labelled = plan.labelled_rows(task)

        def value(outputs, triples):
            found = transferred(transfer, network, outputs["logits"])
            triple = triples[task.name]
            weight = ops.multiply(triple["weight"], labelled)
            triple = {**triple, "weight": weight}
            return triple_loss(**triple, logits=found[task.name])

        return AuxiliaryLoss(loss_weights[task.name], value)

    return {f"{task.name}_transfer_loss": term(task) for task in plan.tasks}
