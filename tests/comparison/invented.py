"""An invented comparison: a folder as compare.py leaves it, in no time."""

import itertools
import json

import numpy as np
import pandas as pd

from samtl.comparison import results

CLASSES = {
    "emotion": [
        *("neutral", "happiness", "surprise", "sadness"),
        *("anger", "disgust", "fear", "contempt"),
    ],
    "pose": ["left profile", "frontal", "right profile"],
    "gender": ["female", "male"],
    "age": ["0 to 2", "3 to 9", "10 to 19", "20 to 39", "over 40"],
}
PAIRS = {
    "emotion-pose": ("emotion", "pose"),
    "emotion-age": ("emotion", "age"),
    "emotion-gender-age": ("emotion", "gender", "age"),
}
METHODS = (
    "single-task",
    *("all-in-one", "sfsmr", "slrm", "lel-ltn", "dcn-ap", "naive"),
    *("dml-lwf", "distilled", "sa-mtl-hard", "sa-mtl-interpolation"),
    *("confidence", "density", "distribution", "no-distribution"),
    *("no-density", "no-confidence", "emd", "mmd", "sa-mtl-plus"),
    *("warm-up", "per-class", "teacher", "gamma"),
)
PSEUDO = METHODS[9:]


def write(
    out, methods=METHODS, pairs=PAIRS, seeds=(0, 1, 2), images=400, rounds=16
):
    """Write results.csv, rounds.csv, failed.csv and weights to a folder.

    Methods differ by an invented skill; images by how hard they are, which is
    the same for all runs.
    """
    random = np.random.default_rng(7)
    skills = {
        method: 0.2 * ((3 * place + 4) % 7 - 3)
        for place, method in enumerate(methods)
    }
    found, curves = [], []
    for pair, tasks in pairs.items():
        labels = {
            task: random.permutation(images) % len(CLASSES[task])
            for task in tasks
        }
        hardness = {task: random.normal(-1.2, 1, images) for task in tasks}
        for method, seed in itertools.product(methods, seeds):
            for task in tasks:
                skill = skills[method] + random.normal(0, 0.1)
                is_right = random.normal(0, 1, images) + skill > hardness[task]
                found.append(
                    _result(pair, method, seed, task, labels[task], is_right)
                )
            curves += _rounds(random, pair, method, seed, tasks, rounds)
            if method in PSEUDO:
                _weights(random, out, pair, method, seed, tasks, rounds)
    out.mkdir(exist_ok=True)
    table = pd.DataFrame(found, columns=results.RESULTS)
    table.to_csv(out / "results.csv", index=False)
    empty = pd.DataFrame(columns=["pair", "method", "seed"])
    rows = pd.concat([empty, pd.DataFrame(curves)])
    rows.to_csv(out / "rounds.csv", index=False)
    failed = [
        (pair, "naive", 3, "training has diverged", "runs/x")
        for pair in ("emotion-pose", "emotion-age")
    ]
    failed = pd.DataFrame(failed, columns=results.FAILED)
    failed.to_csv(out / "failed.csv", index=False)
    return table


def _result(pair, method, seed, task, labels, is_right):
    count = len(CLASSES[task])
    predictions = np.where(is_right, labels, (labels + 1) % count)
    confusion = np.zeros((count, count), int)
    np.add.at(confusion, (labels, predictions), 1)
    recalls = confusion.diagonal() / confusion.sum(axis=1)
    run = f"runs/{pair}/{method}/seed{seed}"
    return {
        "pair": pair,
        "method": method,
        "seed": seed,
        "task": task,
        "split": "test",
        "accuracy": is_right.mean(),
        "balanced_accuracy": recalls.mean(),
        "macro_f1": recalls.mean(),
        "one_off_accuracy": 0.9 if task == "age" else None,
        "count": len(labels),
        "validation_accuracy": is_right.mean(),
        "rounds": 16,
        "best_round": 15,
        "seconds": 100 + 10 * seed + len(method),
        "pseudo_seconds": 20.5 if method in PSEUDO else 0,
        "images_per_second": 300 + len(method),
        "peak_memory_mib": 1500 + seed,
        "trained_images": 5000,
        "predicted_images": 2000 if method in PSEUDO else 0,
        "commit": "20d4129c0ffee-dirty",
        "forgetting": 0.01 * len(method) if _is_alternating(method) else None,
        "confusion": json.dumps(confusion.tolist()),
        "correct": np.packbits(is_right).tobytes().hex(),
        "run": f"{run}/{task}" if method == "single-task" else run,
        "classes": json.dumps(CLASSES[task]),
    }


def _is_alternating(method):
    return method in METHODS[6:]


def _rounds(random, pair, method, seed, tasks, rounds):
    """Rows of rounds.csv; those of single tasks come from a run each."""
    key = {"pair": pair, "method": method, "seed": seed}
    for number in range(1, rounds + 1):
        reached = 0.8 - 0.5 * np.exp(-4 * number / rounds)
        values = {
            task: reached - 0.02 * ((number + place) % 2)
            for place, task in enumerate(tasks)
        }
        row = {
            f"validation_{task}_accuracy": value + random.normal(0, 0.01)
            for task, value in values.items()
        }
        if method == "single-task":
            for name, value in row.items():
                yield {**key, "round": number, "dataset": "one", name: value}
            continue
        row |= {**key, "round": number, "dataset": "one"}
        if method in PSEUDO and number % 2:
            for task in tasks:
                row[f"pseudo_{task}_mean_weight"] = 0.5
            row["pseudo_emotion_accuracy"] = reached - 0.1
            row["pseudo_emotion_accuracy_selected"] = reached + 0.05
        yield row


def _weights(random, out, pair, method, seed, tasks, rounds, images=200):
    folder = out / "runs" / pair / method / f"seed{seed}"
    folder.mkdir(parents=True)
    for number in range(1, rounds + 1, 2):
        parts = []
        for task in tasks:
            weight = random.beta(2, 3, images)
            is_right = random.random(images) < 0.4 + 0.5 * weight
            parts.append(
                pd.DataFrame(
                    {
                        "path": [f"{n}.png" for n in range(images)],
                        "pseudo_label": CLASSES[task][0],
                        "weight": weight,
                        "selected": (weight > 0.5).astype(int),
                        "truth": ""
                        if task != "emotion"
                        else np.where(is_right, *CLASSES[task][:2]),
                        "dataset": "other",
                        "task": task,
                    }
                )
            )
        table = pd.concat(parts)
        table.to_csv(folder / f"weights_round{number}.csv", index=False)
