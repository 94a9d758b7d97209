"""Emotion, gender and age from disjoint datasets, trained in turn.

Method: SA-MTL and what it is compared with in alternating training,
"Beyond without Forgetting: Multi-Task Learning for Classification with
Disjoint Datasets", ICME 2020, arXiv 2003.06746; see ALTERNATIVE_EP.py.

A dataset that carries two of the tasks, as UTKFace does gender and age, uses
both. --labels utkface:age hides its gender, and the diagnostics tell how often
the pseudo labels agree with it.
"""

from ALTERNATIVE_EP import alternating_parser, run
from samtl.common.errors import run_script

TASKS = ("emotion", "gender", "age")
EXAMPLES = """examples:
  python ALTERNATIVE_EGA.py
      SA-MTL with hard selection on synthetic faces
  python ALTERNATIVE_EGA.py --dataset_emotion=ferplus --dataset_age=utkface \\
      --epoch=24 --is_augmentation=True
      the same on real faces; gender comes from UTKFace too
"""


def parser():
    return alternating_parser(TASKS, __doc__, EXAMPLES)


def main(argv=None):
    run(parser(), TASKS, __file__, argv)


if __name__ == "__main__":
    run_script(main)
