"""The wheel in an environment of its own, and what the demos import."""

import importlib.metadata
import json
import os
import re
import site
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from samtl.faces import inputs
from tests.faces import stand_ins

ROOT = Path(__file__).parent.parent
ANALYZED = """
import json, sys
import samtl, utils
from samtl import analyze

assert utils.OWN
assert not samtl.__file__.startswith(sys.argv[2]), samtl.__file__
(face,) = analyze(sys.argv[1])
heavy = {"keras", "tensorflow", "torch", "jax", "pandas", "matplotlib"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
frame = analyze(sys.argv[1], as_frame=True)
assert frame.loc[0, "emotion"] == face["labels"]["emotion"]["label"]
print(json.dumps([face]))
"""
# With nothing but the standard library and some packages.
ALONE = """
import importlib.abc, runpy, sys

class Absent(importlib.abc.MetaPathFinder):
    names = set(sys.argv.pop(1).split())

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
sys.argv.pop(0)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def call(*words, **options):
    done = subprocess.run(
        list(map(str, words)),
        capture_output=True,
        text=True,
        check=False,
        **options,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The scripts of an environment with the wheel, `sysconfig` paths."""
    folder = tmp_path_factory.mktemp("package")
    pip = sys.executable, "-m", "pip"
    offline = "--no-deps", "--no-index"
    call(*pip, "wheel", *offline, "--no-build-isolation", "-w", folder, ROOT)
    (wheel,) = folder.glob("*.whl")
    base = folder / "env"
    venv.create(base)
    paths = sysconfig.get_paths("venv", vars={"base": base, "platbase": base})
    # The dependencies are this environment's.
    others = Path(paths["purelib"]) / "others.pth"
    others.write_text("\n".join(site.getsitepackages()))
    python = Path(paths["scripts"]) / "python"
    call(*pip, "--python", python, "install", *offline, "--no-compile", wheel)
    return Path(paths["scripts"])


def test_the_wheel_is_a_library_and_a_command(installed, tmp_path):
    (tmp_path / "utils.py").write_text("OWN = True")
    script = tmp_path / "program.py"
    script.write_text(ANALYZED)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    where = {"cwd": tmp_path, "env": environment}
    portrait = inputs.portrait()
    found = call(installed / "python", script, portrait, ROOT, **where)
    (face,) = json.loads(found.stdout)
    assert len(face["landmarks"]) == 5
    shares = face["labels"]["gender"]["probabilities"]
    assert sum(shares.values()) == pytest.approx(1, abs=1e-3)
    call(installed / "samtl", portrait, "--json=found.json", **where)
    (image,) = json.loads((tmp_path / "found.json").read_text())["images"]
    assert image["faces"] == [face]
    assert (tmp_path / image["annotated"]).is_file()


def dependencies(names):
    """Distributions that distributions of these names need, with them."""
    found = set()
    while names:
        name = names.pop()
        if name in found:
            continue
        found.add(name)
        for line in importlib.metadata.requires(name) or ():
            if "extra ==" not in line:
                names.append(re.match(r"[\w.-]+", line)[0])
    return {_normal(name) for name in found}


def _normal(name):
    # Either OpenCV will do.
    name = re.sub(r"[-_.]+", "-", name).lower()
    return name.removesuffix("-headless")


@pytest.mark.parametrize("script", ["final_image_demo", "final_video_demo"])
def test_the_demos_need_their_requirements_only(script, tmp_path):
    listed = (ROOT / "requirements-demo.txt").read_text(encoding="utf-8")
    names = re.findall(r"^[\w-]+", listed, flags=re.MULTILINE)
    owners = importlib.metadata.packages_distributions()
    opencv = set(owners["cv2"])
    names = [name for name in names if "opencv" not in name] + list(opencv)
    allowed = dependencies(names)
    absent = {
        name
        for name, some in owners.items()
        if not allowed & set(map(_normal, some))
    }
    assert {"keras", "tensorflow", "pandas", "sklearn", "jax"} <= absent
    network = stand_ins.network(tmp_path)
    words = [" ".join(absent), ROOT / f"{script}.py", f"--weights={network}"]
    if script == "final_video_demo":
        words.append("--end=0.2")
    where = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(ROOT)}}
    call(sys.executable, "-c", ALONE, *words, **where)
    assert list((tmp_path / "demo_output").iterdir())
