"""Compiled readers that a damaged file makes crash, grow or run forever."""

import contextlib
import multiprocessing
import time

import psutil

LOOK_SECONDS = 0.02  # how often the memory of a child is checked


def call(function, *arguments, seconds, memory=None):
    """`function(*arguments)`, in a process of its own.

    Args:
        function, arguments, and what comes back: picklable.
        seconds: the longest it may take.
        memory: the most bytes that the process may have in memory, including
            Python and its modules; None: any number.

    Raises:
        ChildProcessError: it crashed, took longer or more memory.
        Exception: what the function raises.
    """
    context = multiprocessing.get_context("spawn")
    answer, end = context.Pipe(duplex=False)
    process = context.Process(
        target=_answer, args=(end, function, arguments), daemon=True
    )
    process.start()
    end.close()
    try:
        _wait(answer, process, seconds, memory)
        result, error = answer.recv()
    except EOFError as crash:
        raise ChildProcessError("reading it makes the reader crash") from crash
    finally:
        process.kill()
        process.join()
        answer.close()
    if error:
        raise error
    return result


def _wait(answer, process, seconds, memory):
    """Wait for an answer, as long as the process keeps to its limits."""
    end = time.monotonic() + seconds
    while not answer.poll(LOOK_SECONDS if memory else seconds):
        if time.monotonic() >= end:
            raise ChildProcessError(f"reading it takes more than {seconds} s")
        if memory and _resident(process.pid) > memory:
            raise ChildProcessError(
                f"reading it takes more than {memory / 2**20:,.0f} MiB"
            )


def _resident(pid):
    """Bytes of a process in memory; 0 once it has ended."""
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).memory_info().rss
    return 0


def _answer(end, function, arguments):
    try:
        end.send((function(*arguments), None))
    # Whatever it is, it belongs to the process that asked.
    except Exception as error:
        end.send((None, error))
