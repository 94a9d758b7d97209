"""Loading weights: what fits, what stays fresh, what is refused."""

import hashlib
import pickle

import h5py
import keras
import numpy as np
import pytest

from samtl import networks
from samtl.common.errors import UserError
from samtl.data.tasks import AGE, EMOTION_7, EMOTION_8, POSE, Task
from samtl.networks import vggface, weights

EMOTION, POSE = Task("emotion", EMOTION_7), Task("pose", POSE)
AGE = Task("age", AGE)


def build(*tasks, **options):
    return networks.build("mini_xception", tasks, **options)


def snapshot(network):
    return {
        layer.name: layer.get_weights()
        for layer in network.layers
        if layer.weights
    }


def changed(before, after):
    """Names of the layers whose weights differ."""
    return {
        name
        for name, values in before.items()
        if any(
            not np.array_equal(one, other)
            for one, other in zip(values, after[name], strict=True)
        )
    }


def noisy(network):
    """Give every weight a value that no initialiser makes."""
    rng = np.random.default_rng(5)
    network.set_weights(
        [rng.uniform(1, 2, w.shape) for w in network.get_weights()]
    )
    return network


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5", ".h5"])
@pytest.mark.filterwarnings("ignore")
def test_own_file_of_other_tasks(tmp_path, suffix):
    source = noisy(build(EMOTION, POSE, cross_stitch=True))
    path = tmp_path / f"best{suffix}"
    if suffix == ".weights.h5":
        source.save_weights(path)
    else:
        source.save(path)
    network = build(POSE, AGE, cross_stitch=True)
    before = snapshot(network)
    summary = networks.load_weights(network, path)
    after = snapshot(network)
    assert summary.endswith("starts fresh: task_age, cross_stitch, head_age"), (
        summary
    )
    assert "\n" not in summary
    for name, values in after.items():
        if name.startswith(("task_age", "head_age", "cross_stitch")):
            expected = before[name]
        else:
            expected = source.get_layer(name).get_weights()
        for one, other in zip(values, expected, strict=True):
            np.testing.assert_array_equal(one, other)


def test_head_with_another_number_of_classes_stays_fresh(tmp_path):
    path = tmp_path / "best.keras"
    noisy(build(Task("emotion", EMOTION_8))).save(path)
    network = build(EMOTION)
    before = snapshot(network)
    summary = networks.load_weights(network, path)
    assert summary.endswith("starts fresh: head_emotion")
    after = snapshot(network)
    assert changed(before, after) == set(after) - {"head_emotion"}


def write_vggface(path):
    """keras-vggface's no-top layout by hand: top-level names, no classes."""
    rng = np.random.default_rng(0)
    arrays, channels = {}, 3
    for block, (filters, depth) in vggface.FILTERS.items():
        for number in range(1, depth + 1):
            arrays[f"conv{block}_{number}"] = (
                rng.normal(size=(3, 3, channels, filters)).astype("float32"),
                rng.normal(size=filters).astype("float32"),
            )
            channels = filters
        arrays[f"pool{block}"] = ()
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in arrays]
        for name, (*values,) in arrays.items():
            home = file.create_group(name)
            weight_names = [f"{name}/kernel:0", f"{name}/bias:0"]
            weight_names = weight_names[: len(values)]
            home.attrs["weight_names"] = [n.encode() for n in weight_names]
            for weight, value in zip(weight_names, values, strict=True):
                home.create_dataset(weight, data=value)
    return arrays


@pytest.fixture
def small_vggface(monkeypatch):
    monkeypatch.setattr(
        vggface,
        "FILTERS",
        {b: (f // 16, n) for b, (f, n) in vggface.FILTERS.items()},
    )
    return networks.build("vggface", [EMOTION])


def test_pretrained_vggface(tmp_path, monkeypatch, capsys, small_vggface):
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    summary = networks.pretrained(small_vggface, "vggface", None)
    assert "from scratch" in summary
    warning = capsys.readouterr().err
    assert warning.count("warning:") == warning.count("\n") == 1
    assert weights.VGGFACE_URL in warning

    arrays = write_vggface(tmp_path / weights.VGGFACE_FILE)
    summary = networks.pretrained(small_vggface, "vggface", None)
    assert summary.startswith("weights: 13 layers from ")
    assert summary.endswith(
        "starts fresh: shared_dense, task_emotion, head_emotion"
    )
    assert capsys.readouterr().err == ""
    for name, values in arrays.items():
        got = small_vggface.get_layer(name).get_weights()
        for one, other in zip(got, values, strict=True):
            np.testing.assert_array_equal(one, other)


def test_digest_beside_the_file_is_checked(tmp_path, small_vggface):
    path = tmp_path / weights.VGGFACE_FILE
    write_vggface(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    beside = tmp_path / f"{path.name}.sha256"
    beside.write_text(f"{digest}  {path.name}\n")
    assert digest[:12] in networks.load_weights(small_vggface, path)
    beside.write_text(f"{'0' * 64}  {path.name}\n")
    with pytest.raises(UserError, match="download the file again"):
        networks.load_weights(small_vggface, path)


def test_nothing_to_load_for_mini_xception(capsys):
    summary = networks.pretrained(build(EMOTION), "mini_xception", None)
    assert "from scratch" in summary
    assert capsys.readouterr().err == ""


def truncated(path, source):
    source.save(path)
    path.write_bytes(path.read_bytes()[:-5000])


def truncated_h5(path, source):
    source.save_weights(path.with_name("x.weights.h5"))
    data = path.with_name("x.weights.h5").read_bytes()
    path.write_bytes(data[: len(data) // 2])


def pickled(path, source):
    path.write_bytes(pickle.dumps({"conv1": np.zeros(3)}))


def text(path, source):
    path.write_text("<html>404</html>")


def empty(path, source):
    path.write_bytes(b"")


def other_model(path, source):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.save(path)


def other_h5(path, source):
    with h5py.File(path.with_name("x.h5"), "w") as file:
        file["images"] = np.zeros(3)
    path.with_name("x.h5").replace(path)


def infinite(path, source):
    noisy(source)
    kernel, *rest = source.get_layer("head_emotion").get_weights()
    kernel[0, 0, 0, 0] = np.nan
    source.get_layer("head_emotion").set_weights([kernel, *rest])
    source.save(path)


@pytest.mark.parametrize(
    "make",
    [
        truncated,
        truncated_h5,
        pickled,
        text,
        empty,
        other_model,
        other_h5,
        infinite,
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path, make):
    path = tmp_path / "bad.keras"
    make(path, build(EMOTION))
    network = build(EMOTION)
    before = snapshot(network)
    with pytest.raises(UserError) as caught:
        networks.load_weights(network, path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not changed(before, snapshot(network))


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="no weight file"):
        networks.pretrained(build(EMOTION), "mini_xception", tmp_path / "no")


def test_weights_of_the_other_model_are_refused(tmp_path, small_vggface):
    small_vggface.save(tmp_path / "best.keras")
    with pytest.raises(UserError, match="does not fit mini_xception"):
        networks.load_weights(build(EMOTION), tmp_path / "best.keras")
