"""The script without its export, which takes as long as a small training."""

from ALTERNATIVE_EP import main, parser
from utils import runs

__all__ = ["main", "parser"]
runs.export = lambda *arguments: None
