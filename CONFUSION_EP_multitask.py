"""Emotion and head pose from two disjoint datasets, trained jointly.

Or other tasks: those that a dataset is given for. Every batch mixes the
datasets in proportion to their sizes; an epoch is one pass over the largest,
and the missing labels are filled in anew at its start.

Methods:
  All-in-one  masked (Ranjan et al. 2016, arXiv 1611.00851)
  LEL-LTN     predicted from the other tasks' predicted labels
              (Augenstein, Ruder, Soegaard 2018, arXiv 1802.09913)
  DCN-AP      predictions refined on a graph of similar faces
              (Zhang, Luo, Loy, Tang 2016, arXiv 1609.06426)
  distribution matching
              inferred from the other tasks' labels (Kollias, Sharmanska,
              Zafeiriou 2024, arXiv 2401.01219)
  and those of ALTERNATIVE_EP.py: distilled, SA-MTL with hard selection and
  with interpolation (arXiv 2003.06746).
"""

from samtl.cli import command_line
from samtl.common.errors import run_script

TASKS = ("emotion", "pose", "gender", "age")
SYNTHETIC = ("emotion", "pose")  # trained where no dataset is given
NO_WEIGHTS = (
    "--is_pseudo_confidence=False --is_pseudo_density=False \\\n"
    "      --is_pseudo_distribution=False"
)
EXAMPLES = f"""examples:
  python CONFUSION_EP_multitask.py --is_naive=True
      All-in-one on synthetic faces
  python CONFUSION_EP_multitask.py --is_MRF=True \\
      --dataset_emotion=ferplus --dataset_pose=mtfl
      DCN-AP on real faces
  python CONFUSION_EP_multitask.py {NO_WEIGHTS}
      LEL-LTN
  python CONFUSION_EP_multitask.py
      SA-MTL with hard selection
"""


def parser():
    parser = command_line.parser(__doc__, EXAMPLES)
    command_line.add_dataset_flags(parser, TASKS)
    command_line.add_method_flags(parser)
    command_line.add_joint_flags(parser)
    command_line.add_training_flags(parser)
    command_line.add_run_flags(parser)
    return parser


def main(argv=None):
    args = command_line.parse(parser(), argv, SYNTHETIC)
    names = command_line.given_tasks(args, TASKS)
    print(f"method: {command_line.method_name(args)}")
    # Keras takes seconds to load; --help and a wrong flag should not.
    from samtl.cli.configuration import configure

    train(configure(args, names, __file__))


def train(config):
    """Train on batches of all datasets, by a `training.Configuration`."""
    from data_preparation import synthetic
    from samtl.data.datasets import open_datasets
    from samtl.distributed import devices
    from samtl.networks import image_shape
    from samtl.pseudo_labels import Kind, Teacher, joined, true_labels
    from samtl.pseudo_labels.filling import fill_missing
    from samtl.training import Experiment, start_network
    from utils import confusion
    from utils.confusion import distillation, label_transfer, mrf

    devices.distribute(config.devices)
    with devices.main_process_first():
        synthetic.ensure(config.data.names, config.data.data_dir)
    datasets = open_datasets(config.data, image_shape(config.network))
    config = config.fitted(datasets)
    tasks, splits, kind = datasets.tasks, datasets.train, config.method.kind
    is_transfer = kind == Kind.LABEL_TRANSFER
    network = start_network(config, tasks, label_embeddings=is_transfer)
    teacher = Teacher(network, config.training.batch_size)
    labels = [true_labels(split, tasks, config.data) for split in splits]
    if kind == Kind.TRAINED_TEACHERS:
        soft = distillation.triples(config, splits, tasks, labels)

    mixture = confusion.Mixture(splits, config.training)
    further = further_losses(config, tasks, network)
    auxiliary = further.model
    experiment = Experiment(config, datasets, network, teacher, further)

    for number in experiment.rounds([mixture.steps]):
        teacher.update(network)  # a frozen copy
        predict = confusion.Predictions(teacher)
        method = config.method.in_round(number)
        if method.kind == Kind.LABEL_TRANSFER:
            ltn = auxiliary, network
            missing = label_transfer.fill(*ltn, splits, tasks, predict)
        elif method.kind == Kind.RANDOM_FIELD:
            field = method.random_field
            missing = mrf.fill(field, splits, tasks, labels, predict)
        elif method.kind == Kind.DISTRIBUTION_MATCHING:
            auxiliary.estimate(splits, labels, predict)
            missing = auxiliary.fill(splits, labels)
        elif method.kind == Kind.TRAINED_TEACHERS:
            missing = soft
        else:
            seed = config.training.seed, number
            missing = [
                fill_missing(split, splits, tasks, method, predict, seed)
                for split in splits
            ]
        triples = [joined(a, b) for a, b in zip(labels, missing, strict=True)]
        experiment.train(mixture.generator(triples, config, number))
    experiment.report()


def further_losses(config, tasks, network):
    """The losses that are reported beside the first, and those of a method."""
    from samtl.pseudo_labels import Kind
    from samtl.training import Auxiliary
    from utils import confusion
    from utils.confusion import distribution_matching, label_transfer

    losses, model = confusion.split_losses(tasks), None
    if config.method.kind == Kind.LABEL_TRANSFER:
        model = label_transfer.build(tasks)
        losses |= label_transfer.losses(
            model, network, tasks, config.training.loss_weights
        )
    elif config.method.kind == Kind.DISTRIBUTION_MATCHING:
        model = distribution_matching.Relatedness(tasks)
        losses |= model.losses(config.method.matching_weight)
    return Auxiliary(losses, model)


if __name__ == "__main__":
    run_script(main)
