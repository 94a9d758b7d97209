"""The methods of joint training, put together from their parts."""

import functools

from samtl.cli import command_line
from utils import confusion
from utils.confusion import distillation, label_transfer, manifold, mrf


def assemble(method, network, teacher, datasets, tasks, args):
    """What `training.fit` needs of a method.

    Args:
        method: its name, from `command_line.method_name`.
        network: model from `networks.build`, for lel-ltn with label
            embeddings.
        teacher: `pseudo.Teacher` of it.
        datasets: list of {"train": Split, ...}.
        tasks: list of Task.
        args: the script's arguments (`samtl.cli.command_line`).

    Returns:
        (plan, terms, companion): `confusion.Rounds`, {name: learner.AuxiliaryLoss},
        and the model to be trained along, or None.
    """
    companion = None
    if method == "lel-ltn":
        companion = label_transfer.build(tasks)
        fill = functools.partial(
            label_transfer.fill, companion, network, args.ltn_warmup, tasks
        )
    elif method == "dcn-ap":
        fill = functools.partial(mrf.fill, tasks, args)
    elif method == "teacher-distilled":
        teachers = distillation.load(args.teacher, tasks, args.resume)
        taught = [
            distillation.predictions(teachers, parts["train"], tasks)
            for parts in datasets
        ]
        fill = functools.partial(distillation.fill, taught, args)
    else:
        fill = functools.partial(
            confusion.fill, tasks, command_line.method(args), args
        )
    plan = confusion.Rounds(network, teacher, datasets, tasks, fill, args)
    if "is_lnorm" in args:
        return plan, manifold.terms(network, tasks, args), companion
    terms = plan.split_losses()
    if companion:
        loss_weights = command_line.loss_weights(
            args, [task.name for task in tasks]
        )
        terms |= label_transfer.terms(companion, network, plan, loss_weights)
    return plan, terms, companion
