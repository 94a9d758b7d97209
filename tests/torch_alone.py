"""Scripts with Torch as on a GPU: `python -m tests.torch_alone COMMAND ...`.

Each COMMAND, one word, is a script's name and its flags. NumPy cannot read the
tensors of a GPU; here, where there may be none, it is not let.
"""

import importlib
import os
import sys

os.environ["KERAS_BACKEND"] = "torch"
import torch

from samtl.common.errors import run_script


def read_by_keras(tensor, *args, read=torch.Tensor.__array__, **options):
    """Only Keras's own conversion, which copies it from the GPU, may read."""
    if "keras" not in sys._getframe(1).f_code.co_filename:
        raise TypeError("NumPy cannot read a tensor of a GPU")
    return read(tensor, *args, **options)


def main(commands):
    torch.Tensor.__array__ = read_by_keras
    for command in commands:
        script, *flags = command.split()
        importlib.import_module(script).main(flags)


if __name__ == "__main__":
    run_script(lambda: main(sys.argv[1:]))
