"""The configuration of an experiment, one frozen dataclass a part."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from samtl.data.datasets import DataConfig, Datasets
from samtl.distributed import devices
from samtl.distributed.devices import DevicesConfig
from samtl.networks import NetworkConfig
from samtl.pseudo_labels.method import Kind, Method, Regularisers


@dataclass(frozen=True)
class TrainingConfig:
    """How a network is trained.

    epoch: >= 1, most rounds.
    batch_size: >= 1, images per step, and of a teacher's prediction.
    batch_sizes: {dataset: >= 1, its images per step}, of every dataset; a
        joint step has their sum. Empty: a joint step has `batch_size` images,
        shared out by the sizes of the datasets.
    learning_rate: > 0, step size of Adam at the start.
    schedule: "cosine" or "constant", learning rate over the rounds.
    loss_weights: {task name: lambda_t >= 0}.
    task_weighting: how the weighted losses become one: "equal", "uncertainty",
        "dynamic", "random" or "geometric", see `task_weighting`.
    pseudo_loss_weights: {task name: mu_t >= 0}, filled-in labels are averaged
        apart from true ones and weighted by mu_t; of a task that is absent
        there is one mean over both.
    ema_momentum: 0..1, momentum per step of a moving average of the weights;
        0: none.
    patience: >= 0, rounds without a better validation score before stopping;
        0: never.
    is_freezing: the trunk is frozen, but for the last rounds.
    no_freezing_epoch: >= 0, last rounds that train the unfrozen network, at a
        tenth of the learning rate.
    bn_statistics: "mixed" estimates them on all datasets, "running" leaves
        them as the last round made them.
    figures_every: >= 1, see `is_drawn`.
    seed: draws initial weights, the order of images and augmentation.
    """

    epoch: int = 64
    batch_size: int = 32
    batch_sizes: dict[str, int] = field(default_factory=dict)
    learning_rate: float = 3e-3
    schedule: str = "cosine"
    loss_weights: dict[str, float] = field(default_factory=dict)
    task_weighting: str = "equal"
    pseudo_loss_weights: dict[str, float] = field(default_factory=dict)
    ema_momentum: float = 0.0
    patience: int = 0
    is_freezing: bool = False
    no_freezing_epoch: int = 0
    bn_statistics: str = "mixed"
    figures_every: int = 10
    seed: int = 0

    def batch_of(self, dataset: str) -> int:
        """Images per step of a dataset that has its own steps."""
        return self.batch_sizes.get(dataset, self.batch_size)

    def is_unfrozen(self, number: int) -> bool:
        """Whether the trunk trains in a round, from 0."""
        return not self.is_freezing or (
            number >= self.epoch - self.no_freezing_epoch
        )

    def is_drawn(self, number: int, turn: int) -> bool:
        """Whether the pseudo labels of a round, from 0, are drawn.

        Those of every `figures_every`-th pass over a dataset are, from the
        first on, and those of the last one.

        Args:
            number: of the round.
            turn: rounds in which every dataset is passed over once.
        """
        is_last = number >= self.epoch - turn
        return is_last or number // turn % self.figures_every == 0


@dataclass(frozen=True)
class RunConfig:
    """What a run is, where it starts and where it is kept.

    script: name of the script, without suffix.
    method: its name in folders and tables.
    arguments: the flags of the command line, for args.json.
    runs: folder of all runs.
    run_dir: folder of this run; None: a new one inside `runs`.
    resume: folder of the run that goes on, or None.
    weights: file of trained weights to start from, or None.
    """

    script: str
    method: str
    arguments: dict = field(default_factory=dict)
    runs: Path = Path("runs")
    run_dir: Path | None = None
    resume: Path | None = None
    weights: Path | None = None


@dataclass(frozen=True)
class Configuration:
    """All of an experiment.

    data: its datasets and their labels.
    network: which network.
    training: how it is trained.
    run: what the run is and where it is kept.
    method: how missing labels are filled in.
    regularisers: of the manifold methods.
    devices: which devices train together.
    """

    data: DataConfig
    network: NetworkConfig = field(
        default_factory=lambda: NetworkConfig("mini_xception")
    )
    training: TrainingConfig = field(default_factory=TrainingConfig)
    run: RunConfig = field(default_factory=lambda: RunConfig("", ""))
    method: Method = field(default_factory=lambda: Method(Kind.NAIVE))
    regularisers: Regularisers = field(default_factory=Regularisers)
    devices: DevicesConfig = field(default_factory=DevicesConfig)

    def fitted(self, datasets: Datasets) -> "Configuration":
        """The same with a batch no larger than the largest training set.

        Raises:
            UserError: the devices cannot share such a batch equally.
        """
        for size in self.training.batch_sizes.values():
            devices.check_batch_size(size)
        if self.training.batch_sizes:
            return self
        largest = max(len(split) for split in datasets.train)
        batch_size = min(self.training.batch_size, largest)
        devices.check_batch_size(batch_size)
        training = replace(self.training, batch_size=batch_size)
        return replace(self, training=training)
