"""From results.csv to the numbers of the report."""

import itertools
import json
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from samtl.common.errors import UserError
from samtl.comparison import plan, statistics
from samtl.comparison.results import FAILED, RESULTS
from samtl.comparison.text import known, percent, shortened

BASELINE = "single-task"  # where no plan says which method that is
WORDS = (
    *("pair", "method", "task", "split", "commit", "error", "run"),
    *("dataset", "confusion", "correct", "classes"),
)


@dataclass(frozen=True)
class Comparison:
    """What a comparison left.

    Attributes:
        results, rounds, failed: DataFrames of the CSV files.
        plan: as `plan.load` gives it, or None.
        pairs, methods: names, in the order of the plan.
        titles: {method: name for the reader}.
    """

    results: pd.DataFrame
    rounds: pd.DataFrame
    failed: pd.DataFrame
    plan: dict | None
    pairs: list
    methods: list
    titles: dict

    @property
    def labels(self):
        """The titles, shortened where figures have no room."""
        short = shortened(self.titles.values())
        return {name: short[title] for name, title in self.titles.items()}

    @property
    def baseline(self):
        """Method that all are compared with: single tasks, or the first."""
        methods = self.plan["methods"] if self.plan else {}
        for name in self.methods:
            if methods.get(name, {}).get("family") == "single":
                return name
        if BASELINE in self.titles:
            return BASELINE
        return self.methods[0] if self.methods else BASELINE

    @property
    def baseline_title(self):
        """Name of the baseline within a sentence."""
        title = self.titles.get(self.baseline, self.baseline)
        is_word = title[1:2].islower() or title[1:2] == "-"
        return title[:1].lower() + title[1:] if is_word else title

    def tasks(self, pair):
        """Names of a pair's tasks, in their order in results.csv."""
        rows = self.results[self.results["pair"] == pair]
        return list(dict.fromkeys(rows["task"]))


@dataclass(frozen=True)
class Numbers:
    """What the report says: the results of the functions of these names."""

    scores: pd.DataFrame
    differences: pd.DataFrame
    costs: pd.DataFrame
    ranks: dict | None
    tested_on: list


def numbers(comparison):
    """All numbers of the report."""
    results = comparison.results
    return Numbers(
        scores(results),
        differences(comparison),
        costs(results),
        ranks(comparison),
        tested_on(results),
    )


def read(out):
    """Read the folder of a comparison.

    Raises:
        UserError: it has no results.csv, or a file is not what it should be.
    """
    if not (out / "results.csv").exists():
        raise UserError(
            f"{out} has no results.csv; give the folder that compare.py "
            "writes to (--out)"
        )
    results = _csv(out / "results.csv", RESULTS)
    toml = out / "plan.toml"
    planned = plan.load(toml) if toml.exists() else None
    order = planned or {"pairs": {}, "methods": {}}
    methods = _ordered(order["methods"], results["method"])
    titles = {
        name: order["methods"].get(name, {}).get("title", name)
        for name in [*order["methods"], *methods]
    }
    return Comparison(
        results,
        _csv(out / "rounds.csv", ("pair", "method", "seed")),
        _csv(out / "failed.csv", FAILED),
        planned,
        _ordered(order["pairs"], results["pair"]),
        methods,
        titles,
    )


def scores(results):
    """Mean and standard deviation over seeds of every method.

    Returns:
        DataFrame with index (pair, task, method): seeds; accuracy and
        balanced_accuracy, 0..1, and accuracy_deviation (unbiased, NaN for
        one seed); forgetting, 0..1, NaN where there is none.
    """
    return results.groupby(["pair", "task", "method"]).agg(
        seeds=("seed", "nunique"),
        accuracy=("accuracy", "mean"),
        accuracy_deviation=("accuracy", "std"),
        balanced_accuracy=("balanced_accuracy", "mean"),
        forgetting=("forgetting", "mean"),
    )


def differences(comparison, draws=statistics.DRAWS):
    """Test every method against every other, on every task of every pair.

    Two methods are compared on the seeds that both have, and where they were
    tested on the same images; where they share several sets of these, on that
    of most seeds. Holm's correction is over all methods and tasks
    of a pair that are compared with the same baseline.

    Returns:
        DataFrame: pair, task, method, baseline, seeds (in common), difference,
        low, high (points: method minus baseline, 95 % interval), p and
        corrected_p.
    """
    columns = ["pair", "task", "method", "baseline", "seeds"]
    columns += [*statistics.Paired._fields, "corrected_p"]
    found = [
        {"pair": pair, "task": task, **row}
        for pair in comparison.pairs
        for task in comparison.tasks(pair)
        for row in _task_tests(comparison, pair, task, draws)
    ]
    table = pd.DataFrame(found, columns=columns)
    table = table.sort_values("seeds", ascending=False, kind="stable")
    table = table.drop_duplicates(columns[:4]).sort_index(ignore_index=True)
    for name in ("pair", "method", "baseline"):
        order = getattr(comparison, "pairs" if name == "pair" else "methods")
        table[name] = pd.Categorical(table[name], order)
    table = table.sort_values(["pair", "baseline"], kind="stable")
    family = table.groupby(["pair", "baseline"], observed=True)
    table["corrected_p"] = family["p"].transform(statistics.holm)
    return table.astype({"pair": str, "method": str, "baseline": str})


def tested_on(results):
    """Where runs were not all tested on the same images.

    Returns:
        list of (pair, task, {method: [numbers of images, over its seeds]}).
    """
    found = []
    for (pair, task), rows in results.groupby(["pair", "task"], sort=False):
        if len(set(rows.apply(_images, axis=1))) > 1:
            counts = rows.groupby("method", sort=False)["count"].unique()
            found.append(
                (pair, task, {name: sorted(n) for name, n in counts.items()})
            )
    return found


def ranks(comparison):
    """Average ranks of the methods over pairs, tasks and seeds.

    Counted are the methods that have results for every task, in the blocks
    (pair, task, seed) that all of them have.

    Returns:
        dict: ranks ({method: float}, best first), blocks (int), statistic and
        p (Friedman's test) and critical_difference; or None with fewer than
        three methods or two blocks.
    """
    table = comparison.results.pivot_table(
        index=["pair", "task", "seed"], columns="method", values="accuracy"
    )
    tasks = table.groupby(["pair", "task"]).count()
    table = table.loc[:, (tasks > 0).all()].dropna()
    blocks, count = table.shape
    if count < 3 or blocks < 2:
        return None
    average = statistics.average_ranks(table)
    # Where all are level everywhere, the statistic would be 0 / 0.
    is_level = table.eq(table.iloc[:, 0], axis=0).all(axis=None)
    statistic, p = (
        (0.0, 1.0) if is_level else stats.friedmanchisquare(*table.to_numpy().T)
    )
    return {
        "ranks": dict(
            sorted(zip(table.columns, average, strict=True), key=lambda x: x[1])
        ),
        "blocks": blocks,
        "statistic": float(statistic),
        "p": float(p),
        "critical_difference": statistics.critical_difference(count, blocks),
    }


def costs(results):
    """What a seed of every method costs, on average.

    The runs of single tasks count together: their seconds add up.

    Returns:
        DataFrame with index (pair, method): seconds, images_per_second,
        peak_memory_mib, pseudo_share (of the seconds, 0..1).
    """
    runs = results.drop_duplicates(["pair", "method", "seed", "run"])
    # A run is known by its first task. One that is missing must not make the
    # sum over single tasks smaller.
    tasks = runs.groupby(["pair", "method", "task"]).agg(
        seconds=("seconds", "mean"),
        pseudo_seconds=("pseudo_seconds", "mean"),
        images_per_second=("images_per_second", "mean"),
        peak_memory_mib=("peak_memory_mib", "mean"),
    )
    table = tasks.groupby(["pair", "method"]).agg(
        seconds=("seconds", "sum"),
        pseudo_seconds=("pseudo_seconds", "sum"),
        images_per_second=("images_per_second", "mean"),
        peak_memory_mib=("peak_memory_mib", "max"),
    )
    table["pseudo_share"] = table.pop("pseudo_seconds") / table["seconds"]
    return table


def main_table(comparison, numbers, pair):
    """What the main table says of every method and task of a pair.

    Returns:
        {method: {task: cell}}. A cell has the columns of `scores` and of
        `differences` to the baseline, None where unknown;
        is_best and is_best_balanced, when no method is better in the digits
        that are shown; and is_significant.
    """
    found, best = {}, {}
    tests = numbers.differences
    tests = tests[tests["pair"] == pair]
    tests = tests[tests["baseline"] == comparison.baseline]
    tests = tests.set_index(["task", "method"])
    nothing = dict.fromkeys(tests.columns)
    for task in comparison.tasks(pair):
        rows = numbers.scores.loc[pair, task]
        for kind in ("accuracy", "balanced_accuracy"):
            best[task, kind] = percent(rows[kind].max())
        for method in comparison.methods:
            if method not in rows.index:
                continue
            key = (task, method)
            test = tests.loc[key].to_dict() if key in tests.index else nothing
            cell = {**test, **rows.loc[method].to_dict()}
            cell = {name: known(value) for name, value in cell.items()}
            p = cell["corrected_p"]
            found.setdefault(method, {})[task] = {
                **cell,
                "seeds": int(cell["seeds"]),
                "is_best": percent(cell["accuracy"]) == best[task, "accuracy"],
                "is_best_balanced": percent(cell["balanced_accuracy"])
                == best[task, "balanced_accuracy"],
                "is_significant": p is not None and p < statistics.ALPHA,
            }
    return {name: found[name] for name in comparison.methods if name in found}


def most_seeds(table):
    """Seeds of the methods of a `main_table` that have most."""
    return max(cell["seeds"] for row in table.values() for cell in row.values())


def fewer_seeds(cells, most):
    """Seeds of a method's task that has fewest; None where all have `most`."""
    fewest = min(cell["seeds"] for cell in cells.values())
    return fewest if fewest < most else None


def tested_over(numbers, pair):
    """What the tests of a pair allow for, within a sentence; "" without any."""
    tests = numbers.differences
    common = tests[tests["pair"] == pair].groupby("task")["seeds"].max()
    if common.empty:
        return ""
    if (common > 1).all():
        return "over test images and seeds"
    return "over test images alone (what another seed changes, one cannot tell)"


def confusion(rows):
    """Mean confusion matrix of a method's runs: [C, C] float counts."""
    return np.mean([json.loads(text) for text in rows["confusion"]], axis=0)


def classes(rows):
    """Names of the C classes of a task."""
    return json.loads(rows["classes"].iloc[0])


def _csv(path, columns):
    """A CSV file of the comparison; without rows where it does not exist.

    Raises:
        UserError: it cannot be read, or lacks one of the columns.
    """
    if not path.exists():
        return pd.DataFrame(columns=columns)
    # Names such as "none" or "1e5" are text.
    text = {name: str for name in WORDS}
    try:
        names = pd.read_csv(path, nrows=0).columns
        numbers = [name for name in names if name not in WORDS]
        table = pd.read_csv(
            path,
            dtype=text,
            keep_default_na=False,
            na_values={name: ["", "nan"] for name in numbers},
        )
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    missing = [name for name in columns if name not in names]
    if missing:
        raise _unreadable(path, f"it has no column {missing[0]}")
    return table


def _unreadable(path, reason):
    return UserError(
        f"cannot read {path}: {reason}; where the runs' folders are still "
        "there, compare.py --report_only=True writes it anew "
        f"(--plan={path.parent / 'plan.toml'} --out={path.parent})"
    )


def _ordered(first, found):
    """Those of the names that were found, the planned ones first."""
    found = dict.fromkeys(found)
    return [name for name in dict.fromkeys([*first, *found]) if name in found]


def _task_tests(comparison, pair, task, draws):
    rows = comparison.results
    rows = rows[(rows["pair"] == pair) & (rows["task"] == task)]
    for _, same in rows.groupby(rows.apply(_images, axis=1)):
        correct = np.array([_bits(row) for row in same.itertuples()])
        accuracies = statistics.resampled(correct, draws)
        places = {
            key: place
            for place, key in enumerate(
                zip(same["method"], same["seed"], strict=True)
            )
        }
        table = same.assign(accuracy=correct.mean(axis=1)).pivot_table(
            index="method", columns="seed", values="accuracy"
        )
        of_seeds = statistics.seed_variance(table)
        for method, baseline in itertools.combinations(comparison.methods, 2):
            seeds = [
                seed
                for seed in sorted(set(same["seed"]))
                if (method, seed) in places and (baseline, seed) in places
            ]
            if not seeds:
                continue
            one = [places[method, seed] for seed in seeds]
            two = [places[baseline, seed] for seed in seeds]
            test = statistics.paired_test(
                correct[one].mean(axis=1) - correct[two].mean(axis=1),
                accuracies[:, one] - accuracies[:, two],
                *of_seeds,
            )
            yield from _both_ways(method, baseline, len(seeds), test)


def _both_ways(method, baseline, seeds, test):
    """The rows of a test and of its mirror image, in points."""
    difference, low, high = (100 * value for value in test[:3])
    for one, two, numbers in (
        (method, baseline, (difference, low, high)),
        (baseline, method, (-difference, -high, -low)),
    ):
        fields = statistics.Paired(*numbers, test.p)
        yield {
            "method": one,
            "baseline": two,
            "seeds": seeds,
            **fields._asdict(),
        }


def _bits(row):
    packed = np.frombuffer(bytes.fromhex(row.correct), np.uint8)
    return np.unpackbits(packed)[: row.count].astype(bool)


def _images(row):
    """What tells apart test sets: how many images each class has."""
    return str(np.sum(json.loads(row["confusion"]), axis=1).tolist())
