"""Compiled readers that a damaged file makes crash or run forever."""

import multiprocessing


def call(function, *arguments, seconds):
    """`function(*arguments)`, in a process of its own.

    Args:
        function, arguments, and what comes back: picklable.
        seconds: the longest it may take.

    Raises:
        ChildProcessError: it crashed or took longer.
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
        if not answer.poll(seconds):
            raise ChildProcessError(f"reading it takes more than {seconds} s")
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


def _answer(end, function, arguments):
    try:
        end.send((function(*arguments), None))
    # Whatever it is, it belongs to the process that asked.
    except Exception as error:
        end.send((None, error))
