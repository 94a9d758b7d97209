"""Says at the end how many cases were tried and survived."""

from tests.robustness.trials import COUNTS


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(
        f"robustness: {COUNTS['tried']:,} cases tried, "
        f"{COUNTS['survived']:,} survived"
    )
