"""Votes of others, merged into a prepared set."""

import json

import numpy as np
import pytest

from data_preparation import annotate
from samtl.common.errors import UserError
from samtl.data import images, tables
from samtl.data.datasets import DataConfig
from samtl.pseudo_labels.labels import true_labels
from tests import tiny

VOTES = """image;score;gender_female;gender_male
folder\\train0.png;1;0.9;0.1
train1;1;0.25;0.75
validation0.png;1;;
elsewhere.png;1;0.5;0.5
"""


@pytest.fixture
def votes(tmp_path):
    tiny.dataset(tmp_path, "faces", ["pose"], (20, 5, 5))
    path = tmp_path / "votes.csv"
    path.write_text(VOTES)
    return path


def _annotate(votes, *words):
    folder = f"--data_dir={votes.parent}"
    annotate.main(["faces", f"--votes={votes}", folder, *words])
    return tables.read("faces", votes.parent)


def test_votes_train_at_their_weight_and_are_not_scored(votes, capsys):
    table = _annotate(
        votes, "--weight=0.25", "--made_by=a net", "--licence=MIT"
    )
    assert "votes of gender on 2 images" in capsys.readouterr().out
    assert list(table.tasks) == ["pose", "gender"]
    assert not table.is_labelled("gender").any()
    split = images.open_splits(table, (16, 16, 1))["train"]
    tasks = [table.tasks["gender"]]
    triples = true_labels(split, tasks, DataConfig({}, ()))[tasks[0]]
    assert triples.weight.tolist() == [0.25, 0.25] + [0] * 18
    np.testing.assert_allclose(triples.target[0], [0.9, 0.1])
    assert triples.labelled.tolist() == [True, True] + [False] * 18
    plain = tables.read("faces", votes.parent, votes=False)
    assert not plain.has_target("gender").any()
    facts = json.loads((votes.parent / "db" / "faces.json").read_text())
    (annotation,) = facts["annotations"]
    assert annotation["made_by"] == "a net"
    assert annotation["licence"] == "MIT"
    assert annotation["images"] == {"gender": 2}


def test_votes_are_no_labels_over_labels(votes):
    votes.write_text(
        "image,pose_left profile,pose_left,pose_frontal,pose_right,"
        "pose_right profile\ntrain0,0,1,0,0,0\n"
    )
    before = (votes.parent / "db" / "faces.csv").read_text()
    table = _annotate(votes)
    assert (votes.parent / "db" / "faces.csv").read_text() == before
    assert "pose_left" not in table.rows


def test_votes_are_replaced_on_demand_only(votes):
    _annotate(votes)
    with pytest.raises(
        UserError, match="votes of gender are there for 2 images of faces"
    ):
        _annotate(votes)
    table = _annotate(votes, "--overwrite", "--weight=1")
    assert table.vote_weights("gender")[:3].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("0.9;0.1", "0.9;0.3", "row 2: the votes of gender are not a distrib"),
        ("gender_male", "gender_m", "has no column gender_male; give"),
        ("image", "picture", "has no column image"),
        (VOTES, "image,gender_female,gender_male\nx.png,0,1\n", "no image of"),
    ],
)
def test_mistakes_are_one_line(votes, old, new, message):
    votes.write_text(VOTES.replace(old, new))
    with pytest.raises(UserError, match=message) as caught:
        _annotate(votes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lfw_5590\\AJ_Cook_0001.jpg", "lfw_5590/AJ_Cook_0001"),
        ("angry_actor_14.jpg 0", "angry_actor_14_0"),
        ("100_0_0_2017.jpg.chip.jpg", "100_0_0_2017"),
        ("FER2013Test/fer0032220.png", "FER2013Test/fer0032220"),
    ],
)
def test_names_of_the_public_lists(name, expected):
    assert annotate.key(name) == expected
