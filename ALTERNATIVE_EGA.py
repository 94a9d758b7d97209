"""Emotion, gender and age from disjoint datasets, trained in turn.

Method: SA-MTL and what it is compared with in alternating training,
"Beyond without Forgetting: Multi-Task Learning for Classification with
Disjoint Datasets", ICME 2020, arXiv 2003.06746; see ALTERNATIVE_EP.py.

A dataset that carries two of the tasks, as UTKFace does gender and age, uses
both; --labels utkface:age leaves its gender out, and the audit of the pseudo
labels tells how often they meet it.
"""

from samtl.cli import command_line
from samtl.common.errors import run_script

TASKS = ("emotion", "gender", "age")
EXAMPLES = """examples:
  python ALTERNATIVE_EGA.py
      SA-MTL with hard selection on drawn faces
  python ALTERNATIVE_EGA.py --dataset_emotion=ferplus --dataset_age=utkface \\
      --epoch=24 --is_augmentation=True
      the same on real faces; gender comes from UTKFace too
"""


def parser():
    parser = command_line.parser(__doc__, EXAMPLES)
    command_line.add_dataset_flags(parser, TASKS)
    command_line.add_method_flags(parser)
    command_line.add_training_flags(parser)
    command_line.add_run_flags(parser)
    return parser


def main(argv=None):
    args = command_line.parse(parser(), argv)
    # Keras takes seconds to load; --help and a wrong flag should not.
    from data_preparation import synthetic
    from samtl import pseudo_labels
    from samtl.distributed import devices
    from samtl.training import experiment, loop
    from utils import alternative

    devices.distribute(args)
    wanted = command_line.wanted_datasets(args, TASKS)
    with devices.main_process_first():
        synthetic.ensure(wanted, args.data_dir)
    datasets, tasks = experiment.open_datasets(args, wanted, TASKS)
    network = experiment.build_network(args, tasks)
    teacher = pseudo_labels.Teacher(network, args.batch_size)
    method = command_line.method(args)
    plan = alternative.Rounds(network, teacher, datasets, tasks, method, args)
    run = experiment.open_run(
        args, __file__, wanted, command_line.method_name(args)
    )
    loss_weights = command_line.loss_weights(args, TASKS)
    rows = loop.fit(network, teacher, datasets, plan, loss_weights, args, run)
    experiment.report(network, teacher, datasets, plan, rows, run)


if __name__ == "__main__":
    run_script(main)
