"""Any tasks from any datasets, trained in turn.

Method: SA-MTL and what it is compared with in alternating training,
"Beyond without Forgetting: Multi-Task Learning for Classification with
Disjoint Datasets", ICME 2020, arXiv 2003.06746; see ALTERNATIVE_EP.py.

The tasks are those that a dataset is given for. `python -m data_preparation
own` prepares datasets of your own; datasets without any label may help, too.
"""

from ALTERNATIVE_EP import alternating_parser, run
from samtl.common.errors import run_script

FLAGS = ("emotion", "pose", "gender", "age")  # others work as well
EXAMPLES = """examples:
  python ALTERNATIVE_general_train.py
      SA-MTL with hard selection on synthetic faces, four tasks
  python ALTERNATIVE_general_train.py --dataset_emotion=ferplus \\
      --dataset_smile=mtfl --loss_weights smile:0.5 --is_augmentation=True
      emotion and smile
  python ALTERNATIVE_general_train.py --dataset_pose=mtfl --unlabelled ferplus
      pose, with faces that have no label of it
"""


def parser():
    return alternating_parser(FLAGS, __doc__, EXAMPLES)


def main(argv=None):
    run(parser(), (), __file__, argv)


if __name__ == "__main__":
    run_script(main)
