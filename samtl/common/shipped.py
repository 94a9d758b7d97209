"""Files that come with the code."""

from pathlib import Path

# In the installed package, or beside it in the repository.
_PACKAGE = Path(__file__).resolve().parents[1]
WEIGHTS = _PACKAGE / "weights"
if not WEIGHTS.is_dir():
    WEIGHTS = _PACKAGE.parent / "weights"
