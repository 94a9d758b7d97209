"""The server of the page, and the files that it gets."""

import io
import shutil
import subprocess
import tarfile
import threading
import urllib.request

import pytest

from samtl import web
from samtl.common.errors import UserError


@pytest.fixture
def vendor(tmp_path, monkeypatch):
    """An empty folder for onnxruntime-web."""
    monkeypatch.setattr(web, "VENDOR", tmp_path / "vendor")
    return tmp_path / "vendor"


def _archive(path, monkeypatch, names=web.RUNTIME):
    """A package whose files hold their names."""
    with tarfile.open(path, "w:gz") as package:
        for name in names:
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(name)
            package.addfile(member, io.BytesIO(name.encode()))
    monkeypatch.setattr(web, "SHA256", web.files.sha256(path))
    return path


@pytest.fixture
def address(vendor, tmp_path, monkeypatch):
    """The address of a served page."""
    web.fetch(_archive(tmp_path / web.ARCHIVE, monkeypatch))
    with web.server(0) as server:
        threading.Thread(target=server.serve_forever, args=[0.01]).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("", "text/html"),
        ("style.css", "text/css"),
        ("page.js", "text/javascript"),
        ("icon.svg", "image/svg+xml"),
        ("weights/four_tasks.json", "application/json"),
        ("weights/four_tasks.onnx", "application/octet-stream"),
        ("weights/MODEL_CARD.md", "text/plain; charset=utf-8"),
    ],
)
def test_files_have_their_types_and_headers(address, path, kind):
    with urllib.request.urlopen(address + path) as answer:
        content, headers = answer.read(), answer.headers
    folder = web.PAGE.parent if path.startswith("weights") else web.PAGE
    assert content == (folder / (path or "index.html")).read_bytes()
    assert headers["Content-Type"] == kind
    assert "connect-src 'self'" in headers["Content-Security-Policy"]
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"


@pytest.mark.parametrize("path", ["../README.md", "weights/../samtl/web.py"])
def test_other_files_are_not_served(address, path):
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(address + path)


def test_the_offline_copy_has_all_files():
    """What the page loads is in the list of offline.js."""
    text = (web.PAGE / "offline.js").read_text(encoding="utf-8")
    names = {path.name for path in web.PAGE.iterdir() if path.is_file()}
    for name in names - {"index.html", "offline.js"}:
        assert f'"{name}"' in text
    for name in web.RUNTIME:
        assert f'"vendor/{name}"' in text


def test_missing_files_are_named(vendor):
    with pytest.raises(UserError, match=r"python -m samtl\.web --fetch"):
        web.server(0)


def test_port_in_use_is_named(address):
    port = int(address.split(":")[-1].strip("/"))
    with pytest.raises(UserError, match=f"port {port}.*--port 0"):
        web.server(port)


def test_another_package_is_refused(vendor, tmp_path, monkeypatch):
    path = _archive(tmp_path / web.ARCHIVE, monkeypatch)
    path.write_bytes(path.read_bytes() + b"0")
    with pytest.raises(UserError, match="SHA-256 differs"):
        web.main(["--fetch", str(path)])
    assert not vendor.exists()


def test_missing_npm_is_named(vendor, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(UserError, match="install Node"):
        web.main(["--fetch"])


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node.js")
def test_scripts_are_javascript():
    parse = """for (const path of process.argv.slice(1))
      new (require("vm").SourceTextModule)(
        require("fs").readFileSync(path, "utf8"), {identifier: path})"""
    words = ["node", "--experimental-vm-modules", "-e", parse]
    subprocess.run([*words, *web.PAGE.glob("*.js")], check=True)
