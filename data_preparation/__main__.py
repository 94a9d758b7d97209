"""Prepare a dataset: python -m data_preparation NAME [flags of that dataset].

Without a name, lists the datasets; NAME --help shows the files that one needs.
`python -m data_preparation own NAME` prepares images of your own.
`python -m data_preparation check NAME` reports on the health of a prepared set.
"""

import sys

from rich.console import Console
from rich.text import Text

from data_preparation import (
    adience,
    aflw,
    annotate,
    check,
    expw,
    fer2013,
    ferplus,
    imdb,
    mtfl,
    own,
    raw,
    sfew,
    synthetic,
    utkface,
    wiki,
)
from samtl.common import flags
from samtl.common.errors import UserError, run_script

COMMAND = "python -m data_preparation"
DATASETS = {
    "synthetic": synthetic,
    "fer2013": fer2013,
    "ferplus": ferplus,
    "expw": expw,
    "sfew": sfew,
    "mtfl": mtfl,
    "aflw": aflw,
    "adience": adience,
    "utkface": utkface,
    "imdb": imdb,
    "wiki": wiki,
}


def main(argv=None):
    """Prepare the dataset that the command line names, or list them all."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help"):
        list_datasets(Console())
        return
    if argv[0] == "check":
        check.main(argv[1:])
        return
    if argv[0] == "annotate":
        annotate.main(argv[1:])
        return
    if argv[0] == "own":
        own.main(argv[1:], [*DATASETS, *synthetic.SETS])
        return
    name = argv[0].lower().replace("+", "plus")
    if name not in DATASETS:
        raise UserError(
            f"{argv[0]!r} is not a dataset; give one of {', '.join(DATASETS)} "
            f"first: {COMMAND} NAME. Images of your own: {COMMAND} own NAME"
        )
    module = DATASETS[name]
    parser = flags.parser(module.__doc__, None)
    parser.prog = f"{COMMAND} {name}"
    module.add_arguments(parser)
    args = parser.parse_args(argv[1:])
    if "source" in args and not args.source.is_dir():
        raise UserError(
            f"--source={args.source} is not a directory; give the one that "
            f"holds the files of {name}"
        )
    if "source" in args:
        args.source = raw.unpacked(args.source, name)
    module.prepare(args)


def list_datasets(console):
    """Print what each dataset is, where it comes from and its command."""
    for name, module in DATASETS.items():
        dataset = module.DATASET
        command = f"{COMMAND} {name}"
        if dataset.url:
            command += " --source FOLDER"
        console.print(Text(f"{name}: {dataset.title}", style="bold"))
        # In one line each, to be copied.
        source = f"  from {dataset.url or 'here: nothing to get'}"
        console.print(Text(source), soft_wrap=True)
        console.print(Text(f"  {command}\n"), soft_wrap=True)
    console.print(
        Text("own: images of your own, with any labels", style="bold")
    )
    command = f"  {COMMAND} own NAME --source FOLDER --task TASK\n"
    console.print(Text(command), soft_wrap=True)
    console.print(Text(f"{COMMAND} NAME --help shows files and flags."))
    console.print(Text(f"{COMMAND} check NAME reports on a prepared set."))
    console.print(Text(f"{COMMAND} annotate NAME --votes FILE adds votes."))


if __name__ == "__main__":
    run_script(main)
