"""The script with quick runs, for a process of its own."""

import pytest

import ALTERNATIVE_EP
from tests import quick

parser = ALTERNATIVE_EP.parser


def main(argv):
    quick.shrink(pytest.MonkeyPatch())
    ALTERNATIVE_EP.main(argv)
