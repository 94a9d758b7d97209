"""The test images that runs share, and resamples of them."""

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd

from samtl.comparison import statistics
from samtl.comparison.loading import Comparison


@dataclass(frozen=True)
class ImageSet:
    """The runs of a pair's task that were tested on the same images.

    Attributes:
        places: {(method, seed): r, the place of the run}.
        accuracies: [R] float, 0..1.
        resampled: [B, R] float, 0..1, from `statistics.resampled`.
    """

    places: dict[tuple[str, int], int]
    accuracies: np.ndarray
    resampled: np.ndarray

    def seeds(self, *methods: str) -> list[int]:
        """The seeds that all of the methods have here."""
        found = [{s for m, s in self.places if m == name} for name in methods]
        return sorted(set.intersection(*found))

    def of(
        self, method: str, seeds: list[int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Accuracies [S] of a method's runs, and on the resamples [B, S]."""
        runs = [self.places[method, seed] for seed in seeds]
        return self.accuracies[runs], self.resampled[:, runs]


def image_sets(
    comparison: Comparison, draws: int = statistics.DRAWS
) -> dict[tuple[str, str], list[ImageSet]]:
    """The image sets of every task of every pair.

    Tasks with equally many test images have the same numbers drawn: those
    of one dataset are then resampled together.

    Args:
        comparison: from `loading.read_comparison`.
        draws: number of bootstrap resamples, B.

    Returns:
        {(pair, task): image sets}; there is one where all runs were tested on
        the same images.
    """
    return {
        (pair, task): [
            _image_set(rows, draws)
            for _, rows in same_images(comparison.results, pair, task)
        ]
        for pair in comparison.pairs
        for task in comparison.tasks(pair)
    }


def same_images(results: pd.DataFrame, pair: str, task: str):
    """The rows of a pair's task, grouped by `class_counts`."""
    rows = results[(results["pair"] == pair) & (results["task"] == task)]
    return rows.groupby(rows.apply(class_counts, axis=1))


def class_counts(row: pd.Series) -> str:
    """Number of test images of each class; it identifies a run's test set.

    Args:
        row: of results.csv.
    """
    return str(np.sum(json.loads(row["confusion"]), axis=1).tolist())


def _image_set(rows, draws):
    correct = np.array([_bits(row) for row in rows.itertuples()])
    names = zip(rows["method"], rows["seed"], strict=True)
    return ImageSet(
        {name: place for place, name in enumerate(names)},
        correct.mean(axis=1),
        statistics.resampled(correct, draws, seed=correct.shape[1]),
    )


def _bits(row):
    packed = np.frombuffer(bytes.fromhex(row.correct), np.uint8)
    return np.unpackbits(packed)[: row.count].astype(bool)
