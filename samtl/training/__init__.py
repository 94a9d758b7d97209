"""The engine: rounds of training on label triples."""

from samtl.training.config import Configuration
from samtl.training.experiment import Experiment
from samtl.training.learner import Auxiliary
from samtl.training.opening import start_network

__all__ = ["Auxiliary", "Configuration", "Experiment", "start_network"]
