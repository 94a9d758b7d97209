"""One training on several devices, and in several processes (--distribute).

Every batch is shared out: a process reads its share of the images, the devices
compute on equal parts of it, and sums over the batch (losses, gradients, the
statistics of batch normalisation) are those of the whole batch. The triples
and the outputs of the network on a batch are whole everywhere, so that all
processes compute the same losses, scores and decisions. The main process
writes files and prints.

JAX (`keras.distribution`) knows arrays that are spread over devices and
processes, and compiles one program for all. TensorFlow runs the network once a
device (MirroredStrategy).

Without --distribute nothing here does anything.
"""

import atexit
import contextlib
import functools
import os
import sys
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from samtl.common.errors import UserError
from samtl.distributed import processes

PATH_BYTES = 4096  # longest path of Linux


@dataclass(frozen=True)
class DevicesConfig:
    """Which devices train together.

    distribute: "none", or "auto" for all devices of this machine and of the
        other processes'.
    coordinator: HOST:PORT where the processes meet, or None.
    num_processes: >= 1, processes that train together.
    process_id: number of this process, from 0.
    """

    distribute: str = "none"
    coordinator: str | None = None
    num_processes: int = 1
    process_id: int = 0


def distribute(config: DevicesConfig) -> None:
    """Share the training out, before anything is computed.

    Raises:
        UserError: the backend cannot do this, or the processes do not meet.
    """
    release()  # what a failed run in this process has left
    if config.distribute == "none":
        return
    backend = keras.backend.backend()
    if backend == "torch":
        raise UserError(
            "--distribute=auto knows no torch; set KERAS_BACKEND=jax"
        )
    if config.coordinator and backend != "jax":
        raise UserError(
            f"several processes (--coordinator={config.coordinator}) need JAX, "
            "not TensorFlow; set KERAS_BACKEND=jax for all of them"
        )
    if config.coordinator:
        processes.meet(config)
    names = keras.distribution.list_devices()
    if len(names) > 1 and backend == "jax":
        keras.distribution.set_distribution(
            keras.distribution.DataParallel(auto_shard_dataset=False)
        )
    elif len(names) > 1:
        _tf().experimental_set_strategy(_mirrored(tuple(names)))
    if is_main_process():
        print(f"devices: {len(names)} ({', '.join(names)})")
    else:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def release():
    """Share nothing any more; returns whether this is the main process.

    Training is over: the others end, and the main process goes on by itself.
    """
    was_main_process = is_main_process()
    atexit.unregister(processes.end_at_once)
    keras.distribution.set_distribution(None)
    if _strategy():
        _tf().experimental_set_strategy(None)
    return was_main_process


def count():
    """Number of devices that share a batch."""
    if distribution := keras.distribution.distribution():
        return distribution.num_model_replicas
    return replicas()


def replicas():
    """How often TensorFlow runs the network side by side; 1 with JAX."""
    strategy = _strategy()
    return strategy.num_replicas_in_sync if strategy else 1


def check_batch_size(batch_size):
    """Refuse a batch that cannot be shared out equally.

    Raises:
        UserError: it cannot.
    """
    if rest := batch_size % count():
        lower = batch_size - rest
        choices = " or ".join(str(n) for n in (lower, lower + count()) if n)
        raise UserError(
            f"{count()} devices cannot share a batch of {batch_size} images "
            f"equally; choose --batch_size={choices}"
        )


def shard(places):
    """Which of a batch's places this process reads: a slice.

    All of them where the devices cannot share them equally.
    """
    process, processes = _process()
    if places % count():
        return slice(0, places)
    share = places // processes
    return slice(process * share, (process + 1) * share)


def one_array(images, places):
    """The whole batch of `places` as one array over all devices (JAX).

    Args:
        images: array [n, ...], the images that `shard(places)` names.
        places: images of the whole batch.

    Returns:
        array [places, ...]; unchanged with TensorFlow, or where nothing is
        shared.
    """
    distribution = keras.distribution.distribution()
    if distribution is None or places % count():
        return images
    import jax

    layout = distribution.get_data_layout(images.shape).backend_layout
    return jax.make_array_from_process_local_data(layout, images)


def prediction_batch(images, places):
    """A batch as `predict_on_batch` takes it; see `one_array`."""
    if replicas() > 1:
        return _per_replica(images)
    return one_array(images, places)


def training_batch(inputs, triples):
    """A batch as a training step takes it.

    Args:
        inputs: {name: array [n, ...]}, the places that `own` names.
        triples: of the whole batch, see `batches.Batches`.
    """
    if keras.distribution.distribution():
        places = len(next(iter(triples.values()))["weight"])

        def lay(values):
            return one_array(values, places)

        mine = shard(places)
        triples = keras.tree.map_structure(lambda v: v[mine], triples)
        return keras.tree.map_structure(lay, (inputs, triples))
    # Torch's train_on_batch takes no NumPy arrays.
    lay = _per_replica if replicas() > 1 else ops.convert_to_tensor
    return (
        keras.tree.map_structure(lay, inputs),
        keras.tree.map_structure(ops.convert_to_tensor, triples),
    )


def gather_outputs(outputs):
    """Outputs on a device's part of a batch -> those on the whole batch.

    For use inside a step; with it, a loss needs to know nothing of devices.
    """
    if distribution := keras.distribution.distribution():
        mesh = distribution.device_mesh

        def whole(tensor):
            axes = [None] * len(tensor.shape)
            layout = keras.distribution.TensorLayout(axes, mesh)
            return keras.distribution.distribute_tensor(tensor, layout)

        return keras.tree.map_structure(whole, outputs)
    replica = _tf().get_replica_context() if _strategy() else None
    if replica is None:  # also where TensorFlow only asks for shapes
        return outputs

    def joined(tensor):
        count, *shape = tensor.shape
        count = count * replicas() if count else -1
        tensor = replica.all_gather(tensor, axis=0)
        return ops.reshape(tensor, (count, *shape))  # which is forgotten

    return keras.tree.map_structure(joined, outputs)


def with_gathered_outputs(network):
    """A network whose outputs are gathered; it shares the variables."""
    if count() == 1:
        return network
    outputs = keras.tree.map_structure(
        lambda tensor: _Gathered()(tensor), network.output
    )
    return keras.Model(network.input, outputs)


class _Gathered(keras.layers.Layer):
    def call(self, tensor):
        return gather_outputs(tensor)


def is_main_process():
    """Whether this process writes files and prints."""
    return _process()[0] == 0


def split_between_processes(items):
    """This process's part of a sequence of pieces of work."""
    process, processes = _process()
    return items[process::processes]


def gather(array):
    """The arrays that the processes hold, of one shape: [processes, ...]."""
    if _process()[1] == 1:
        return np.asarray(array)[None]
    return _multihost().process_allgather(np.asarray(array))


def broadcast(text):
    """The main process's text, in every process; up to PATH_BYTES long."""
    if _process()[1] == 1:
        return text
    data = np.zeros(PATH_BYTES, "uint8")
    encoded = text.encode()
    data[: len(encoded)] = np.frombuffer(encoded, "uint8")
    found = _multihost().broadcast_one_to_all(data)
    return np.asarray(found).tobytes().rstrip(b"\0").decode()


def wait_for_everyone():
    """Go on when all processes are here."""
    if _process()[1] > 1:
        _multihost().sync_global_devices("wait")


@contextlib.contextmanager
def main_process_first():
    """The main process does it, then the others, who may find it done."""
    if not is_main_process():
        wait_for_everyone()
    yield
    if is_main_process():
        wait_for_everyone()


@contextlib.contextmanager
def full_precision():
    """Matrix products of float32 that are computed within keep its 24 bits.

    NVIDIA's GPUs since Ampere would round the factors to 11 (TF32), by default
    with TensorFlow and JAX, not with Torch. Keras has no interface to this.
    TensorFlow asks when it computes, not when it compiles: no use in a step.
    """
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        with jax.default_matmul_precision("highest"):
            yield
    elif backend == "tensorflow":
        import tensorflow as tf

        before = tf.config.experimental.tensor_float_32_execution_enabled()
        tf.config.experimental.enable_tensor_float_32_execution(False)
        try:
            yield
        finally:
            tf.config.experimental.enable_tensor_float_32_execution(before)
    else:
        yield


def _process():
    """(number of this process, number of all)."""
    distribution = keras.distribution.distribution()
    if distribution is None:
        return 0, 1
    return distribution.data_shard_id, distribution.num_processes


def _tf():
    """tf.distribute.

    The house imports no TensorFlow, so that every backend runs the same code.
    Keras has no interface to MirroredStrategy: this is the exception, and only
    with the TensorFlow backend, where it is loaded anyway.
    """
    import tensorflow as tf

    return tf.distribute


def _strategy():
    """TensorFlow's strategy where one is in use, else None."""
    if keras.backend.backend() != "tensorflow" or not _tf().has_strategy():
        return None
    return _tf().get_strategy()


@functools.cache
def _mirrored(names):
    # One a process: a second would number its sums as the first did.
    return _tf().MirroredStrategy(names)


def _per_replica(array):
    """[B, ...] -> one equal part a device, as TensorFlow's values."""
    parts = np.split(array, replicas())
    return _strategy().experimental_distribute_values_from_function(
        lambda place: ops.convert_to_tensor(
            parts[place.replica_id_in_sync_group]
        )
    )


def _multihost():
    from jax.experimental import multihost_utils

    return multihost_utils
