"""The expected age in years: its representative ages, and its error on test."""

import numpy as np
import pandas as pd
from scipy.special import softmax

from samtl.data.tables import Table
from samtl.inference import ages
from samtl.release.figures import Task


def training_means(tables: list[Table]) -> list[float]:
    """Mean age of the training images of every age group, in years.

    Args:
        tables: of the training images. Those with labels of age and a column
            age_years count.

    Returns:
        one age a class of age, rounded to 0.01; empty if there is no such
        table, or no image of some class.
    """
    tables = [table for table in tables if "age" in table.tasks]
    if not tables:
        return []
    found = pd.DataFrame(
        {
            "group": np.concatenate([table.labels("age") for table in tables]),
            "years": np.concatenate([_years(table) for table in tables]),
        }
    )
    means = found.dropna().groupby("group")["years"].mean()
    if len(means) < len(tables[0].tasks["age"]):
        return []
    return means.round(2).tolist()


def error(
    tasks: list[Task],
    means: list[float],
    predicted: list[tuple[Table, dict[str, np.ndarray]]],
) -> tuple[int, float] | None:
    """Error of the expected age, as the demos compute it.

    Args:
        tasks: what was measured.
        means: of `training_means`; empty: the ages by the classes' names.
        predicted: of the test images, one Table and {task: logits [N, C]} a
            dataset.

    Returns:
        (number of images with an age in years, mean absolute error in years);
        None without such images, or without representative ages.
    """
    task = {task.name: task for task in tasks}.get("age")
    means = means or (ages.representative(task.classes) if task else ())
    if not means:
        return None
    wrong = [np.empty(0)]
    for table, logits in predicted:
        if "age" in table.tasks:
            probabilities = softmax(logits["age"] / task.temperature, axis=1)
            wrong.append(
                np.abs(probabilities @ np.array(means) - _years(table))
            )
    wrong = np.concatenate(wrong)
    wrong = wrong[~np.isnan(wrong)]
    return (len(wrong), float(wrong.mean())) if len(wrong) else None


def _years(table):
    """Ages in years, float [N]; NaN without one, or without a label of age."""
    if "age_years" not in table.rows:
        return np.full(len(table), np.nan)
    years = pd.to_numeric(table.rows["age_years"], errors="coerce")
    return np.where(table.is_labelled("age"), years.to_numpy(float), np.nan)
