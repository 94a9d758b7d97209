"""Emotion, head pose, gender and age from disjoint datasets, trained in turn.

Method: SA-MTL and what it is compared with in alternating training,
"Beyond without Forgetting: Multi-Task Learning for Classification with
Disjoint Datasets", ICME 2020, arXiv 2003.06746; see ALTERNATIVE_EP.py.

A dataset uses all its labels of the four tasks: MTFL is labelled for pose and
gender, UTKFace for gender and age. --labels mtfl:pose masks MTFL's gender, and
the pseudo-label diagnostics report how often pseudo labels agree with it.
"""

from ALTERNATIVE_EP import alternating_parser, run
from samtl.common.errors import run_script

TASKS = ("emotion", "pose", "gender", "age")
EXAMPLES = """examples:
  python ALTERNATIVE_EPGA.py
      SA-MTL with hard selection on synthetic faces
  python ALTERNATIVE_EPGA.py --dataset_emotion=ferplus --dataset_pose=mtfl \\
      --dataset_age=utkface --labels mtfl:pose --epoch=24 --is_augmentation=True
      the same on real faces; gender comes from UTKFace
"""


def parser():
    return alternating_parser(TASKS, __doc__, EXAMPLES)


def main(argv=None):
    run(parser(), TASKS, __file__, argv)


if __name__ == "__main__":
    run_script(main)
