"""The script with quick runs, for a process of its own."""

import pytest

import CONFUSION_EP_multitask
from tests import quick

parser = CONFUSION_EP_multitask.parser


def main(argv):
    quick.shrink(pytest.MonkeyPatch())
    CONFUSION_EP_multitask.main(argv)
