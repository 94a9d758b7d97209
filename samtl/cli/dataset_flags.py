"""Flags whose values are for datasets: mtfl:2, ferplus:1000.

Keras is not imported here, so that --help answers at once.
"""

from samtl.cli.methods import Arguments
from samtl.common.errors import UserError


def by_dataset(
    args: Arguments, flag: str, wanted: dict[str, list[str]]
) -> list[tuple[str, str]]:
    """[(dataset, value)] of a flag of words such as mtfl:pose.

    The dataset is "" where a word names none.

    Raises:
        UserError: it names one that is not among `wanted`.
    """
    found = []
    for words in getattr(args, flag, None) or ():
        name, _, value = words.rpartition(":")
        if name and name not in wanted:
            raise UserError(
                f"--{flag}={words} names a dataset that is not trained on; "
                f"these are: {', '.join(wanted)}"
            )
        if name in dict(found):
            what = f"{name} twice" if name else "all datasets twice"
            raise UserError(f"--{flag} names {what}; give one value for each")
        found.append((name, value))
    return found


def wanted_datasets(args: Arguments, tasks: list[str]) -> dict[str, list[str]]:
    """{dataset: names of the tasks it is given for}, in the order of turns.

    Unlabelled pools come last, given for none.

    Raises:
        UserError: a pool is given for a task, too.
    """
    wanted = {}
    if getattr(args, "dataset", None):  # of single-task learning
        wanted[args.dataset] = list(tasks)
    for label in tasks:
        for name in getattr(args, f"dataset_{label}", None) or ():
            wanted.setdefault(name, []).append(label)
    for name in getattr(args, "unlabelled", None) or ():
        if wanted.setdefault(name, []):
            raise UserError(
                f"--unlabelled={name} is also given for {wanted[name][0]}; "
                "take one of the two back"
            )
    return wanted


def limits(args: Arguments, wanted: dict[str, list[str]]) -> dict[str, int]:
    """{dataset: the most training images to use of it, 0 for all}."""
    return {name: int(of_dataset(args.limit, name, 0)) for name in wanted}


def batch_sizes(args: Arguments) -> dict[str, int]:
    """{dataset: its images per step}; empty where all have one batch size."""
    if isinstance(args.batch_size, int):
        return {}
    pairs = (word.split(":") for word in args.batch_size)
    return {name: int(size) for name, size in pairs}


def of_dataset(words: list[str] | None, name: str, default):
    """The value among words such as 2 and mtfl:2 that is for a dataset."""
    values = dict(word.rpartition(":")[::2] for word in words or ())
    return values.get(name, values.get("", default))


def check_datasets(args: Arguments, wanted: dict[str, list[str]]) -> None:
    """Refuse values for datasets that these are not.

    Args:
        args: a script's arguments.
        wanted: from `wanted_datasets`.

    Raises:
        UserError: a flag names another dataset, or one twice, or --labels
            hides a task that its dataset is given for.
    """
    for flag in ("limit", "augmentation_strength"):
        by_dataset(args, flag, wanted)
    if not isinstance(getattr(args, "batch_size", 0), int):
        given = dict(by_dataset(args, "batch_size", wanted))
        missing = [name for name in wanted if name not in given]
        if missing or "" in given:
            raise UserError(
                f"--batch_size={' '.join(args.batch_size)} leaves "
                f"{missing[0] if missing else 'the rest'} open; give one "
                f"number for all, or one for each of {', '.join(wanted)}"
            )
    for name, counted in by_dataset(args, "labels", wanted):
        hidden = [t for t in wanted[name] if t not in counted.split(",")]
        if hidden:
            raise UserError(
                f"--labels hides {hidden[0]} of {name}, which "
                f"--dataset_{hidden[0]} asks for; take one of the two back"
            )
