"""Emotion, gender and age from disjoint datasets, trained in turn.

Method: SA-MTL and what it is compared with in alternating training,
"Beyond without Forgetting: Multi-Task Learning for Classification with
Disjoint Datasets", ICME 2020, arXiv 2003.06746; see ALTERNATIVE_EP.py.

A dataset that carries two of the tasks, as UTKFace does gender and age, uses
both; --labels utkface:age leaves its gender out, and the audit of the pseudo
labels tells how often they meet it.
"""

from utils import cli
from utils.errors import run_script

TASKS = ("emotion", "gender", "age")
EXAMPLES = """examples:
  python ALTERNATIVE_EGA.py
      SA-MTL with hard selection on drawn faces
  python ALTERNATIVE_EGA.py --dataset_emotion=ferplus --dataset_age=utkface \\
      --epoch=24 --is_augmentation=True
      the same on real faces; gender comes from UTKFace too
"""


def parser():
    parser = cli.parser(__doc__, EXAMPLES)
    cli.add_dataset_flags(parser, TASKS)
    cli.add_method_flags(parser)
    cli.add_training_flags(parser)
    cli.add_run_flags(parser)
    return parser


def main(argv=None):
    args = cli.parse(parser(), argv)
    # Keras takes seconds to load; --help and a wrong flag should not.
    from data_preparation import synthetic
    from utils import alternative, devices, experiment, pseudo, training

    devices.spread(args)
    wanted = cli.wanted_datasets(args, TASKS)
    with devices.leader_first():
        synthetic.ensure(wanted, args.data_dir)
    datasets, tasks = experiment.open_datasets(args, wanted, TASKS)
    network = experiment.build_network(args, tasks)
    teacher = pseudo.Teacher(network, args.batch_size)
    method = cli.method(args)
    plan = alternative.Rounds(network, teacher, datasets, tasks, method, args)
    run = experiment.open_run(args, __file__, wanted, cli.method_name(args))
    loss_weights = cli.loss_weights(args, TASKS)
    rows = training.fit(
        network, teacher, datasets, plan, loss_weights, args, run
    )
    experiment.report(network, teacher, datasets, plan, rows, run)


if __name__ == "__main__":
    run_script(main)
