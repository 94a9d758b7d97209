"""A few hundred cases of `python -m benchmarks.fuzz`."""

import pytest
from hypothesis import strategies

from benchmarks import fuzz, fuzz_kinds
from tests.robustness.trials import COUNTS

CASES = 50


@pytest.mark.parametrize("name", fuzz_kinds.KINDS)
def test_changed_inputs(name):
    count = fuzz.fuzz(name, CASES, 0)
    assert count.failures == {}
    assert count.cases >= CASES / 2
    COUNTS["tried"] += count.cases
    COUNTS["survived"] += count.cases


def test_failures_are_counted(monkeypatch):
    def read(number):
        if number == 1:
            raise fuzz.UserError("no cure")
        if number > 1:
            raise ValueError(number)

    kind = (strategies.integers(0, 3), read)
    monkeypatch.setitem(fuzz_kinds.KINDS, "numbers", lambda _: kind)
    count = fuzz.fuzz("numbers", 20, 0)
    assert len(count.failures) == 2
    assert any(fault.startswith("no cure: ") for fault in count.failures)
    assert any(fault.startswith("ValueError in ") for fault in count.failures)
    assert count.read > 0
