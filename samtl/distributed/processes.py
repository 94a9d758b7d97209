"""The meeting of processes that train together, with JAX."""

import atexit
import os
import socket
import sys
import time

import keras

from samtl.common.errors import UserError, reason

LOST = ("Gloo", "NCCL", "coordination", "heartbeat")  # in JAX's messages
MEETING_SECONDS = 300  # JAX's own limit


def meet(config) -> None:
    """Connect the processes, and let one that fails end the others.

    Args:
        config: `devices.DevicesConfig`.

    Raises:
        UserError: they do not meet.
    """
    import jax

    # It would take SIGTERM for a notice that nobody here reads.
    jax.config.update("jax_enable_preemption_service", False)
    _require_meeting_place(config)
    try:
        keras.distribution.initialize(
            config.coordinator, config.num_processes, config.process_id
        )
    except RuntimeError as error:
        raise _not_met(config, error) from error
    hook = sys.excepthook

    def say(kind, error, trace):
        if not any(word in str(error) for word in LOST):
            hook(kind, error, trace)
            return
        print(
            f"error: process {config.process_id} of {config.num_processes} "
            f"lost another one ({reason(error)}); see what that one printed, "
            "then go on with --resume, with any number of processes",
            file=sys.stderr,
        )

    sys.excepthook = say
    atexit.register(end_at_once)


def _require_meeting_place(config):
    """Refuse an address where JAX would end the process without a cause.

    Raises:
        UserError: process 0 finds the port taken; another finds nobody there
            within MEETING_SECONDS.
    """
    host, _, port = config.coordinator.rpartition(":")
    try:
        if config.process_id == 0:
            socket.create_server(("", int(port))).close()
            print(
                f"process 0 waits at {config.coordinator} for "
                f"{config.num_processes - 1} more, at most {MEETING_SECONDS} "
                "seconds",
                flush=True,
            )
        else:
            _call(host, int(port), time.monotonic() + MEETING_SECONDS)
    except OSError as error:
        raise _not_met(config, error) from error


def _call(host, port, deadline):
    """Wait until somebody listens there; OSError after the deadline."""
    while True:
        try:
            return socket.create_connection((host.strip("[]"), port), 5).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _not_met(config, error):
    return UserError(
        f"process {config.process_id} of {config.num_processes} cannot meet "
        f"the others at {config.coordinator} ({reason(error)}); start "
        "process 0 there, at a free port, and all others within five minutes"
    )


def end_at_once() -> None:
    """End without JAX's own end, which waits for the others for minutes."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(2)
