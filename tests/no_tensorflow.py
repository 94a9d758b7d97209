"""Importing this hides TensorFlow, as if it were not installed.

Importing it takes ten seconds. (With None in `sys.modules`, Keras would take it
for loaded.)
"""

import importlib.abc
import sys


class _Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tensorflow":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, _Hidden())
