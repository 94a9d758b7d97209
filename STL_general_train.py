"""One task from one dataset: the single-task baseline.

The network is that of the multi-task scripts with one head, trained on the
dataset's true labels; every round is one pass over the dataset. Labels that it
lacks, and those of --unlabelled datasets, which take turns with it, are filled
in by a method where one is chosen, as in ALTERNATIVE_EP.py.
"""

from samtl.cli import command_line
from samtl.common.errors import run_script

EXAMPLES = """examples:
  python STL_general_train.py
      emotion on synthetic faces
  python STL_general_train.py --dataset=ferplus --task_type=0 --epoch=13 \\
      --batch_size=64 --is_augmentation=True
      emotion on FER+
  python STL_general_train.py --dataset=mtfl --task_type=10 \\
      --is_augmentation=True --class_weights=balanced
      head pose on MTFL
  python STL_general_train.py --dataset=mtfl --task_type=pose \\
      --unlabelled ferplus --is_pseudo=True
      the same, with faces that have no label of it
"""


def parser():
    parser = command_line.parser(__doc__, EXAMPLES)
    command_line.add_task_flags(parser)
    command_line.add_single_task_method_flags(parser)
    command_line.add_training_flags(parser)
    command_line.add_run_flags(parser)
    return parser


def main(argv=None):
    args = command_line.parse(parser(), argv)
    # Keras takes seconds to load; --help and a wrong flag should not.
    from samtl.cli.configuration import configure

    train(configure(args, [args.task_type], __file__))


def train(config):
    """Train on the one dataset, by a `training.Configuration`."""
    from data_preparation import synthetic
    from samtl.data.datasets import open_datasets
    from samtl.distributed import devices
    from samtl.networks import image_shape
    from samtl.pseudo_labels import Teacher, fill_missing, joined, true_labels
    from samtl.training import Experiment, start_network
    from utils import stl

    devices.distribute(config.devices)
    with devices.main_process_first():
        synthetic.ensure(config.data.names, config.data.data_dir)
    datasets = open_datasets(config.data, image_shape(config.network))
    config = config.fitted(datasets)
    tasks, splits = datasets.tasks, datasets.train
    network = start_network(config, tasks)
    teacher = Teacher(network, config.training.batch_size)
    experiment = Experiment(config, datasets, network, teacher)

    for number in experiment.rounds([stl.steps(s, config) for s in splits]):
        active = splits[number % len(splits)]  # pools take turns
        teacher.update(network)  # a frozen copy
        labels = true_labels(active, tasks, config.data)
        missing = fill_missing(
            active,
            splits,
            tasks,
            method=config.method.in_round(number),
            teacher=teacher,
            seed=(config.training.seed, number),
        )
        triples = joined(labels, missing)
        experiment.train(stl.generator(active, triples, config, number))
    experiment.report()


if __name__ == "__main__":
    run_script(main)
