"""MODEL_CARD.md of released weights."""

import shlex
from pathlib import Path

import numpy as np

from samtl.common.text import counted
from samtl.evaluation import calibration
from samtl.release.figures import Task, groups, percent, table
from samtl.runs import run_folder

FEW = 20  # images below which a group's accuracy is not listed
# A group is listed as weak where it is below the task's accuracy by more than
# GAP and by more than so many standard errors.
GAP, ERRORS = 0.1, 2.0
MACHINE_FLAGS = ("--data_dir", "--run_dir", "--runs")

USE = """## Use

For demonstrations, teaching, and as a baseline or starting point in research.

Not for decisions about people, identification, surveillance, access, hiring or
diagnosis. A label is a statistical guess about a picture. It does not tell what
a person feels, who they are, or how old they are. Emotion labels are what
annotators saw in a face. The datasets have two genders. Figures by ethnicity,
where there are any, are by UTKFace's five groups; accuracy by skin colour was
not measured. Show the probability beside a label, and "unsure" below one half,
as the demos do.
"""


def write_up(tasks: list[Task], facts: dict) -> str:
    """The text of MODEL_CARD.md.

    Args:
        tasks: what was measured.
        facts: dict with `name` (of the files), `args` (the run's args.json),
            `result` (`rounds` and `best_round` of its result.json), `input`
            (height, width, channels), `size` (of the .onnx file, bytes),
            `sha256` {file: digest},
            `agreement` {"images", "largest_difference"}, `datasets` {name:
            {"labels", "images": count, "terms", "citation" if any}}, `seeds`
            (list of `publish.compare_seeds`), `sample` (the prediction for the
            demos' sample portrait), `age_error` (of `ages.error`).
    """
    names = [task.name for task in tasks]
    height, width, channels = facts["input"]
    arguments = facts["args"]["arguments"]
    return "\n".join(
        [
            f"# {facts['name']}: {', '.join(names)} from one face\n",
            f"{arguments['model']}, {width} x {height} "
            f"{'gray' if channels == 1 else 'RGB'} pixels in, "
            f"{facts['size'] / 1e6:.1f} MB as ONNX. Written by `python -m "
            "samtl.release`.\n",
            _files(facts),
            _training(facts, arguments),
            _results(tasks),
            *_age_error(facts["age_error"]),
            _seeds(facts["seeds"]),
            _calibrated(tasks, facts["datasets"]),
            _weaknesses(tasks, facts["sample"]),
            USE,
        ]
    )


def _files(facts):
    name, agreement = facts["name"], facts["agreement"]
    crops = counted(agreement["images"], "test crop")
    meaning = {
        f"{name}.onnx": "pixels in, probabilities out; what the demos read",
        f"{name}.keras": "the same network as trained, for further training",
    }
    rows = [
        (f"`{file}`", text, f"`{facts['sha256'][file]}`")
        for file, text in meaning.items()
    ]
    text = "classes, input, crop margin, temperatures, ages, SHA-256"
    rows.append((f"`{name}.json`", text, ""))
    text = "confusion, groups and reliability on test"
    rows.append(("[figures.md](figures.md)", text, ""))
    return (
        f"{table(('file', 'what', 'SHA-256'), rows, numbers=0)}\n"
        f"On {crops}, the probabilities of the two networks differ by "
        f"{agreement['largest_difference']:.1e} at most.\n"
    )


def _training(facts, arguments):
    run, result = facts["args"], facts["result"]
    commits = " and ".join(map(_commit, run_folder.commits(run)))
    digest = arguments.get("weights_sha256")
    start = f" It started from weights of SHA-256 `{digest}`." * bool(digest)
    rows = [
        (name, ", ".join(d["labels"]), f"{d['images']:,}", d.get("terms", ""))
        for name, d in facts["datasets"].items()
    ]
    headings = ("dataset", "labels used", "training images", "terms")
    sources = [
        f"- {name}: {d['citation']}"
        for name, d in facts["datasets"].items()
        if "citation" in d
    ]
    return "\n".join(
        [
            "## Training\n",
            f"Method {arguments['method']}, seed {arguments['seed']}, "
            f"{counted(result['rounds'], 'round')}; the network of round "
            f"{result['best_round']}, with the best validation accuracy, "
            f"averaged over the tasks. Commit {commits}; "
            f"Keras {run['versions']['keras']} on {run['backend']}.{start}\n",
            f"```bash\n{_portable(run['command'])}\n"
            f"python -m samtl.release RUN{'S' * (len(facts['seeds']) > 1)} "
            "--overwrite\n```\n",
            *_distilled(arguments.get("teachers", {})),
            table(headings, rows, numbers=0),
            *sources,
            *_annotations(facts["datasets"]),
            "\nThe weights inherit these terms.\n",
        ]
    )


def _annotations(datasets):
    """Lines about the votes of others in the tables; see `annotate`."""
    rows = [
        (
            name,
            ", ".join(f"{t} ({n:,})" for t, n in votes["images"].items()),
            f"{votes['weight']:g}",
            votes["made_by"] or "unknown",
            votes["licence"] or "unknown",
        )
        for name, facts in datasets.items()
        for votes in facts.get("annotations", ())
    ]
    if not rows:
        return []
    headings = ("dataset", "votes (images)", "weight", "made by", "licence")
    return ["\nVotes of others:\n", table(headings, rows, numbers=0)]


def _distilled(teachers):
    """Lines about the teachers, which this network is distilled from."""
    lines = []
    for path, origin in teachers.items():
        commit, path = origin["commit"], Path(path)
        source = ""
        if commit:
            source = f", of commit {_commit(commit)}"
        lines.append(
            f"Distilled from {Path(path.parent.name) / path.name}{source}: "
            f"`{origin['sha256']}`.\n"
        )
        if origin["command"]:
            command = _portable(origin["command"])
            lines.append(f"```bash\n{command}\n```\n")
    return lines


def _commit(commit):
    """A commit, as in args.json, in words."""
    if commit is None:
        return "unknown"
    changed = ", with changes that were not committed" * commit["dirty"]
    return f"{commit['id'][:7]}{changed}"


def _results(tasks):
    rows = []
    for task in tasks:
        scores = task.scores
        shares = ("accuracy", "balanced_accuracy", "macro_f1")
        rows.append(
            (
                task.name,
                str(len(task.classes)),
                f"{scores['count']:,}",
                *(percent(scores[share]) for share in shares),
                percent(scores.get("one_off_accuracy")),
            )
        )
    headings = ("task", "classes", "images", "accuracy", "balanced")
    headings += ("macro F1", "within one class")
    return (
        "## Test figures\n\nMeasured once, after training. Logits are averaged "
        "over each face and its mirror image (test-time augmentation), as in "
        "the demos. Confusion matrices and accuracy by class and group are in "
        f"[figures.md](figures.md).\n\n{table(headings, rows)}"
    )


def _age_error(found):
    """The line about the expected age, if there is one."""
    if found is None:
        return []
    count, years = found
    return [
        f"Mean absolute error of the expected age: {years:.1f} years, on "
        f"{counted(count, 'test image')} with an age in years.\n"
    ]


def _seeds(seeds):
    """Figures of the same run with other random seeds."""
    if len(seeds) == 1:
        return "One seed was trained; the spread over seeds is not known.\n"
    names = list(seeds[0]["test"])
    figures = [
        [seed["validation"], *(seed["test"][name] for name in names)]
        for seed in seeds
    ]
    rows = [
        (str(seed["seed"]), *map(percent, row))
        for seed, row in zip(seeds, figures, strict=True)
    ]
    means, spreads = np.mean(figures, axis=0), np.std(figures, axis=0, ddof=1)
    rows.append(
        (
            "mean",
            *(
                f"{100 * mean:.1f} ± {100 * spread:.1f}"
                for mean, spread in zip(means, spreads, strict=True)
            ),
        )
    )
    headings = ("seed", "validation", *(f"test, {name}" for name in names))
    return (
        f"{len(seeds)} seeds were trained. The one with the best validation "
        "accuracy, averaged over the tasks, is released. Accuracy without "
        "mirror images; ±: standard deviation.\n\n"
        f"{table(headings, rows)}"
    )


def _calibrated(tasks, datasets):
    errors, surpluses = [], []
    for task in tasks:
        used, weights = task.temperature, task.as_on_validation()
        errors.append(
            (
                task.name,
                f"{len(task.validation.labels):,}",
                f"{task.fitted:.2f}",
                f"{task.p_value:.3f}" if task.p_value >= 0.001 else "< 0.001",
                f"{used:.2f}",
                *(
                    percent(split.error(temperature))
                    for split in (task.validation, task.test)
                    for temperature in (1, used)
                ),
            )
        )
        surpluses.append(
            (
                task.name,
                _points(task.validation.surplus(used)),
                _points(task.test.surplus(used)),
                # Test may have no class that validation has.
                _points(task.test.surplus(used, weights))
                if weights.any()
                else "",
            )
        )
    headings = ("task", "validation images", "fitted T", "p", "T used")
    headings += ("validation before", "after", "test before", "after")
    source = " (MTFL's test photos are AFLW's)" if "mtfl" in datasets else ""
    spare = ("task", "validation", "test", "test, classes as in validation")
    return "\n".join(
        [
            "## Calibration\n",
            "One temperature for each task is fitted to the validation images "
            "(Guo et al. 2017). It is used where a likelihood-ratio test "
            f"rejects T = 1 (p below {calibration.CHANCE}). No test image is "
            f"used. Expected calibration error, {calibration.BINS} bins:\n",
            table(headings, errors),
            "Mean confidence minus accuracy, in points; above 0, the network "
            "is overconfident:\n",
            table(spare, surpluses),
            "Where test is worse than validation, its distribution differs. "
            "Some classes are more frequent, which the last column corrects, "
            f"or the images have another source{source}. A temperature fitted "
            "to validation images accounts for neither. Expect the same with "
            "pictures of your own.\n",
        ]
    )


def _weaknesses(tasks, sample):
    lines = ["## Where it is weak\n"]
    for task in tasks:
        accuracy = task.scores["accuracy"]
        weak, few = [], []
        for kind, name, count, share in groups(task):
            plain = (task.name, "gender", "ethnicity")
            group = name if kind in plain else f"{kind} {name}"
            if count < FEW:
                few.append(f"{group} ({count})")
                continue
            spread = np.sqrt(accuracy * (1 - accuracy) / count)
            if accuracy - share > max(GAP, ERRORS * spread):
                weak.append(f"{group} {percent(share)} of {count:,}")
        texts = [f"{', '.join(weak) or 'no group far below the mean'}"]
        if few:
            texts.append(f"too few test images to tell: {', '.join(few)}")
        lines.append(
            f"- {task.name} ({percent(accuracy)} in all): {'; '.join(texts)}."
        )
    lines.append(
        "- Prediction for the demos' sample, Grace Hopper's portrait: "
        f"{sample}.\n"
    )
    return "\n".join(lines)


def _portable(command):
    """The command line without the folders of one machine."""
    kept, is_value = [], False
    for word in shlex.split(command):
        if not is_value and not word.startswith(MACHINE_FLAGS):
            kept.append(_short(word))
        is_value = word in MACHINE_FLAGS
    return shlex.join(kept)


def _short(word):
    """A script's name, or of another path, the last folder and the name."""
    flag, equals, value = word.rpartition("=")
    path = Path(value)
    if not path.is_absolute():
        return word
    kept = path.parts[-1 if path.suffix == ".py" else -2 :]
    return f"{flag}{equals}{Path(*kept)}"


def _points(share):
    return f"{100 * share:+.1f}"
