"""Does the page label faces as Python does?

    python -m benchmarks.web photos/

Labels photos with both, in a headless Chromium, and prints how many faces the
two find and how far their probabilities differ. Needs web/vendor/ (see
`python -m samtl.web --help`), playwright and a Chromium on the path.
"""

import argparse
import contextlib
import shutil
import threading
import time
from dataclasses import dataclass

import numpy as np

from samtl import web
from samtl.common.errors import run_script
from samtl.faces import detect, inputs
from samtl.inference import loading

SURE = 0.6  # probability from which the best labels have to be the same
TIMEOUT = 600_000  # ms
# The faces of the page's results, in the order of the photos.
READ = """() => [...document.querySelectorAll("#photos article")].map(
  (article) => [...article.querySelectorAll(".face")].map((face) => ({
    box: ["x", "y", "width", "height"].map((side) => Number(article
      .querySelector(`g[data-face="${face.dataset.face}"] rect`)
      .getAttribute(side))),
    labels: Object.fromEntries(
      [...face.querySelectorAll("details")].map((task) => [
        task.dataset.task,
        [...task.querySelectorAll("li data")].map((d) => Number(d.value)),
      ])),
  })))"""


def chromium() -> str | None:
    """The path of a Chromium, None without one."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


@contextlib.contextmanager
def browser(*flags):
    """A Playwright browser context, and the address of the served page."""
    # Imported here, so that --help needs no playwright.
    from playwright.sync_api import sync_playwright

    with (
        web.server(0) as server,
        sync_playwright() as playwright,
        playwright.chromium.launch(
            executable_path=chromium(), args=flags
        ) as opened,
    ):
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield opened, f"http://localhost:{server.server_port}/"
        server.shutdown()


def of_page(page, paths) -> list[list[dict]]:
    """For each photo its faces, {"box", "labels": {task: probabilities}}.

    Args:
        page: Playwright's, with the page loaded and without results.
        paths: of the photos.
    """
    page.locator("#files").set_input_files(paths)
    page.locator("article:not([aria-busy])").nth(len(paths) - 1).wait_for(
        timeout=TIMEOUT
    )
    found = page.evaluate(READ)
    for face in (face for faces in found for face in faces):
        x, y, width, height = face["box"]
        face["box"] = (x, y, x + width, y + height)
        face["labels"] = {
            task: np.array(values) for task, values in face["labels"].items()
        }
    return found


def of_python(paths) -> list[list[dict]]:
    """The same of the image demo's functions."""
    predictor = loading.load()
    detector = detect.open(megapixels=detect.MEGAPIXELS)
    found = []
    for path in paths:
        pixels = inputs.read(path).pixels
        faces = detector(pixels)
        crops = [predictor.crop(pixels, face) for face in faces]
        rows = predictor.probabilities(crops)
        found.append(
            [
                {
                    "box": face.box,
                    "labels": {task: rows[task][i] for task in rows},
                }
                for i, face in enumerate(faces)
            ]
        )
    return found


@dataclass(frozen=True)
class Agreement:
    """Of the page with Python.

    Attributes:
        faces: pairs of the same face.
        alone: faces that only one of the two found.
        sure: labels of these pairs, Python above SURE.
        same: of these, the share with the same best class.
        differences: float [N], the largest difference of the probabilities
            of each label, sure or not.
    """

    faces: int
    alone: int
    sure: int
    same: float
    differences: np.ndarray


def agreement(page: list[list[dict]], python: list[list[dict]]) -> Agreement:
    """Compare the faces of `of_page` and `of_python`."""
    pairs, alone = [], 0
    for one, other in zip(page, python, strict=True):
        free = list(one)
        for face in other:
            same = [f for f in free if _overlap(f["box"], face["box"]) > 0.5]
            if same:
                free.remove(same[0])
                pairs.append((same[0], face))
            else:
                alone += 1
        alone += len(free)
    rows = [
        (mine["labels"][task], truth)
        for mine, other in pairs
        for task, truth in other["labels"].items()
    ]
    sure = [(mine, truth) for mine, truth in rows if truth.max() > SURE]
    same = [mine.argmax() == truth.argmax() for mine, truth in sure]
    differences = [np.abs(mine - truth).max() for mine, truth in rows]
    share = float(np.mean(same)) if same else 1.0
    return Agreement(len(pairs), alone, len(sure), share, np.array(differences))


def _overlap(one, other):
    """Intersection over union."""
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    both = np.prod(np.maximum(high - low, 0))
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (one, other)]
    return both / (sum(areas) - both)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("photos", nargs="*", help="files, folders, patterns")
    words = parser.parse_args().photos
    paths = inputs.find(words) if words else [inputs.portrait()]
    with browser() as (opened, address):
        page = opened.new_page()
        page.goto(address)
        start = time.monotonic()
        found = of_page(page, paths)
        seconds = (time.monotonic() - start) / len(paths)
    result = agreement(found, of_python(paths))
    worst = np.sort(result.differences)[::-1]
    print(
        f"{len(paths)} photos, {seconds:.2f} s each in the browser\n"
        f"{result.faces} faces found by both, {result.alone} by one only\n"
        f"{result.sure} labels of more than {SURE:.0%}: {result.same:.2%} the "
        f"same\n{len(worst)} labels: {np.mean(worst <= 0.03):.2%} within 0.03, "
        f"mean {worst.mean():.5f}, largest {worst[:5].round(3)}"
    )


if __name__ == "__main__":
    run_script(main)
