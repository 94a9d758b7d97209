"""Emotion and head pose from two disjoint datasets, trained jointly.

Or other tasks: those that a dataset is given for. Every batch mixes the
datasets in proportion to their sizes; an epoch is one pass over the largest,
and the missing labels are filled in anew at its start.

Methods:
  All-in-one  left out (Ranjan et al. 2016, arXiv 1611.00851)
  LEL-LTN     what a network makes of the other task's predicted label
              (Augenstein, Ruder, Soegaard 2018, arXiv 1802.09913)
  DCN-AP      predictions refined on a graph of alike faces
              (Zhang, Luo, Loy, Tang 2016, arXiv 1609.06426)
  and those of ALTERNATIVE_EP.py: distilled, SA-MTL with hard selection and
  with interpolation (arXiv 2003.06746).
"""

from samtl.cli import command_line
from samtl.common.errors import run_script

TASKS = ("emotion", "pose", "gender", "age")
DRAWN = ("emotion", "pose")  # without any dataset: drawn faces for these
NO_WEIGHTS = (
    "--is_pseudo_confidence=False --is_pseudo_density=False \\\n"
    "      --is_pseudo_distribution=False"
)
EXAMPLES = f"""examples:
  python CONFUSION_EP_multitask.py --is_naive=True
      All-in-one on drawn faces
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
    network = experiment.build_network(
        args, tasks, label_embeddings=method == "lel-ltn"
    )
    teacher = pseudo_labels.Teacher(network, args.batch_size)
    plan, terms, companion = assemble(
        method, network, teacher, datasets, tasks, args
    )
    run = experiment.open_run(args, __file__, wanted, method)
    loss_weights = command_line.loss_weights(args, names)
    rows = loop.fit(
        network,
        teacher,
        datasets,
        plan,
        loss_weights,
        args,
        run,
        terms,
        companion,
    )
    experiment.report(network, teacher, datasets, plan, rows, run)


if __name__ == "__main__":
    run_script(main)
