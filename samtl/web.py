"""Serve the page that labels faces in a browser, to this machine only.

The page runs the demos' networks with onnxruntime-web, whose files are not part
of the repository: --fetch gets them from npm, once.
"""

import functools
import http.server
import re
import shutil
import subprocess
import tarfile
import tempfile
import webbrowser
from pathlib import Path

from samtl.common import files, flags, shipped
from samtl.common.errors import UserError, reason, run_script

PAGE = Path(__file__).resolve().parents[1] / "web"
VENDOR = PAGE / "vendor"
PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
ARCHIVE = f"{PACKAGE}-{VERSION}.tgz"
SHA256 = "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71"
RUNTIME = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
# Windows takes types from its registry, where programs write any.
TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".md": "text/plain; charset=utf-8",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    "": "application/octet-stream",
}
EXAMPLES = """examples:
  python -m samtl.web --fetch
      get onnxruntime-web with npm (33 MB), once
  python -m samtl.web --open
      serve the page and open it in the browser
"""


def parser():
    parser = flags.parser(__doc__, EXAMPLES)
    port = flags.Number(int, 0, 65535)
    flags.add_flag(parser, "port", port, 8000, "port; 0 for any free one")
    parser.add_argument(
        "--open", action="store_true", help="also open the page in the browser"
    )
    parser.add_argument(
        "--fetch",
        nargs="?",
        type=Path,
        const=Path(),
        metavar="FILE",
        help=f"get {PACKAGE} with npm, or from a downloaded {ARCHIVE}",
    )
    return parser


def main(argv=None):
    args = parser().parse_args(argv)
    if args.fetch is not None:
        fetch(args.fetch if args.fetch.name else None)
        print(f"{PACKAGE} {VERSION} is in {VENDOR}")
        return
    with server(args.port) as serving:
        address = f"http://localhost:{serving.server_port}/"
        print(f"{address} (Ctrl-C stops)", flush=True)
        if args.open:
            webbrowser.open(address)
        serving.serve_forever()


def is_complete() -> bool:
    """Whether onnxruntime-web's files are there."""
    return all((VENDOR / name).is_file() for name in RUNTIME)


def server(port: int) -> http.server.ThreadingHTTPServer:
    """A server of the page on localhost.

    Args:
        port: 0 for any free one.

    Raises:
        UserError: the page or onnxruntime-web is missing, or the port is
            taken.
    """
    if not PAGE.is_dir():
        raise UserError(
            "the installed package lacks the page; run this in a clone of the "
            "repository"
        )
    if not is_complete():
        raise UserError(
            f"{VENDOR} lacks {PACKAGE}; get it with: python -m samtl.web "
            "--fetch"
        )
    text = (PAGE / "index.html").read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1]
    handler = functools.partial(_Handler, policy)
    try:
        return http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as error:
        raise UserError(
            f"port {port}: {reason(error)}; --port 0 takes a free one"
        ) from error


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the page, and the networks under weights/."""

    extensions_map = TYPES

    def __init__(self, policy, *args):
        self._policy = policy
        super().__init__(*args, directory=PAGE)

    def translate_path(self, path):
        return (
            super()
            .translate_path(path)
            .replace(str(PAGE / "weights"), str(shipped.WEIGHTS), 1)
        )

    def end_headers(self):
        # Workers obey the header only. Threads of WebAssembly need isolation.
        self.send_header("Content-Security-Policy", self._policy)
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, *_):
        """Requests are not logged."""


def fetch(archive: Path | None = None) -> None:
    """Put onnxruntime-web's files into VENDOR.

    Args:
        archive: its npm package; None: npm downloads it.

    Raises:
        UserError: npm is missing or fails, or the package is another one.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = archive or _download(Path(folder))
        try:
            if files.sha256(path) != SHA256:
                raise UserError(
                    f"{path} is not {ARCHIVE}: its SHA-256 differs; get it "
                    "again"
                )
            with tarfile.open(path) as package:
                for name in RUNTIME:
                    member = package.extractfile(f"package/dist/{name}")
                    with files.write(VENDOR / name) as temporary:
                        temporary.write_bytes(member.read())
        except OSError as error:
            raise UserError(
                f"cannot read {path}: {reason(error)}; get it again"
            ) from error


def _download(folder):
    """The path of the package that npm downloads."""
    npm = shutil.which("npm")
    if npm is None:
        raise UserError(
            f"npm is missing; install Node.js, or download {ARCHIVE} from the "
            "npm registry and give it as --fetch FILE"
        )
    done = subprocess.run(
        [npm, "pack", f"{PACKAGE}@{VERSION}", "--silent"],
        cwd=folder,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    if done.returncode:
        raise UserError(
            f"npm cannot get {PACKAGE} {VERSION}: {reason(done.stderr)}; "
            "check the connection"
        )
    return folder / ARCHIVE


if __name__ == "__main__":
    run_script(main)
