"""Single-task learning: every round is one pass over one dataset."""

from samtl.cli import command_line
from samtl.data.batches import Batches
from samtl.pseudo_labels import true_labels
from samtl.training.loop import Round


class Rounds:
    """The plan (`samtl.training.loop`) of single-task learning.

    Args:
        datasets: list with one {"train": Split, ...}.
        tasks: list of Task that the dataset is labelled for.
        args: the script's arguments (`samtl.cli.command_line`).
    """

    def __init__(self, datasets, tasks, args):
        (parts,) = datasets
        self.part = parts["train"]
        self.tasks = tasks
        self.args = args

    def steps(self, number):
        return -(-len(self.part) // self.args.batch_size)

    def __call__(self, number):
        labelled = true_labels.labelled(self.part.table, self.tasks, self.args)
        batches = Batches(
            self.part,
            labelled,
            self.args.batch_size,
            seed=[self.args.seed, number],
            strength=command_line.view_strength(
                self.args, self.part.table.name
            ),
        )
        return Round(self.part.table.name, batches)
