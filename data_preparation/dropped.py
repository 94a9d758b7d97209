"""The rows that a preparation drops, and why."""

from collections import Counter

import numpy as np
import pandas as pd

from samtl.data import tables

# Split of rows that were dropped before the splits were drawn.
UNSPLIT = "no split"


class Dropped:
    """The rows that were dropped.

    Attributes:
        rows: DataFrame with `name`, `split` ("" before the splits were
            drawn), `reason`.
    """

    def __init__(self):
        self.rows = pd.DataFrame(columns=["name", "split", "reason"])

    def keep(self, faces, reasons):
        """Record the faces that have a reason; return the others."""
        faces = faces.assign(reason=np.asarray(reasons, dtype=object))
        is_out = faces["reason"] != ""
        lost = faces.loc[is_out, list(self.rows)]
        self.rows = pd.concat([self.rows, lost], ignore_index=True)
        return faces[~is_out].reset_index(drop=True)

    def by_split(self):
        """Counts as nested dicts: {split: {reason: number}}."""
        result = {split: {} for split in tables.SPLITS}
        where = self.rows["split"].replace("", UNSPLIT)
        counts = self.rows.groupby([where, "reason"]).size()
        for (split, reason), number in counts.items():
            result.setdefault(split, {})[reason] = int(number)
        return result

    def reasons(self, split):
        """Why a split, or one not drawn yet, lost its rows, as text."""
        lost = self.by_split()
        lost = Counter(lost[split]) + Counter(lost.get(UNSPLIT, {}))
        return ", ".join(f"{lost[reason]} {reason}" for reason in lost)
