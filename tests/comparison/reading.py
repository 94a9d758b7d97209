"""What a report says, and the same numbers worked out from results.csv."""

import csv
import json
from collections import defaultdict
from html.parser import HTMLParser

import numpy as np
from sklearn.metrics import balanced_accuracy_score

from samtl.comparison import statistics

VOID = ("meta", "br", "path", "use", "rect", "line", "circle")


class Page(HTMLParser):
    """What a page says.

    Attributes:
        numbers: [(the `data-` attributes around it, text)] of the elements
            with data-metric.
        matrices: [(attributes, rows of (share, count))].
        prose: the visible text outside of them and of the figures.
    """

    def __init__(self, text):
        super().__init__()
        self.stack, self.numbers, self.matrices = [], [], []
        self.prose, self.tags = "", set()
        self.feed(text)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        if tag in VOID:
            return
        own = {
            name[5:]: value
            for name, value in attributes
            if name.startswith("data-")
        }
        around = self.stack[-1][1] if self.stack else {}
        self.stack.append((tag, {**around, **own}))
        if own.get("metric") == "confusion":
            self.matrices.append((self.stack[-1][1], []))
        elif "metric" in own:
            self.numbers.append([self.stack[-1][1], ""])
        if tag in ("tr", "td") and around.get("metric") == "confusion":
            rows = self.matrices[-1][1]
            rows.append([]) if tag == "tr" else rows[-1].append([])

    def handle_startendtag(self, tag, attributes):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.stack.pop()[0] == tag

    def handle_data(self, text):
        tags = [tag for tag, _ in self.stack]
        around = self.stack[-1][1] if self.stack else {}
        if around.get("metric") == "confusion":
            if "td" in tags:
                self.matrices[-1][1][-1][-1].append(text)
        elif "metric" in around:
            self.numbers[-1][1] += text
        elif not {"style", "svg"} & set(tags):
            self.prose += text

    def found(self, metric, **names):
        """Texts of the numbers of this metric with these attributes."""
        wanted = {"metric": metric, **names}
        return [
            text
            for around, text in self.numbers
            if wanted.items() <= around.items()
        ]


class Truth:
    """The same numbers from results.csv, by other means than the report's.

    Args:
        out: folder of the comparison.
        methods: all of its methods.
    """

    def __init__(self, out, methods):
        self.methods = methods
        self.cells = defaultdict(dict)
        with (out / "results.csv").open(encoding="utf-8") as file:
            self.rows = list(csv.DictReader(file))
        for row in self.rows:
            key = (row["pair"], row["task"], row["method"])
            self.cells[key][int(row["seed"])] = row

    def right(self, key):
        """[S, N] bool: whether each seed's run is right on each image."""
        found = []
        for _, row in sorted(self.cells[key].items()):
            count = int(row["count"])
            number = int(row["correct"], 16)
            digits = f"{number:0{4 * len(row['correct'])}b}"[:count]
            found.append([digit == "1" for digit in digits])
        return np.array(found)

    def mean(self, key, column):
        values = [float(row[column]) for row in self.cells[key].values()]
        return sum(values) / len(values)

    def balanced(self, key):
        """Mean over the seeds, from the confusion matrices."""
        found = []
        for row in self.cells[key].values():
            matrix = np.array(json.loads(row["confusion"]))
            true, predicted = np.nonzero(matrix)
            found.append(
                balanced_accuracy_score(
                    true, predicted, sample_weight=matrix[true, predicted]
                )
            )
        return np.mean(found)

    def test(self, pair, task, method, baseline):
        one = self.right((pair, task, method))
        two = self.right((pair, task, baseline))
        accuracies = self.resampled(pair, task, method, baseline)
        return statistics.paired_test(
            one.mean(axis=1) - two.mean(axis=1),
            (accuracies[0] - accuracies[1]).mean(axis=1).var(),
        )

    def resampled(self, pair, task, *methods):
        """[B, S] of each method, on the same images."""
        right = np.array([self.right((pair, task, name)) for name in methods])
        count = right.shape[-1]
        flat = statistics.resampled(right.reshape(-1, count), seed=count)
        return np.moveaxis(flat.reshape(-1, *right.shape[:2]), 1, 0)

    def changes(self, pair, tasks, method, baseline):
        """Delta_m: on the images themselves, and on each resample."""
        found = []
        for task in tasks:
            means = [
                100 * self.mean((pair, task, name), "accuracy")
                for name in (method, baseline)
            ]
            one, two = self.resampled(pair, task, method, baseline)
            draws = one.mean(axis=1) / two.mean(axis=1)
            found.append([(means[0] - means[1]) / means[1], *(draws - 1.0)])
        change, *draws = np.mean(found, axis=0)
        return change, np.array(draws)

    def family(self, pair, tasks, baseline):
        """{(task, method): (Paired, corrected p)}."""
        tests = {
            (task, method): self.test(pair, task, method, baseline)
            for task in tasks
            for method in self.methods
            if method != baseline
        }
        found, worst = {}, 0
        ordered = sorted(tests, key=lambda key: tests[key].p)
        for place, key in enumerate(ordered):
            worst = max(worst, tests[key].p * (len(tests) - place))
            found[key] = (tests[key], min(1, worst))
        return found
