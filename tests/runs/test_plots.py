import cv2
import matplotlib
import numpy as np
import pytest

from samtl.data.tasks import AGE
from samtl.runs import plots


@pytest.fixture
def figures(monkeypatch):
    """The figures that would have been saved."""
    saved = []
    monkeypatch.setattr(plots, "_save", lambda figure, _: saved.append(figure))
    return saved


def texts(figure):
    figure.draw_without_rendering()
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def decoded(path):
    return cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)


@pytest.mark.parametrize("count", [2, 5, 8])
def test_confusion_is_a_readable_image(tmp_path, count):
    path = tmp_path / "confusion.png"
    matrix = np.random.default_rng(0).integers(0, 2000, (count, count))
    plots.confusion(path, matrix, AGE[:count], "age on adience, test")
    assert min(decoded(path).shape[:2]) > 300


def test_confusion_writes_shares_counts_and_recall(figures):
    matrix = [[2, 1, 0], [0, 0, 0], [1, 0, 999]]
    plots.confusion("x.png", matrix, ("a", "b", "c d"), "title")
    found = texts(figures[0])
    shares = ["67%", "2", "33%", "1", "<1%", "1", "100%", "999"]
    recalls = ["recall", "66.7%", "of 3", "-", "of 0", "99.9%", "of 1,000"]
    assert found == shares + recalls
    labels = [
        label.get_text() for label in figures[0].axes[0].get_xticklabels()
    ]
    assert labels == ["a", "b", "c\nd"]


def rows(rounds, datasets, tasks):
    return [
        {
            "round": number,
            "dataset": datasets[number % len(datasets)],
            "loss": 1 / number,
        }
        | {f"validation_{task}_accuracy": number / 10 for task in tasks}
        | {f"validation_{task}_balanced_accuracy": 0.1 for task in tasks}
        for number in range(1, rounds + 1)
    ]


def test_curves_give_every_round_its_datasets_colour(figures):
    plots.curves("x.png", rows(4, ["e", "p"], ["emotion", "pose"]))
    loss, emotion, pose = figures[0].axes
    assert [axes.get_title("left") for axes in (emotion, pose)] == [
        "emotion: validation accuracy",
        "pose: validation accuracy",
    ]
    lines = {line.get_label(): line for line in loss.lines}
    np.testing.assert_array_equal(lines["p"].get_xdata(), [1, 3])
    np.testing.assert_array_equal(lines["e"].get_ydata(), [1 / 2, 1 / 4])
    markers = emotion.collections[0]
    np.testing.assert_allclose(
        markers.get_offsets()[:, 1], [0.1, 0.2, 0.3, 0.4]
    )
    expected = [lines[name].get_color() for name in "pepe"]
    np.testing.assert_allclose(
        markers.get_facecolors(), matplotlib.colors.to_rgba_array(expected)
    )


@pytest.mark.parametrize("count", [1, 4])
def test_curves_of_one_round(tmp_path, count):
    tasks = ["emotion", "pose", "gender", "age"][:count]
    plots.curves(tmp_path / "curves.png", rows(1, ["synthetic"], tasks))
    assert decoded(tmp_path / "curves.png") is not None


def test_contact_sheet_keeps_order_and_colours(tmp_path):
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (9, 9, 9)]
    images = [np.full((64, 64, 3), colour, np.uint8) for colour in colours[:3]]
    images.append(np.full((200, 200, 1), 9, np.uint8))
    path = tmp_path / "sheet.png"
    plots.contact_sheet(path, images, ["left\n0.5"] * 4, columns=3)
    sheet = decoded(path)
    # The second row starts under the first image and its caption.
    half, pitch = 8 + plots.CELL // 2, plots.CELL + plots.CAPTION
    step = plots.CELL + 6
    places = [(0, 0), (0, 1), (0, 2), (1, 0)]
    for colour, (row, column) in zip(colours, places, strict=True):
        found = sheet[half + row * pitch, half + column * step]
        np.testing.assert_array_equal(found, colour)


def test_weight_histogram_counts_every_image(figures):
    weights = np.linspace(0, 1, 101)
    diagnostics = {
        "confidence": weights,
        "weight": weights,
        "selected": weights > 0.8,
    }
    plots.weight_histogram("x.png", diagnostics)
    for axes in figures[0].axes:
        counts = {
            steps.get_label(): steps.get_data().values.sum()
            for steps in axes.patches
        }
        assert counts == {"all (101)": 101, "selected (20)": 20}


def test_weight_histogram_of_equal_weights(tmp_path):
    diagnostics = {"weight": np.ones(5), "selected": np.ones(5, bool)}
    plots.weight_histogram(tmp_path / "histogram.png", diagnostics)
    assert decoded(tmp_path / "histogram.png") is not None


def test_drawing_leaves_the_global_style_alone(tmp_path):
    before = dict(matplotlib.rcParams)
    plots.confusion(tmp_path / "x.png", [[1, 0], [0, 1]], ("a", "b"), "title")
    assert dict(matplotlib.rcParams) == before
