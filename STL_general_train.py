"""One task from one dataset: the single-task baseline.

The network is that of the multi-task scripts with one head, trained on the
dataset's true labels; every round is one pass over the dataset.
"""

from samtl.cli import command_line
from samtl.common.errors import run_script

EXAMPLES = """examples:
  python STL_general_train.py
      emotion on drawn faces
  python STL_general_train.py --dataset=ferplus --task_type=0 --epoch=13 \\
      --batch_size=64 --is_augmentation=True
      emotion on FER+
  python STL_general_train.py --dataset=mtfl --task_type=10 \\
      --is_augmentation=True --class_weights=balanced
      head pose on MTFL
"""


def parser():
    parser = command_line.parser(__doc__, EXAMPLES)
    command_line.add_task_flags(parser)
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
    from utils import stl

    devices.distribute(args)
    tasks = [args.task_type]
    wanted = command_line.wanted_datasets(args, tasks)
    with devices.main_process_first():
        synthetic.ensure(wanted, args.data_dir)
    datasets, tasks = experiment.open_datasets(args, wanted, tasks)
    network = experiment.build_network(args, tasks)
    teacher = pseudo_labels.Teacher(network, args.batch_size)
    plan = stl.Rounds(datasets, tasks, args)
    run = experiment.open_run(args, __file__, wanted, f"stl-{args.task_type}")
    rows = loop.fit(
        network, teacher, datasets, plan, {args.task_type: 1.0}, args, run
    )
    experiment.report(network, teacher, datasets, plan, rows, run)


if __name__ == "__main__":
    run_script(main)
