"""Emotion and head pose from two disjoint datasets, with manifold terms.

Joint training as in CONFUSION_EP_multitask.py, missing labels left out. The
network has two outputs a task, predictions and features; features and weights
are regularised.

Methods:
  SFSMR  l2,1 norm of the heads' weights, and predictions that are smooth over
         the graph of the images (Chang, Yang 2014, arXiv 1411.6232)
  SLRM   the nuclear norm of all heads' weights too (Jing et al., CVPR 2015)
"""

from utils import cli
from utils.errors import run_script

TASKS = ("emotion", "pose", "gender", "age")
DRAWN = ("emotion", "pose")  # without any dataset: drawn faces for these
EXAMPLES = """examples:
  python CONFUSION_EP_multitask_manifold.py
      SLRM on drawn faces
  python CONFUSION_EP_multitask_manifold.py --is_nuclear_norm=False \\
      --dataset_emotion=ferplus --dataset_pose=mtfl
      SFSMR on real faces
  python CONFUSION_EP_multitask_manifold.py --is_trace_norm=True
      one term alone, an ablation
"""


def parser():
    parser = cli.parser(__doc__, EXAMPLES)
    cli.add_dataset_flags(parser, TASKS)
    cli.add_method_flags(
        parser,
        "Only naive: missing labels are left out. The other flags are read\n"
        "so that published commands run.",
    )
    cli.add_manifold_flags(parser)
    cli.add_training_flags(parser)
    cli.add_run_flags(parser)
    return parser


def main(argv=None):
    args = cli.parse(parser(), argv, DRAWN)
    names = cli.given_tasks(args, TASKS)
    method = cli.method_name(args)
    print(f"method: {method}")
    # Keras takes seconds to load; --help and a wrong flag should not.
    from data_preparation import synthetic
    from utils import devices, experiment, pseudo, training
    from utils.confusion.methods import assemble

    devices.spread(args)
    wanted = cli.wanted_datasets(args, names)
    with devices.leader_first():
        synthetic.ensure(wanted, args.data_dir)
    datasets, tasks = experiment.open_datasets(args, wanted, names)
    network = experiment.build_network(args, tasks)
    teacher = pseudo.Teacher(network, args.batch_size)
    plan, terms, _ = assemble(method, network, teacher, datasets, tasks, args)
    run = experiment.open_run(args, __file__, wanted, method)
    loss_weights = cli.loss_weights(args, names)
    rows = training.fit(
        network, teacher, datasets, plan, loss_weights, args, run, terms
    )
    experiment.report(network, teacher, datasets, plan, rows, run)


if __name__ == "__main__":
    run_script(main)
