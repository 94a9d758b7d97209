"""Names and numbers without limit: formulas, depths, sizes."""

import argparse
import json

import cv2
import numpy as np
import pytest

from samtl.common import flags
from samtl.comparison import plan
from samtl.data import tables
from samtl.faces.media import video
from samtl.runs import plots
from samtl.training.config import TrainingConfig
from samtl.training.experiment import _total
from tests import tiny
from tests.robustness.trials import REFUSED, attempt, case

DEEP = "[" * 100_000
FORMULA = "$\\foo{$"


@pytest.mark.parametrize("kind", [int, float])
@pytest.mark.parametrize("text", ["9" * 309, "-" + "9" * 309, "9" * 5000])
def test_numbers_of_many_digits(kind, text):
    with case(), pytest.raises(argparse.ArgumentTypeError, match="is not a"):
        flags.Number(kind, 0)(text)


def test_plans_of_any_depth(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text(f"seeds = {DEEP}")
    assert attempt(lambda: plan.read_plan(path)) is REFUSED


@pytest.mark.parametrize("content", [[], "text", 3, None, {}, DEEP])
def test_descriptions_of_a_dataset_that_are_no_object(tmp_path, content):
    tiny.dataset(tmp_path, "toy", ["pose"])
    is_text = content is DEEP
    path = tmp_path / "db" / "toy.json"
    path.write_text(content if is_text else json.dumps(content))
    assert attempt(lambda: tables.read("toy", tmp_path)) is REFUSED


@pytest.mark.parametrize("names", [["a\x1b[2J", "b"], ["\ud800", "b"]])
def test_classes_of_a_dataset_are_printable(tmp_path, names):
    tiny.dataset(tmp_path, "toy", ["gender"])
    path = tmp_path / "db" / "toy.json"
    facts = json.loads(path.read_text())
    facts["tasks"]["gender"] = names
    path.write_text(json.dumps(facts))
    assert attempt(lambda: tables.read("toy", tmp_path)) is REFUSED


def test_names_are_no_formulas(tmp_path):
    grey = np.zeros((4, 8, 8, 1), np.uint8)
    with case():
        plots.confusion(tmp_path / "a.png", np.eye(2), [FORMULA, "b"], FORMULA)
        captions, titles = [FORMULA] * 4, [FORMULA]
        path = tmp_path / "b.png"
        plots.contact_sheet(path, grey, captions, row_titles=titles)
        rows = [{"round": 1, "dataset": FORMULA, "loss": 1.0}]
        plots.curves(tmp_path / "c.png", rows)
    assert len(list(tmp_path.iterdir())) == 3


def test_figures_of_many_classes_are_no_larger(tmp_path):
    names = [f"{'class ' * 99}{index}" for index in range(930)]
    with case():
        plots.confusion(tmp_path / "a.png", np.eye(930, dtype=int), names, "")
    assert max(cv2.imread(str(tmp_path / "a.png")).shape) < 3000


@pytest.mark.parametrize("unfrozen", [0, 1, 7, 10])
def test_any_number_of_rounds(unfrozen):
    steps = [3, 5, 2]
    for epoch in (10, 10**9):
        config = TrainingConfig(
            epoch=epoch, is_freezing=True, no_freezing_epoch=unfrozen
        )
        found = [_total(steps, config, state) for state in (False, True)]
        whole = (epoch // 3) * 10 + sum(steps[: epoch % 3])
        late = [steps[n % 3] for n in range(epoch - unfrozen, epoch)]
        with case():
            assert found == [whole - sum(late), sum(late)]


def test_no_password_with_a_slash_is_shown():
    address = "http://user:pa/ss@word@10.0.0.5/live?key=secret"
    assert video._bare(address) == "http://10.0.0.5/live"
