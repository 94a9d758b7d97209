"""Emotion and head pose from two disjoint datasets, with manifold terms.

Joint training as in CONFUSION_EP_multitask.py, missing labels masked. The
network has two outputs a task, predictions and features; features and weights
are regularised.

Methods:
  SFSMR  l2,1 norm of the heads' weights, and predictions that are smooth over
         the graph of the images (Chang, Yang 2014, arXiv 1411.6232)
  SLRM   the nuclear norm of all heads' weights too (Jing et al., CVPR 2015)
"""

from samtl.cli import command_line
from samtl.common.errors import run_script

TASKS = ("emotion", "pose", "gender", "age")
SYNTHETIC = ("emotion", "pose")  # trained where no dataset is given
EXAMPLES = """examples:
  python CONFUSION_EP_multitask_manifold.py
      SLRM on synthetic faces
  python CONFUSION_EP_multitask_manifold.py --is_nuclear_norm=False \\
      --dataset_emotion=ferplus --dataset_pose=mtfl
      SFSMR on real faces
  python CONFUSION_EP_multitask_manifold.py --is_trace_norm=True
      one term alone, an ablation
"""


def parser():
    parser = command_line.parser(__doc__, EXAMPLES)
    command_line.add_dataset_flags(parser, TASKS)
    command_line.add_method_flags(
        parser,
        "Only naive: missing labels are masked. The other flags are read\n"
        "so that published commands run.",
    )
    command_line.add_manifold_flags(parser)
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
    """Train with regularisers, by a `training.Configuration`."""
    from data_preparation import synthetic
    from samtl.data.datasets import open_datasets
    from samtl.distributed import devices
    from samtl.networks import image_shape
    from samtl.pseudo_labels import Teacher, joined, masked, true_labels
    from samtl.training import Auxiliary, Experiment, start_network
    from utils import confusion
    from utils.confusion import manifold

    devices.distribute(config.devices)
    with devices.main_process_first():
        synthetic.ensure(config.data.names, config.data.data_dir)
    datasets = open_datasets(config.data, image_shape(config.network))
    config = config.fitted(datasets)
    tasks, splits = datasets.tasks, datasets.train
    network = start_network(config, tasks)
    teacher = Teacher(network, config.training.batch_size)  # evaluates
    losses = manifold.losses(network, tasks, config.regularisers)
    experiment = Experiment(
        config, datasets, network, teacher, Auxiliary(losses)
    )

    mixture = confusion.Mixture(splits, config.training)
    triples = [
        joined(true_labels(split, tasks, config.data), masked(split, tasks))
        for split in splits
    ]
    for number in experiment.rounds([mixture.steps]):
        experiment.train(mixture.generator(triples, config, number))
    experiment.report()


if __name__ == "__main__":
    run_script(main)
