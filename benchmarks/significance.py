"""How often do equally good methods differ significantly?

    python -m benchmarks.significance

Simulates the tables of a comparison. All methods have one accuracy, and their
seeds vary by a standard deviation. They are tested against the first of them on
one task; p of a second task, without any difference either, is uniform. Prints
the share of p below 0.05, and the share of tables with a corrected p below
0.05. Both should be at most 5 %.
"""

import argparse
from collections.abc import Sequence

import numpy as np

from samtl.common.flags import Number
from samtl.comparison import statistics

# Random share of an image's difficulty, and points of accuracy for one unit of
# skill, near 60 % right.
NOISE, POINTS = 0.7, 33.0
# Deviations of emotion accuracy in docs/results/small, with pose and with
# gender and age, in the order of the table.
MEASURED = {
    "as emotion with pose": (
        *(1.9, 1.2, 1.6, 2.4, 0.8, 2.7, 1.3),
        *(0.3, 1.6, 1.6, 2.1, 2.9, 2.7),
    ),
    "as emotion with gender and age": (
        *(1.9, 1.6, 1.9, 1.1, 1.7, 0.8, 1.5),
        *(2.4, 1.9, 2.6, 2.5, 7.5, 2.5),
    ),
}


def simulated(
    deviations: Sequence[float],
    seeds: int,
    images: int,
    random: np.random.Generator,
    draws: int,
) -> np.ndarray:
    """p of every method against the first, in one simulated table.

    Args:
        deviations: of the methods' accuracies over seeds, in points.
        seeds, images: how many there are.
        random: source of the random numbers.
        draws: bootstrap resamples.

    Returns:
        [methods - 1] float.
    """
    count = len(deviations)
    skills = random.normal(size=(count, seeds)).T * deviations / POINTS
    noise = random.normal(0, NOISE, (count, seeds, images))
    correct = noise + skills.T[..., None] > random.normal(-0.3, 1, images)
    accuracies = correct.mean(axis=-1)
    resampled = statistics.resampled(
        correct.reshape(-1, images), draws, random.integers(2**32)
    ).reshape(draws, count, seeds)
    of_seeds = statistics.seed_variance(accuracies)
    return np.array(
        [
            statistics.paired_test(
                accuracies[method] - accuracies[0],
                resampled[:, method] - resampled[:, 0],
                *of_seeds,
            ).p
            for method in range(1, count)
        ]
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--tables", type=Number(int, 1), default=200)
    parser.add_argument("--seeds", type=Number(int, 1), default=3)
    parser.add_argument("--images", type=Number(int, 2), default=2724)
    parser.add_argument("--draws", type=Number(int, 2), default=1000)
    args = parser.parse_args()
    cases = {
        f"all {points} points": (points,) * 13 for points in (0.8, 1.6, 2.8)
    }
    print(f"{'deviation over seeds':32} p < 0.05  tables with a wrong one")
    for name, deviations in (cases | MEASURED).items():
        random = np.random.default_rng(0)
        found = np.array(
            [
                simulated(
                    deviations, args.seeds, args.images, random, args.draws
                )
                for _ in range(args.tables)
            ]
        )
        other = random.uniform(size=found.shape)
        corrected = [
            statistics.holm(p)[: found.shape[1]]
            for p in np.concatenate([found, other], axis=1)
        ]
        wrong = (np.array(corrected) < statistics.ALPHA).any(axis=1).mean()
        low = (found < statistics.ALPHA).mean()
        print(f"{name:32} {low:8.1%}  {wrong:.1%}", flush=True)


if __name__ == "__main__":
    main()
