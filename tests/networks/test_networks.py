"""What all networks share: outputs, options, freezing, saving, export."""

import keras
import numpy as np
import pytest

from samtl import networks
from samtl.common.errors import UserError
from samtl.data.tasks import EMOTION_7, GENDER, POSE, Task
from samtl.networks import heads, vggface

TASKS = [Task("emotion", EMOTION_7), Task("pose", POSE)]
array = keras.ops.convert_to_numpy


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (3, 64, 64, 1), dtype=np.uint8)


def flat(outputs):
    return {
        (kind, task): array(value)
        for kind, values in outputs.items()
        for task, value in values.items()
    }


@pytest.fixture
def small_vggface(monkeypatch):
    """VGG-16 with an eighth of its filters, so that tests take seconds."""
    filters = {b: (f // 8, n) for b, (f, n) in vggface.FILTERS.items()}
    monkeypatch.setattr(vggface, "FILTERS", filters)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("cross_stitch", [False, True])
@pytest.mark.parametrize(
    "model", ["mini_xception", "mini_resnet", "wide_resnet"]
)
def test_outputs(images, model, precision, cross_stitch):
    network = networks.build(
        model,
        TASKS,
        is_dropout=True,
        cross_stitch=cross_stitch,
        precision=precision,
    )
    outputs = network(images)
    assert list(outputs["logits"]) == ["emotion", "pose"]
    for (kind, task), value in flat(outputs).items():
        classes = {"emotion": 7, "pose": 5}[task]
        width = classes if kind == "logits" else 128
        assert value.shape == (3, width)
        assert value.dtype == np.float32
    same = flat(network(images.astype("float32")))
    for key, value in flat(outputs).items():
        np.testing.assert_array_equal(value, same[key])
    assert keras.config.dtype_policy().name == "float32"
    assert all(weight.dtype == "float32" for weight in network.weights)


def test_a_config_and_a_name_with_options_build_the_same_network():
    config = networks.NetworkConfig("mini_resnet", weights_decay=0.01)
    networks_built = []
    for given, options in (
        (config, {}),
        ("mini_resnet", {"weights_decay": 0.01}),
    ):
        keras.backend.clear_session()
        keras.utils.set_random_seed(0)
        networks_built.append(networks.build(given, TASKS, **options))
    one, other = networks_built
    assert one.to_json() == other.to_json()
    for left, right in zip(one.weights, other.weights, strict=True):
        np.testing.assert_array_equal(array(left), array(right))
    with pytest.raises(TypeError, match="is_bn"):
        networks.build(config, TASKS, is_bn=True)


@pytest.mark.parametrize("options", [{}, {"is_bn": True, "is_dropout": True}])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_vggface_outputs(small_vggface, precision, options):
    network = networks.build("vggface", TASKS, precision=precision, **options)
    image = np.zeros((2, 224, 224, 3), np.uint8)
    for (kind, task), value in flat(network(image)).items():
        classes = {"emotion": 7, "pose": 5}[task]
        width = classes if kind == "logits" else 128
        assert value.shape == (2, width)
        assert value.dtype == np.float32


def test_vggface_is_vgg16():
    """The published sizes: VGG-16's convolutions have 14,714,688 weights."""
    network = networks.build("vggface", TASKS)
    trunk = [layer for layer in network.layers if heads.is_trunk(layer)]
    assert sum(layer.count_params() for layer in trunk) == 14_714_688
    assert network.get_layer("shared_dense").kernel.shape == (25088, 1024)
    assert network.get_layer("task_pose").kernel.shape == (1024, 128)
    assert network.get_layer("head_pose").kernel.shape == (128, 5)


def test_vggface_normalisation():
    rgb = np.array([[[[129.1863, 104.7624, 93.5940], [255, 0, 10]]]])
    expected = [[[[0, 0, 0], [10 - 93.5940, -104.7624, 255 - 129.1863]]]]
    got = vggface.VGGFaceNormalisation()(rgb.astype("float32"))
    np.testing.assert_allclose(array(got), expected, atol=1e-4)


def test_cross_stitch_is_the_weighted_sum_per_channel():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 2, 4, 4, 5)).astype("float32")
    layer = heads.CrossStitch()
    start = [array(y) for y in layer(list(x))]
    for task in range(3):
        others = sum(x[t] for t in range(3) if t != task)
        np.testing.assert_allclose(
            start[task], 0.9 * x[task] + 0.05 * others, atol=1e-6
        )
    mixture = rng.normal(size=(3, 3, 5)).astype("float32")
    layer.set_weights([mixture])
    expected = np.einsum("stc,tbhwc->sbhwc", mixture, x)
    for got, want in zip(layer(list(x)), expected, strict=True):
        np.testing.assert_allclose(array(got), want, atol=1e-5)


def test_cross_stitch_needs_two_tasks():
    with pytest.raises(UserError, match="one task only"):
        networks.build("mini_xception", TASKS[:1], cross_stitch=True)


def test_weights_decay_is_the_penalty_on_all_kernels():
    network = networks.build("mini_xception", TASKS, weights_decay=0.01)
    kernels = [w for w in network.trainable_weights if "kernel" in w.name]
    expected = 0.01 * sum((array(kernel) ** 2).sum() for kernel in kernels)
    assert len(network.losses) == len(kernels) == 2 + 3 * 5 + 2 * 5 + 2
    np.testing.assert_allclose(
        sum(float(loss) for loss in network.losses), expected, rtol=1e-5
    )
    assert networks.build("mini_xception", TASKS).losses == []


def test_dropout_acts_in_training_only(images):
    network = networks.build("mini_xception", TASKS, is_dropout=True)
    one, other = (
        array(network(images, training=False)["logits"]["pose"])
        for _ in range(2)
    )
    np.testing.assert_array_equal(one, other)
    assert sum("dropout" in layer.name for layer in network.layers) == 2


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_moves_every_weight(images, precision):
    network = networks.build(
        "mini_xception", TASKS, cross_stitch=True, precision=precision
    )
    model = keras.Model(network.input, network.output["logits"])
    model.compile("sgd", loss={"emotion": "mse", "pose": "mse"})
    model.jit_compile = False
    before = [array(weight) for weight in network.weights]
    model.train_on_batch(
        images, {task.name: np.eye(3, len(task)) for task in TASKS}
    )
    for old, weight in zip(before, network.weights, strict=True):
        assert np.isfinite(array(weight)).all()
        assert np.any(old != array(weight)), weight.path


def test_freeze_spares_task_layers_and_heads():
    network = networks.build("mini_xception", TASKS, cross_stitch=True)
    everything = len(network.trainable_weights)
    networks.freeze(network, frozen=True)
    left = {weight.path.split("/")[0] for weight in network.trainable_weights}
    assert left == {
        layer.name
        for layer in network.layers
        if layer.weights
        and layer.name.startswith(("task_", "head_", "cross_stitch_"))
    }
    networks.freeze(network, frozen=False)
    assert len(network.trainable_weights) == everything


def test_freeze_spares_vggface_dense_layers(small_vggface):
    network = networks.build("vggface", TASKS)
    networks.freeze(network, frozen=True)
    left = {weight.path.split("/")[0] for weight in network.trainable_weights}
    assert left == {
        "shared_dense",
        "task_emotion",
        "task_pose",
        "head_emotion",
        "head_pose",
    }


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("model", networks.IMAGE_SHAPES)
def test_saved_network_comes_back(tmp_path, small_vggface, model, precision):
    network = networks.build(
        model,
        [*TASKS, Task("gender", GENDER)],
        is_dropout=True,
        is_bn=True,
        weights_decay=1e-4,
        cross_stitch=True,
        precision=precision,
    )
    network.save(tmp_path / "x.keras")
    again = keras.saving.load_model(tmp_path / "x.keras")
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (2, *network.input_shape[1:]), np.uint8)
    before, after = flat(network(image)), flat(again(image))
    assert before.keys() == after.keys()
    for key, value in before.items():
        np.testing.assert_array_equal(value, after[key])


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the path that runs take"
)
@pytest.mark.parametrize("model", networks.IMAGE_SHAPES)
@pytest.mark.filterwarnings("ignore")
def test_onnx_gives_the_same_probabilities(tmp_path, small_vggface, model):
    cv2 = pytest.importorskip("cv2")
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    keras.utils.set_random_seed(0)
    network = networks.build(
        model, TASKS, is_dropout=True, cross_stitch=True, precision="bfloat16"
    )
    for task in TASKS:  # fresh VGG-16 logits are huge: keep softmax telling
        head = network.get_layer(f"head_{task.name}")
        head.set_weights([0.002 * value for value in head.get_weights()])
    inference = networks.probabilities(network)
    path = str(tmp_path / "x.onnx")
    image = keras.InputSpec(
        shape=inference.input_shape, dtype="float32", name="image"
    )
    inference.export(
        path, format="onnx", verbose=False, input_signature=[image]
    )
    session = onnxruntime.InferenceSession(path)
    net = cv2.dnn.readNetFromONNX(path)
    for count in (3, 1):
        rng = np.random.default_rng(count)
        image = rng.uniform(0, 255, (count, *network.input_shape[1:]))
        image = image.astype("float32")
        expected = inference(image)
        names = ["emotion", "pose"]
        by_runtime = session.run(names, {"image": image})
        net.setInput(image)
        by_opencv = net.forward(names)
        for index, name in enumerate(names):
            want = array(expected[name])
            assert 0.01 < want.min() < want.max() < 0.99
            np.testing.assert_allclose(by_runtime[index], want, atol=1e-4)
            np.testing.assert_allclose(by_opencv[index], want, atol=1e-4)


def test_probabilities_are_softmax_of_logits(images):
    network = networks.build("mini_xception", TASKS)
    exponentials = np.exp(array(network(images)["logits"]["pose"]))
    np.testing.assert_allclose(
        array(networks.probabilities(network)(images)["pose"]),
        exponentials / exponentials.sum(1, keepdims=True),
        atol=1e-6,
    )


def test_bfloat16_is_refused_where_jax_is_wrong(monkeypatch):
    jax = pytest.importorskip("jax")
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    monkeypatch.setattr(jax, "__version_info__", (0, 12, 0))
    with pytest.raises(UserError, match="bfloat16 on CPUs; use --precision"):
        networks.build("mini_resnet", TASKS, precision="bfloat16")


def test_default_precision(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    assert networks.default_precision("mini_xception") == "float32"
    monkeypatch.setattr(networks, "_cpu_knows_bfloat16", lambda: True)
    assert networks.default_precision("vggface") == "bfloat16"
    monkeypatch.setattr(networks.Path, "glob", lambda *_: [])
    assert networks.default_precision("wide_resnet") == "bfloat16"
    assert networks.default_precision("mini_resnet") == "bfloat16"
    assert networks.default_precision("mini_xception") == "float32"
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert networks.default_precision("vggface") == "float32"
