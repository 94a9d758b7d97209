"""Emotion and head pose from two disjoint datasets, trained in turn.

Method: SA-MTL and what it is compared with in alternating training,
"Beyond without Forgetting: Multi-Task Learning for Classification with
Disjoint Datasets", ICME 2020, arXiv 2003.06746.

Each round is one pass over one dataset, emotion first. The labels it lacks
are filled in by the method: masked (naive), the teacher's tempered
predictions (distilled; DML-LWF at temperature 1), or weighted pseudo labels
(SA-MTL: hard selection or interpolation).
"""

from samtl.cli import command_line
from samtl.common.errors import run_script

TASKS = ("emotion", "pose")
EXAMPLES = """examples:
  python ALTERNATIVE_EP.py
      SA-MTL with hard selection on synthetic faces
  python ALTERNATIVE_EP.py --dataset_emotion=ferplus --dataset_pose=mtfl \\
      --epoch=24 --is_augmentation=True
      the same on real faces
  python ALTERNATIVE_EP.py --is_distilled=True --distill_t=1
      DML-LWF
"""


def alternating_parser(tasks, description, examples):
    """The flags of alternating training for some tasks."""
    parser = command_line.parser(description, examples)
    command_line.add_dataset_flags(parser, tasks)
    command_line.add_method_flags(parser)
    command_line.add_training_flags(parser)
    command_line.add_run_flags(parser)
    return parser


def alternate(config):
    """Train on the datasets in turn, by a `training.Configuration`."""
    from data_preparation import synthetic
    from samtl.data.datasets import open_datasets
    from samtl.distributed import devices
    from samtl.networks import image_shape
    from samtl.pseudo_labels import Teacher, fill_missing, joined, true_labels
    from samtl.training import Experiment, start_network
    from utils import alternative

    devices.distribute(config.devices)
    with devices.main_process_first():
        synthetic.ensure(config.data.names, config.data.data_dir)
    datasets = open_datasets(config.data, image_shape(config.network))
    config = config.fitted(datasets)
    tasks, splits = datasets.tasks, datasets.train
    network = start_network(config, tasks)
    teacher = Teacher(network, config.training.batch_size)
    experiment = Experiment(config, datasets, network, teacher)

    steps = [alternative.steps(split, config) for split in splits]
    for number in experiment.rounds(steps):
        active = splits[number % len(splits)]  # the datasets take turns
        teacher.update(network)  # a frozen copy
        labels = true_labels(active, tasks, config.data)
        pseudo = fill_missing(
            active,
            splits,
            tasks,
            method=config.method.in_round(number),
            teacher=teacher,
            seed=(config.training.seed, number),
        )
        triples = joined(labels, pseudo)
        batches = alternative.generator(active, triples, config, number)
        experiment.train(batches)  # one pass, then evaluation
    experiment.report()


def run(parser, tasks, script, argv):
    """Read the command line of a script, train and report."""
    args = command_line.parse(parser, argv)
    tasks = command_line.trained_tasks(args, tasks)
    # Keras takes seconds to load; --help and a wrong flag should not.
    from samtl.cli.configuration import configure

    alternate(configure(args, tasks, script))


def parser():
    return alternating_parser(TASKS, __doc__, EXAMPLES)


def main(argv=None):
    run(parser(), TASKS, __file__, argv)


if __name__ == "__main__":
    run_script(main)
