"""Published command lines, as they are pasted, on tiny datasets with VGG-16."""

import json
import shlex

import pytest

import ALTERNATIVE_EP
import CONFUSION_EP_multitask
import CONFUSION_EP_multitask_manifold
import STL_general_train
from samtl.common.errors import UserError
from samtl.networks import vggface, weights
from tests import quick, tiny

COMMON = (
    "--epoch=64 --model=vggFace  --batch_size=32 --is_augmentation=False "
    "--is_dropout=False --is_bn=False --weights_decay=0 --is_freezing=False "
    "--no_freezing_epoch=0"
)
ALTERNATING = (
    "--dataset_emotion=expw --dataset_pose=aflw "
    f"{COMMON} --P_loss_weights=1 --E_loss_weights=1 "
)
COMMANDS = {
    "sa-mtl-hard": (
        f"{ALTERNATING} --is_naive=False --is_distilled=False distill_t=2 "
        "--is_pesudo=True --is_interpolation=False --interpolation_weights=0 "
        "--selection_threshold=0.8 --is_pesudo_confidence=True "
        "--is_pesudo_density=True --density_t=0.6 "
        "--is_pesudo_distribution=True --cluster_k=3 "
    ),
    "dml-lwf": (
        f"{ALTERNATING} --is_naive=False --is_distilled=True distill_t=1 "
        "--is_pesudo=False--is_interpolation=False --interpolation_weights=0 "
        "--selection_threshold=0 --is_pesudo_confidence=False "
        "--is_pesudo_density=False --density_t=0 "
        "--is_pesudo_distribution=False --cluster_k=0 "
    ),
    "distilled": (
        f"{ALTERNATING} --is_naive=False --is_distilled=True distill_t=2 "
        "--is_pesudo=False--is_interpolation=False --interpolation_weights=0 "
        "--selection_threshold=0 --is_pesudo_confidence=False "
        "--is_pesudo_density=False --density_t=0 "
        "--is_pesudo_distribution=False --cluster_k=0"
    ),
    "sa-mtl-interpolation": (
        f"{ALTERNATING} --is_naive=False --is_distilled=False distill_t=2 "
        "--is_pesudo=True --is_interpolation=True --interpolation_weights=0 "
        "--selection_threshold=0 --is_pesudo_confidence=True "
        "--is_pesudo_density=True --density_t=0.6 "
        "--is_pesudo_distribution=True --cluster_k=4"
    ),
}
JOINT_COMMON = (
    "--dataset_emotion=SFEW --dataset_pose=aflw "
    f"{COMMON.replace('32', '64')} --P_loss_weights=1 --E_loss_weights=1 "
)
NO_WEIGHTS = (
    "--is_pesudo_confidence=False --is_pesudo_density=False "
    "--is_pesudo_distribution=False --cluster_k=0"
)
MASKED = (
    f"{JOINT_COMMON} --is_naive=True --is_distilled=False --is_pesudo=False "
    "--is_interpolation=False --interpolation_weights=0 "
)
PSEUDO = (
    f"{JOINT_COMMON} --is_naive=False --is_distilled=False --is_pesudo=True "
    "--is_interpolation=False --interpolation_weights=0 "
    f"--selection_threshold=0 {NO_WEIGHTS}"
)
JOINT = {
    "all-in-one": f"{MASKED} --selection_threshold=0.8 {NO_WEIGHTS}",
    "lel-ltn": PSEUDO,
    "dcn-ap": f"{PSEUDO} --is_MRF=True",
    "sfsmr": (
        f"{MASKED} --selection_threshold=0 {NO_WEIGHTS} --is_lnorm=True "
        "--is_trace_norm=True"
    ),
    "slrm": (
        f"{MASKED} --selection_threshold=0 {NO_WEIGHTS} --is_lnorm=True "
        "--is_nuclear_norm=True --is_trace_norm=True"
    ),
}
JOINT_SCRIPTS = {
    name: (
        CONFUSION_EP_multitask_manifold
        if "--is_lnorm" in command
        else CONFUSION_EP_multitask
    )
    for name, command in JOINT.items()
}
SINGLE_TASK = {
    "emotion": f"--dataset=SFEW --model=vggFace {COMMON} --task_type=0",
    "pose": f"--dataset=aflw --model=vggFace {COMMON} --task_type=10",
}
BRACES = "{other similar function, ALTERNATIVE_EA.py, ALTERNATIVE_EGA.py}"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with tiny datasets under data/."""
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    for seed, name in enumerate(("expw", "sfew", "ferplus")):
        tiny.dataset(data, name, ["emotion"], counts=(8, 7, 7), seed=seed)
    tiny.dataset(data, "aflw", ["pose"], counts=(6, 5, 5), seed=9)
    quick.leave_out(monkeypatch)
    return tmp_path


def _result(folder, method):
    (result,) = (folder / "runs").rglob("result.json")
    assert f"-{method}-seed0" in result.parent.name
    return json.loads(result.read_text())


@pytest.fixture
def thin(folder, monkeypatch):
    """VGG-16 with 8 filters a block; whole, it takes a minute a command."""
    blocks = {block: (8, 1) for block in vggface.FILTERS}
    monkeypatch.setattr(vggface, "FILTERS", blocks)
    monkeypatch.setattr(weights, "FOLDER", folder)


@pytest.mark.parametrize("method", COMMANDS)
def test_alternating_command(folder, request, method):
    if method != "sa-mtl-hard":
        request.getfixturevalue("thin")
    words = shlex.split(f"{BRACES} {COMMANDS[method]} --epoch=1")
    ALTERNATIVE_EP.main(words)
    assert set(_result(folder, method)["tasks"]) == {"emotion", "pose"}


@pytest.mark.parametrize("method", JOINT)
def test_joint_command(folder, thin, capsys, method):
    words = shlex.split(f"{JOINT[method]} --epoch=1")
    JOINT_SCRIPTS[method].main(words)
    assert capsys.readouterr().out.startswith(f"method: {method}\n")
    assert set(_result(folder, method)["tasks"]) == {"emotion", "pose"}
    (args,) = (folder / "runs").rglob("args.json")
    assert json.loads(args.read_text())["arguments"]["method"] == method


@pytest.mark.parametrize("task", SINGLE_TASK)
def test_single_task_command(folder, thin, task):
    STL_general_train.main(shlex.split(f"{SINGLE_TASK[task]} --epoch=1"))
    assert set(_result(folder, f"stl-{task}")["tasks"]) == {task}


def test_a_placeholder_asks_for_a_choice():
    words = shlex.split(
        SINGLE_TASK["emotion"].replace("SFEW", "SFEW[expw,ferplus]")
    )
    with pytest.raises(UserError, match="choose one of sfew, expw, ferplus"):
        STL_general_train.main(words)
