"""Worker processes, which train one run after the other.

A worker lives on between runs, as TensorFlow takes 5 to 12 s to load. Its death
(SIGKILL, out of memory) ends the run that it trained and nothing else; the next
run starts it anew. It ends by itself when its parent does.

    python -m samtl.comparison.worker DESCRIPTOR

is the worker's side: it reads (run, out, data_dir) from this end of a pipe, and
answers with the run's error.
"""

import contextlib
import importlib
import os
import queue
import signal
import subprocess
import sys
import threading
import traceback
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

from samtl.common import files, locks
from samtl.common.errors import UserError
from samtl.comparison import states
from samtl.comparison.plan import Run
from samtl.runs import run_folder

DIED = "its process died, perhaps out of memory"
THREADS = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
    *("BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS"),
)
TENSORFLOW_THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
# Workers that share a GPU must not take all of its memory.
SHARED_GPU = {
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}


class Worker:
    """The parent's side of a worker process.

    Args:
        threads: number of threads of its numerical libraries, for a worker that
            shares the machine; None leaves the machine to it.
    """

    def __init__(self, threads: int | None = None):
        self.threads = threads
        self.process = self.connection = None

    def start(self, run: Run, out: Path, data_dir: Path) -> None:
        """Hand a run to the process, which is started where there is none.

        Args:
            run: to train, or to resume.
            out, data_dir: see `states.state`.
        """
        if self.process is None or self.process.poll() is not None:
            self.close()
            self._launch()
        with contextlib.suppress(OSError):  # just died; `error` reports it
            self.connection.send((run, out, data_dir))

    def error(self) -> str | None:
        """Wait until the run has ended; its error in one line, or None."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            self.close()
            return DIED

    def fileno(self) -> int:
        """Descriptor that is readable as soon as the run has ended."""
        return self.connection.fileno()

    def close(self) -> None:
        """End the process, whatever it does: a run survives being killed."""
        if self.process:
            self.connection.close()
            self.process.kill()
            self.process.wait()
        self.process = None

    def _launch(self):
        self.connection, end = Pipe()
        module = [sys.executable, "-m", "samtl.comparison.worker"]
        with end:
            self.process = subprocess.Popen(
                [*module, str(end.fileno())],
                stdin=subprocess.DEVNULL,
                env=_environment(self.threads),
                pass_fds=[end.fileno()],
            )


def _environment(threads):
    """This process's environment, its import path, and numbers of threads."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    if threads:
        count = str(threads)
        environment |= dict.fromkeys(THREADS, count)
        defaults = {**dict.fromkeys(TENSORFLOW_THREADS, count), **SHARED_GPU}
        environment = {**defaults, **environment}
    return environment


def serve(connection: Connection) -> None:
    """Train the runs that the parent sends, until it closes the pipe."""
    # Ctrl-C reaches all processes of a terminal; the parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests = queue.SimpleQueue()
    reader = threading.Thread(
        target=_receive, args=(connection, requests), daemon=True
    )
    reader.start()
    while True:
        connection.send(_train(*requests.get()))


def _receive(connection, requests):
    """Receive requests also during a run: the pipe ends with the parent."""
    try:
        while True:
            requests.put(connection.recv())
    finally:
        os._exit(1)


def _train(run, out, data_dir):
    """Train a run, or the rest of it; returns its error, or None."""
    try:
        with _log(out / run.folder):
            if states.state(run, out, data_dir) != states.DONE:
                _call_script(run, out, data_dir)
    # Training can fail in any way; the other runs go on.
    except Exception as error:
        return _one_line(error)
    return None


@contextlib.contextmanager
def _log(folder):
    """Redirect all output to the run's log, and lock the run."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = folder.with_name(f"{folder.name}.log")
    with (
        path.open("a", encoding="utf-8") as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        # Libraries in C write past sys.stdout and sys.stderr.
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
        # Another worker, which was given up or whose comparison was killed,
        # may still train this run: wait for it.
        with locks.held(folder.with_name(f".{folder.name}.lock"), None):
            try:
                yield
            except Exception:
                traceback.print_exc()
                raise


def _call_script(run, out, data_dir):
    argv = states.command(run, out, data_dir)
    # A run that was killed while it wrote its arguments left half a file.
    files.sweep(out / run.folder)
    before, sys.argv = sys.argv, [f"{run.script}.py", *argv]
    _forget_peak_memory()
    try:
        importlib.import_module(run.script).main(argv)
    finally:
        sys.argv = before
        # A failed run may be resumed by another process.
        run_folder.release(out / run.folder)
        if "keras" in sys.modules:
            # Without it, every run would leave its graphs to the next.
            sys.modules["keras"].utils.clear_session()


def _forget_peak_memory():
    """Let the peak that a run reports be its own, where the system can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def _one_line(error):
    line = next(iter(str(error).strip().splitlines()), "")
    is_plain = isinstance(error, UserError)
    return line if is_plain else f"{type(error).__name__}: {line}"


if __name__ == "__main__":
    descriptor = int(sys.argv[1])
    os.set_inheritable(descriptor, False)
    serve(Connection(descriptor))
