"""The script without its export, which takes as long as a small training."""

from CONFUSION_EP_multitask import main, parser
from utils import runs

__all__ = ["main", "parser"]
runs.export = lambda *arguments: None
