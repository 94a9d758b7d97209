"""Work for the machines of a Dask cluster (--scheduler).

Dask is used directly: joblib's backend for it waits forever for a call that has
lost too many workers. Dask is loaded only where a scheduler is given.
"""

import argparse
import contextlib
import itertools
import logging
import uuid
from collections.abc import Callable, Iterable, Iterator

from samtl.common import flags
from samtl.common.errors import UserError, reason

CONNECT_SECONDS = 10
LOOK_SECONDS = 2.0  # how soon workers that have joined get work


def add_flag(parser: argparse.ArgumentParser, what: str) -> None:
    """Declare --scheduler, the argument of `connect`; `what` is sent there."""
    text = (
        f"send {what} to a Dask cluster; all its machines see this folder, "
        "the data and the results (default: this machine)"
    )
    flags.add_flag(parser, "scheduler", _address, None, text)


def _address(text):
    scheme, _, rest = text.partition("://")
    if scheme in ("tcp", "tls") and flags.is_address(rest):
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is not tcp://HOST:PORT")


_address.metavar = "tcp://HOST:PORT"


@contextlib.contextmanager
def connect(address: str | None) -> Iterator:
    """The client of a Dask scheduler, while the context lasts.

    Args:
        address: value of --scheduler; with None, the client is None.

    Raises:
        UserError: Dask is not installed, or the scheduler does not answer.
    """
    if address is None:
        yield None
        return
    try:
        import distributed
    except ImportError as error:
        raise UserError(
            "--scheduler needs Dask; pip install -r requirements-cluster.txt"
        ) from error
    try:
        client = distributed.Client(address, timeout=CONNECT_SECONDS)
    except TypeError as error:
        if not address.startswith("tls"):
            raise
        raise UserError(
            f"--scheduler={address} needs certificates in Dask's "
            f"configuration, see docs/cluster.md ({reason(error)})"
        ) from error
    # Dask raises ValueError for odd addresses. It reads the answer of another
    # service as the length of a message, which can raise MemoryError.
    except (OSError, ValueError, MemoryError) as error:
        raise UserError(
            f"no Dask scheduler answers at --scheduler={address} within "
            f"{CONNECT_SECONDS} seconds; start one with "
            "`python -m dask scheduler`, or give the address that it prints"
        ) from error
    # Errors are raised, in one line.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    with client:
        if not client.nthreads():
            print(
                f"no worker is at {address} yet; waiting for "
                f"`python -m dask worker {address}`",
                flush=True,
            )
        yield client


def results(
    client,
    function: Callable,
    tasks: Iterable[tuple],
    at_a_time: Callable[[dict], int],
) -> Iterator[tuple]:
    """Call a function in the workers.

    Where a worker is lost, its calls are made again elsewhere. A call that has
    lost too many workers (Dask's `distributed.scheduler.allowed-failures`) ends
    with an error.

    Args:
        client: of `connect`.
        function: of this repository, as the workers import it.
        tasks: iterable of tuples of arguments, read when there is room.
        at_a_time: gives the calls to have under way, from {worker: its
            number of threads}.

    Yields:
        (task, result, exception or None) as the calls end.

    Raises:
        UserError: the scheduler is lost.
    """
    from distributed import CancelledError
    from distributed.protocol.pickle import dumps, loads

    tasks, under_way = iter(tasks), {}
    try:
        while True:
            room = max(1, at_a_time(client.nthreads())) - len(under_way)
            for task in itertools.islice(tasks, max(0, room)):
                call = dumps(_Call(function, task))
                key = f"{function.__name__.strip('_')}-{uuid.uuid4().hex}"
                under_way[client.submit(loads, call, key=key)] = task
            if not under_way:
                return
            for future in _ended(under_way):
                yield under_way.pop(future), *_outcome(future)
    except (CancelledError, OSError) as error:
        raise UserError(
            f"the Dask scheduler {client.scheduler.address} is lost; start it "
            "and its workers again: the same command goes on from here"
        ) from error


class _Call:
    """A call that happens where it is unpickled.

    The scheduler, which may not have this repository, gets bytes only.
    """

    def __init__(self, function, arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def _ended(futures):
    from distributed import TimeoutError, wait

    with contextlib.suppress(TimeoutError):
        wait(list(futures), LOOK_SECONDS, "FIRST_COMPLETED")
    return [future for future in futures if future.done()]


def _outcome(future):
    from distributed import CancelledError

    try:
        return future.result(), None
    except CancelledError:
        raise
    # A call can fail in any way; who asked for it decides.
    except Exception as error:
        return None, error


def explain(error: Exception) -> str:
    """The exception of `results` in one line."""
    from distributed import KilledWorker

    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, KilledWorker):
        return (
            f"{error.allowed_failures + 1} workers died of it, perhaps out of "
            "memory"
        )
    line = next(iter(str(error).strip().splitlines()), "")
    text = f"{type(error).__name__}: {line}"
    if isinstance(error, ImportError):
        return (
            f"{text}; start the workers in this repository's folder, with "
            "the same packages"
        )
    return text
