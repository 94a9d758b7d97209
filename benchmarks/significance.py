"""How often do equally good methods differ significantly?

    python -m benchmarks.significance

Simulates the tables of a comparison of two tasks. All methods have one
accuracy, and their seeds vary by a standard deviation; one method, the odd one,
varies more or less than the others. Prints the share of tests with p below
0.05, of the odd method against the others and of these among themselves, on a
task and of Delta_m, and the share of tables with a corrected p below 0.05. None
should be above 5 %. Beside it the share with one variance over seeds, that of
all methods together.

The variance over test images is that of a bootstrap with infinitely many
resamples.
"""

import argparse
from collections.abc import Sequence

import numpy as np
from scipy import stats

from samtl.common.flags import Number
from samtl.comparison import statistics
from samtl.comparison.delta_m import change_by_seed

# Random share of an image's difficulty, and points of accuracy for one unit of
# skill, near 60 % right.
NOISE, POINTS = 0.7, 33.0
TASKS = 2


def simulated(
    deviations: Sequence[float],
    seeds: int,
    images: int,
    random: np.random.Generator,
) -> np.ndarray:
    """Which images the methods have right, in one simulated table.

    Args:
        deviations: of the M methods' accuracies over seeds, in points.
        seeds, images: how many there are, S and N.
        random: source of the random numbers.

    Returns:
        [M, S, N] bool.
    """
    count = len(deviations)
    skills = random.normal(size=(count, seeds)).T * deviations / POINTS
    noise = random.normal(0, NOISE, (count, seeds, images))
    return noise + skills.T[..., None] > random.normal(-0.3, 1, images)


def tested(correct: np.ndarray, baseline: int) -> np.ndarray:
    """p of every method against one of them: [M - 1]."""
    accuracies = correct.mean(axis=-1)
    return np.array(
        [
            statistics.paired_test(
                accuracies[method] - accuracies[baseline],
                _image_variance(correct[method], correct[baseline]),
            ).p
            for method in _others(correct, baseline)
        ]
    )


def tested_together(tasks: list[np.ndarray], baseline: int) -> np.ndarray:
    """p of the Delta_m of every method against single tasks: [M - 1].

    Args:
        tasks: [M, S, N] of each task.
        baseline: the single tasks.
    """
    found = []
    for method in _others(tasks[0], baseline):
        by_seed, of_images = 0.0, 0.0
        for correct in tasks:
            one, two = correct[method], correct[baseline]
            change = change_by_seed(one.mean(axis=1), two.mean(axis=1))
            by_seed += change / TASKS
            ratio = 1 + change.mean()
            variance = _image_variance(one, ratio * two)
            of_images += variance / (TASKS * two.mean()) ** 2
        found.append(statistics.paired_test(by_seed, of_images).p)
    return np.array(found)


def tested_with_one_variance(correct: np.ndarray, baseline: int) -> np.ndarray:
    """As `tested`, where the variance over seeds is that of all methods.

    Twice the residual mean square of an analysis of variance with methods and
    seeds as factors, which has (M - 1)(S - 1) degrees of freedom.
    """
    table = correct.mean(axis=-1)
    left = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
    freedom = (table.shape[0] - 1) * (table.shape[1] - 1)
    of_seeds = 2 * (left**2).sum() / freedom / table.shape[1]
    others = _others(correct, baseline)
    of_images = [_image_variance(correct[m], correct[baseline]) for m in others]
    total = np.array(of_images) + of_seeds
    difference = table.mean(axis=1)[others] - table[baseline].mean()
    f = freedom * (total / of_seeds) ** 2
    return 2 * stats.t.sf(np.abs(difference) / np.sqrt(total), f)


def _others(correct, baseline):
    return [m for m in range(len(correct)) if m != baseline]


def _image_variance(one, two):
    """Of the difference of mean accuracies of [S, N] each, over images."""
    difference = one.mean(axis=0) - two.mean(axis=0)
    return difference.var() / len(difference)


def shares(
    deviations: Sequence[float], args: argparse.Namespace
) -> dict[str, list[float]]:
    """The shares below 0.05 in many tables; the first method is the odd one.

    Returns:
        {kind of test: [of the odd method's tests, of those of the second
        method against the rest, of tables with a wrong corrected p]}.
    """
    random = np.random.default_rng(0)
    odd, rest, wrong = {}, {}, {}
    for _ in range(args.tables):
        tasks = [
            simulated(deviations, args.seeds, args.images, random)
            for _ in range(TASKS)
        ]
        for baseline, kept in ((0, odd), (1, rest)):
            each = [tested(correct, baseline) for correct in tasks]
            pooled = [tested_with_one_variance(c, baseline) for c in tasks]
            for name, p in (
                ("own", np.concatenate(each)),
                ("Delta_m", tested_together(tasks, baseline)),
                ("one for all", np.concatenate(pooled)),
            ):
                is_wrong = (statistics.holm(p) < statistics.ALPHA).any()
                wrong.setdefault(name, []).append(is_wrong)
                # The second method's test against the odd one counts there.
                others = np.arange(len(p)) % (len(deviations) - 1) > 0
                p = p if baseline == 0 else p[others]
                kept.setdefault(name, []).append((p < statistics.ALPHA).mean())
    return {
        name: [np.mean(found[name]) for found in (odd, rest, wrong)]
        for name in odd
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--tables", type=Number(int, 1), default=1000)
    parser.add_argument("--methods", type=Number(int, 3), default=6)
    parser.add_argument("--seeds", type=Number(int, 2), default=5)
    parser.add_argument("--images", type=Number(int, 2), default=2724)
    text = "standard deviation over seeds of all but the odd method, in points"
    parser.add_argument(
        "--deviation", type=Number(float, 0), default=1.6, help=text
    )
    args = parser.parse_args()
    print("variance     odd one's  p < 0.05: odd one  others  wrong tables")
    for factor in (1, 2, 4, 0.5, 0.25):
        deviations = np.full(args.methods, args.deviation)
        deviations[0] *= factor
        for name, found in shares(deviations, args).items():
            numbers = "  ".join(f"{share:8.1%}" for share in found)
            print(f"{name:11}  {deviations[0]:9.1f}  {numbers}", flush=True)


if __name__ == "__main__":
    main()
