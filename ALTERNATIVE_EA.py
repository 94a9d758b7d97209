"""Emotion and age from two disjoint datasets, trained in turn.

Method: SA-MTL and what it is compared with in alternating training,
"Beyond without Forgetting: Multi-Task Learning for Classification with
Disjoint Datasets", ICME 2020, arXiv 2003.06746; see ALTERNATIVE_EP.py.
"""

from ALTERNATIVE_EP import alternating_parser, run
from samtl.common.errors import run_script

TASKS = ("emotion", "age")
EXAMPLES = """examples:
  python ALTERNATIVE_EA.py
      SA-MTL with hard selection on synthetic faces
  python ALTERNATIVE_EA.py --dataset_emotion=ferplus --dataset_age=utkface \\
      --epoch=24 --is_augmentation=True
      the same on real faces
"""


def parser():
    return alternating_parser(TASKS, __doc__, EXAMPLES)


def main(argv=None):
    run(parser(), TASKS, __file__, argv)


if __name__ == "__main__":
    run_script(main)
