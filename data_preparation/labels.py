"""From a user's table to tasks, class indices, and shares of votes."""

import unicodedata
from dataclasses import dataclass, field

import numpy as np

from data_preparation.columns import INTEGER, WEIGHT, Columns, normal, number
from data_preparation.spreadsheet import Sheet, shown
from samtl.common.errors import UserError
from samtl.data.tasks import NAME, TAKEN, Task, mirrored

LONGEST_CLASS = 100  # letters


@dataclass(frozen=True)
class Wanted:
    """What the user asks for.

    Attributes:
        tasks: names of tasks; empty: all columns that can be one.
        classes: {task: its class names}, with "" for the only task.
        no_flip: tasks whose labels a mirror image breaks; "" stands for all.
        is_majority: label rows without a label by the majority of votes.
    """

    tasks: tuple[str, ...] = ()
    classes: dict[str, list[str]] = field(default_factory=dict)
    no_flip: tuple[str, ...] = ()
    is_majority: bool = False


@dataclass(frozen=True)
class Labels:
    """The labels of a table of N rows.

    Attributes:
        tasks: tuple of Task.
        columns: {column: [N]}: for each task class indices, int, -1 where
            unknown; shares and weights of votes and facts, float, NaN where
            unknown.
        is_excluded: bool [N], rows with labels, all of them of classes that
            the user has left out.
    """

    tasks: tuple[Task, ...]
    columns: dict[str, np.ndarray]
    is_excluded: np.ndarray


def parse_classes(words: list[str]) -> dict[str, list[str]]:
    """{task: class names} of no yes, with task "", or of smile:no,yes.

    Raises:
        UserError: the names of a task are less than two or not different, or
            only some of the words name a task.
    """
    classes = {}
    for word in words:
        task, colon, names = word.partition(":")
        if colon and NAME.fullmatch(task):
            names = names.split(",")
        else:
            task, names = "", [word]
        classes.setdefault(task, []).extend(
            unicodedata.normalize("NFC", name.strip()) for name in names
        )
    if "" in classes and len(classes) > 1:
        raise UserError(
            "--classes names a task for some classes only; write "
            "TASK:CLASS,CLASS for each"
        )
    for task, names in classes.items():
        if len(set(names)) < max(2, len(names)) or "" in names:
            raise UserError(
                f"--classes{f' of {task}' if task else ''} must be two or more "
                f"different names, not {', '.join(names)}; correct it"
            )
    return classes


def read(sheet: Sheet, wanted: Wanted) -> Labels:
    """Read all labels of a table.

    Args:
        sheet: spreadsheet.Sheet.
        wanted: Wanted.

    Returns:
        Labels.

    Raises:
        UserError: a column or a cell cannot be used, or one that the user
            asks for is not there.
    """
    table = Columns(sheet)
    names = _task_names(table, wanted)
    classes = _by_task(wanted.classes, names)
    for name in {*wanted.no_flip} - {"", *names}:
        raise UserError(
            f"--no_flip names {name}, but the tasks are "
            f"{', '.join(names) or 'none'}; correct it"
        )
    columns, tasks = {}, []
    has_target = np.zeros(table.count, bool)
    has_other = np.zeros(table.count, bool)
    for name in names:
        task, found, is_other = _read_task(table, name, classes.get(name))
        if wanted.is_majority:
            _label_by_majority(task, found, ~is_other)
        _require_rows(sheet, task, found)
        clash = found.keys() & {*columns, *names} - {name}
        if clash:
            raise UserError(
                f"{sheet.path}: {min(clash)} belongs to two tasks; rename a "
                "column"
            )
        columns |= found
        tasks.append(task)
        has_other |= is_other
        has_target |= _has_target(task, found)
    facts = {f: table.numbers(f) for f in table.facts() if f not in columns}
    for task in tasks:
        _require_no_votes(sheet, task, {*names, *facts})
    tasks = tuple(_with_flips(task, wanted.no_flip) for task in tasks)
    return Labels(tasks, columns | facts, has_other & ~has_target)


def _task_names(table, wanted):
    if not wanted.tasks:
        return table.tasks(wanted.classes)
    for name in wanted.tasks:
        if name not in table.cells and len(table.suffixes(name)) < 2:
            raise UserError(
                f"{table.sheet.path} has no column {name} but "
                f"{', '.join(table.candidates())[:200] or 'path'}; correct "
                "the name of the task or column"
            )
    return list(wanted.tasks)


def _by_task(classes, names):
    """{task: class names}; those without a task belong to the only one."""
    if "" in classes:
        if len(names) != 1:
            raise UserError(
                f"--classes names no task, and there are {len(names)} "
                f"({', '.join(names)}); write TASK:CLASS,CLASS for each"
            )
        return {names[0]: classes[""]}
    for task in classes:
        if task not in names:
            raise UserError(
                f"--classes names {task}, but the tasks are "
                f"{', '.join(names) or 'none'}; correct it, or add {task} to "
                "--tasks"
            )
    return classes


def _read_task(table, name, classes):
    """Labels and votes of one task.

    Args:
        table: Columns.
        name: of the task.
        classes: names that the user gives, or None.

    Returns:
        (Task, its columns as in Labels, bool [N]: rows with a label that is
        not one of the classes).
    """
    _require_name(table, name)
    votes = table.votes(name, classes)
    if not (votes or name in table.cells):
        raise UserError(
            f"{table.sheet.path}: the votes of {name} do not sum to 1 in every "
            f"row; name the classes: --classes {name}:CLASS,CLASS"
        )
    if not classes:
        classes = list(votes) or _found_classes(table, name)
    _require_classes(table, name, classes)
    cells = table.cells.get(name, [""] * table.count)
    index = {label: place for place, label in enumerate(classes)}
    are_indices = not any(map(INTEGER.fullmatch, classes))
    labels = [_class_index(cell, index, are_indices) for cell in cells]
    columns = {name: np.array(labels, dtype=np.int64)}
    is_other = (columns[name] < 0) & np.array([cell != "" for cell in cells])
    if votes:
        columns |= _read_votes(table, name, votes)
    return Task(name, tuple(classes)), columns, is_other


def _class_index(cell, index, are_indices):
    """Class index of a cell, -1 where it is empty or not a class.

    Args:
        cell: a class name, or its number as in "1.0", or a class index.
        index: {class name: class index}.
        are_indices: whether a number is a class index.
    """
    if cell in index:
        return index[cell]
    match = INTEGER.fullmatch(cell[:LONGEST_CLASS])
    if not match:
        return -1
    if not are_indices:
        return index.get(match[1], -1)
    place = int(match[1])
    return place if 0 <= place < len(index) else -1


def _found_classes(table, name):
    """The different values of a column, sorted; numbers by size."""
    values = {*table.cells[name]} - {""}
    long = [value for value in values if len(value) > LONGEST_CLASS]
    if not long and len(values) > 1 and not table.is_scattered(name):
        whole = [INTEGER.fullmatch(value) for value in values]
        if all(whole):
            values = {match[1] for match in whole}
        are_numbers = all(number(value) is not None for value in values)
        return sorted(
            values, key=lambda v: (number(v) if are_numbers else 0, v)
        )
    if long:
        table.sheet.refuse(
            table.cells[name].index(long[0]),
            f"{name} has {len(long[0]):,} letters",
            f"a class name has at most {LONGEST_CLASS}; correct it",
        )
    if len(values) > 1:
        what = f"{len(values)} different values, most of them in one row"
    elif values:
        what = f"only one value, {shown(*values)}"
    else:
        what = "no value"
    raise UserError(
        f"{table.sheet.path}: column {name} has {what}; correct it or choose "
        f"the columns with labels: --tasks {table.others(name)}"
    )


def _read_votes(table, task, votes):
    """Columns of shares and, if there is one, of weights.

    Args:
        table: Columns.
        task: name.
        votes: {class name: column}.
    """
    if len({normal(label) for label in votes}) < len(votes):
        raise UserError(
            f"{table.sheet.path}: two classes of {task} have the same column "
            "of votes; rename one of them"
        )
    shares = np.stack([table.numbers(c) for c in votes.values()], axis=1)
    is_filled = ~np.isnan(shares)
    bad = is_filled.any(axis=1) & ~is_filled.all(axis=1)
    bad |= (shares < 0).any(axis=1)
    if bad.any():
        table.sheet.refuse(
            bad.argmax(),
            f"the votes of {task} are not numbers of at least 0",
            "write one for each class, or leave all cells empty",
        )
    total = shares.sum(axis=1, keepdims=True)
    # Nobody has voted where all are 0.
    total[total == 0] = np.nan
    shares = np.round(shares / total, 6)
    names = [f"{task}_{label}" for label in votes]
    columns = dict(zip(names, shares.T, strict=True))
    weight = f"{task}_{WEIGHT}"
    if weight in table.cells:
        columns[weight] = table.numbers(weight)
        bad = (columns[weight] < 0) | (columns[weight] > 1)
        if bad.any():
            table.sheet.refuse(
                bad.argmax(),
                f"{weight} is {shown(table.cells[weight][bad.argmax()])}",
                "write a number from 0 to 1, or leave the cell empty",
            )
    return columns


def _shares(task, columns):
    """Shares of votes, float [N, C], 0 where there are none."""
    empty = np.full(len(columns[task.name]), np.nan)
    names = [f"{task.name}_{label}" for label in task.classes]
    shares = np.stack([columns.get(name, empty) for name in names], axis=1)
    return np.nan_to_num(shares)


def _has_target(task, columns):
    """Rows with a label or votes, bool [N]."""
    return (columns[task.name] >= 0) | _shares(task, columns).any(axis=1)


def _label_by_majority(task, columns, may_label):
    """Label rows without a label by more than half of the votes, in place."""
    labels, shares = columns[task.name], _shares(task, columns)
    chosen = may_label & (labels < 0) & (shares.max(axis=1) > 0.5)
    labels[chosen] = shares[chosen].argmax(axis=1)


def _with_flips(task, no_flip):
    """The task, with `can_flip`."""
    try:
        mirrored(task.classes)
    except ValueError:  # a class has a side, without a class of the other one
        return Task(task.name, task.classes, False)
    return Task(task.name, task.classes, not {task.name, ""} & {*no_flip})


def _require_name(table, name):
    if name in TAKEN:
        raise UserError(
            f"{table.sheet.path}: {name} cannot be the name of a task; give "
            f"the task of column {name} another one: --task NAME"
        )
    if not NAME.fullmatch(name):
        raise UserError(
            f"{table.sheet.path}: {shown(name)} cannot be the name of a task; "
            "rename the column in letters a to z, digits and _, or choose the "
            f"columns with labels: --tasks {table.others(name)}"
        )


def _require_classes(table, name, classes):
    cells = table.cells.get(name, [])
    for label in classes:
        kinds = {unicodedata.category(letter) for letter in label}
        # Control characters and line breaks.
        is_odd = kinds & {"Cc", "Cs", "Zl", "Zp"}
        if is_odd or len(label) > LONGEST_CLASS or label in TAKEN:
            what = f"{shown(label)} cannot be the name of a class of {name}"
            cure = "rename it, or choose the classes with --classes"
            if label in cells:
                table.sheet.refuse(cells.index(label), what, cure)
            raise UserError(f"{table.sheet.path}: {what}; {cure}")


def _require_rows(sheet, task, columns):
    """Refuse a class that no row is labelled or voted for, and votes alone."""
    labels, shares = columns[task.name], _shares(task, columns)
    if (labels < 0).all() and shares.any():
        raise UserError(
            f"{sheet.path}: no image has a label of {task.name}, only votes; "
            "add labels to score the network, or give --majority"
        )
    numbers = np.bincount(labels[labels >= 0], minlength=len(task))
    numbers = numbers + shares.sum(axis=0)
    if not numbers.all():
        label = task.classes[numbers.argmin()]
        raise UserError(
            f"{sheet.path}: no image is labelled as {task.name} "
            f"{shown(label)}; correct --classes, or add images of it"
        )


def _require_no_votes(sheet, task, columns):
    """Refuse a column with the name of votes that is a task or a fact."""
    for label in (WEIGHT, *task.classes):
        column = f"{task.name}_{label}"
        if column in columns:
            raise UserError(
                f"{sheet.path}: {column} is the name of votes for {task.name}, "
                f"but there are not votes for {', '.join(task.classes)}; "
                "rename the column, or choose others with --tasks"
            )
