"""Alternating training: every round is one pass over one dataset, in turn.

The pass is that of single-task learning, with the triples of all tasks.
"""

from utils.stl import generator, steps

__all__ = ["generator", "steps"]
