"""Functions, files and the way from a flag to the loss stay short."""

import ast
import re

import pytest

from benchmarks import counts


def test_nothing_is_above_the_limits():
    assert counts.offenders() == {}


@pytest.mark.parametrize("flag", counts.PATHS)
def test_a_flag_is_near_the_loss(flag):
    files, lines = counts.cost(counts.PATHS[flag])
    assert files <= counts.PATH_FILES
    assert lines <= counts.PATH_LINES


@pytest.mark.parametrize("flag", counts.PATHS)
def test_each_function_of_a_way_is_named_by_an_earlier_one(flag):
    read = ""
    for file, name in counts.PATHS[flag]:
        named = re.search(rf"\b{name}\b", read)
        assert named or name in counts.ENTRIES, name
        node = counts.functions(counts.ROOT / file)[name]
        read += ast.unparse(node)
