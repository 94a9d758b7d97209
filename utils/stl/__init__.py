"""Single-task learning: every round is one pass over one dataset."""

from utils import cli, triples
from utils.batches import Batches
from utils.training import Round


class Rounds:
    """The plan (`utils.training`) of single-task learning.

    Args:
        datasets: list with one {"train": Part, ...}.
        tasks: list of Task that the dataset is labelled for.
        args: the script's arguments (`utils.cli`).
    """

    def __init__(self, datasets, tasks, args):
        (parts,) = datasets
        self.part = parts["train"]
        self.tasks = tasks
        self.args = args

    def steps(self, number):
        return -(-len(self.part) // self.args.batch_size)

    def __call__(self, number):
        labelled = triples.labelled(self.part.table, self.tasks, self.args)
        batches = Batches(
            self.part,
            labelled,
            self.args.batch_size,
            seed=[self.args.seed, number],
            strength=cli.view_strength(self.args, self.part.table.name),
        )
        return Round(self.part.table.name, batches)
