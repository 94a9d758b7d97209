"""Emotion and head pose from two disjoint datasets, with manifold terms.

Joint training as in CONFUSION_EP_multitask.py, missing labels left out. The
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
    parser = command_line.parser(__doc__, EXAMPLES)
    command_line.add_dataset_flags(parser, TASKS)
    command_line.add_method_flags(
        parser,
        "Only naive: missing labels are left out. The other flags are read\n"
        "so that published commands run.",
    )
    command_line.add_manifold_flags(parser)
    command_line.add_training_flags(parser)
    command_line.add_run_flags(parser)
    return parser


def main(argv=None):
    args = command_line.parse(parser(), argv, DRAWN)
    names = command_line.given_tasks(args, TASKS)
    method = command_line.method_name(args)
    print(f"method: {method}")
    # Keras takes seconds to load; --help and a wrong flag should not.
    from data_preparation import synthetic
    from samtl import pseudo_labels
    from samtl.distributed import devices
    from samtl.training import experiment, loop
    from utils.confusion.methods import assemble

    devices.distribute(args)
    wanted = command_line.wanted_datasets(args, names)
    with devices.main_process_first():
        synthetic.ensure(wanted, args.data_dir)
    datasets, tasks = experiment.open_datasets(args, wanted, names)
    network = experiment.build_network(args, tasks)
    teacher = pseudo_labels.Teacher(network, args.batch_size)
    plan, terms, _ = assemble(method, network, teacher, datasets, tasks, args)
    run = experiment.open_run(args, __file__, wanted, method)
    loss_weights = command_line.loss_weights(args, names)
    rows = loop.fit(
        network, teacher, datasets, plan, loss_weights, args, run, terms
    )
    experiment.report(network, teacher, datasets, plan, rows, run)


if __name__ == "__main__":
    run_script(main)
