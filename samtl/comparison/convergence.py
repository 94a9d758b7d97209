"""Whether runs were trained to the end, and what they are too short to show."""

import numpy as np
import pandas as pd

from samtl.common.text import counted
from samtl.comparison.loading import Comparison

ENOUGH = 0.3  # points that a converged run gains at most in the last quarter
LEAST_SEEDS = 5
# Shares of training: the smoothed accuracy at an end is the mean of the eighth
# of the rounds before it.
BEFORE, LAST = (5 / 8, 6 / 8), (7 / 8, 1)


def gains(comparison: Comparison) -> pd.DataFrame:
    """What smoothed validation accuracy gained over the last quarter.

    Returns:
        DataFrame: pair, task, method, gain (points, mean over the seeds). Rows
        with too few rounds to tell are left out.
    """
    found = []
    rounds, keys = comparison.rounds, ["pair", "method"]
    for (pair, method), rows in rounds.groupby(keys, sort=False):
        for task in comparison.tasks(pair):
            column = f"validation_{task}_accuracy"
            if column not in rows:
                continue
            by_seed = rows.dropna(subset=[column]).groupby("seed")
            values = [_gain(run, column) for _, run in by_seed]
            values = [value for value in values if np.isfinite(value)]
            if values:
                gain = 100 * float(np.mean(values))
                found.append((pair, task, method, gain))
    return pd.DataFrame(found, columns=["pair", "task", "method", "gain"])


def caveats(comparison: Comparison, gained: pd.DataFrame) -> list[str]:
    """What a comparison is too short to show, a sentence each.

    Args:
        comparison: from `loading.read_comparison`.
        gained: from `gains`.
    """
    found = []
    seeds = comparison.results["seed"].nunique()
    if 0 < seeds < LEAST_SEEDS:
        verb = "does" if seeds == 1 else "do"
        found.append(
            f"{counted(seeds, 'seed')} {verb} not show how much a method "
            "varies from run to run"
        )
    slow = gained[gained["gain"] > ENOUGH]
    if len(slow):
        worst = slow.loc[slow["gain"].idxmax()]
        found.append(
            f"{len(slow)} of {len(gained)} curves still gained more than "
            f"{ENOUGH} points in the last quarter, most that of "
            f"{comparison.title(worst['method'])} on {worst['task']} "
            f"({worst['gain']:+.1f}): the table ranks how fast methods learn, "
            "not how well they end"
        )
    return found


def _gain(run, column):
    """Gain of a run, 0..1; NaN where it has too few rounds."""
    share = run["round"] / run["round"].max()
    before, last = (
        run.loc[(share > start) & (share <= end), column]
        for start, end in (BEFORE, LAST)
    )
    return last.mean() - before.mean()
