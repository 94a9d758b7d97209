"""Which method a combination of the joint scripts' flags is."""

import pytest

import CONFUSION_EP_multitask as multitask
import CONFUSION_EP_multitask_manifold as manifold
from samtl.cli import command_line
from samtl.common.errors import UserError
from tests.test_seed_commands import JOINT, JOINT_SCRIPTS

NO_WEIGHTS = [
    "--is_pseudo_confidence=False",
    "--is_pseudo_density=False",
    "--is_pseudo_distribution=False",
]


def _name(script, words):
    return command_line.method_name(command_line.parse(script.parser(), words))


@pytest.mark.parametrize("method", JOINT)
def test_published_commands_have_their_method_names(method):
    assert _name(JOINT_SCRIPTS[method], JOINT[method].split()) == method


@pytest.mark.parametrize(
    ("words", "method"),
    [
        ([], "sa-mtl-hard"),
        (["--is_interpolation"], "sa-mtl-interpolation"),
        (["--is_distilled", "--distill_t=2"], "distilled"),
        (["--is_pseudo_density"], "hard-density"),
        (["--is_naive"], "all-in-one"),
        (["--is_MRF"], "dcn-ap"),
        (["--is_matching"], "distribution-matching"),
        (["--is_distilled", "--teacher=a.keras"], "teacher-distilled"),
        (NO_WEIGHTS, "lel-ltn"),
        (
            [*NO_WEIGHTS, "--is_interpolation", "--interpolation_weights=0.5"],
            "interpolation-constant",
        ),
    ],
)
def test_methods_of_joint_training(words, method):
    assert _name(multitask, words) == method


@pytest.mark.parametrize(
    ("words", "method"),
    [
        ([], "slrm"),
        (["--is_nuclear_norm=False"], "sfsmr"),
        (["--is_lnorm", "--is_trace_norm"], "sfsmr"),
        (["--is_lnorm"], "lnorm"),
        (["--is_trace_norm"], "trace-norm"),
        (["--is_nuclear_norm"], "nuclear-norm"),
    ],
)
def test_methods_of_manifold_regularisers(words, method):
    args = command_line.parse(manifold.parser(), words)
    assert args.is_naive
    assert command_line.method_name(args) == method


@pytest.mark.parametrize(
    "words",
    [
        ["--is_naive", "--is_MRF"],
        ["--is_distilled", "--is_MRF"],
        ["--is_MRF", "--is_pseudo_density"],
        ["--is_MRF", "--is_interpolation"],
        ["--is_naive", "--is_distilled"],
        ["--is_interpolation", *NO_WEIGHTS],
        ["--is_naive=False", "--is_distilled=False", "--is_pseudo=False"],
    ],
)
def test_other_combinations_than_the_joint_methods_are_refused(words):
    with pytest.raises(UserError, match="is not a method; choose") as caught:
        _name(multitask, words)
    message = str(caught.value)
    assert "\n" not in message
    for name in ("All-in-one", "SA-MTL", "LEL-LTN", "DCN-AP"):
        assert name in message


@pytest.mark.parametrize("other", ["--is_naive", "--is_MRF", "--is_pseudo"])
def test_matching_is_a_method_by_itself(other):
    with pytest.raises(UserError, match=f"by itself; take {other} back"):
        _name(multitask, ["--is_matching", other])


@pytest.mark.parametrize(
    "words",
    [
        ["--is_lnorm", "--is_nuclear_norm"],
        ["--is_nuclear_norm", "--is_trace_norm"],
        ["--is_lnorm=0", "--is_trace_norm=0", "--is_nuclear_norm=0"],
        ["--is_distilled", "--is_lnorm", "--is_trace_norm"],
        ["--is_pseudo", "--is_lnorm", "--is_trace_norm"],
    ],
)
def test_other_combinations_than_the_manifold_methods_are_refused(words):
    with pytest.raises(UserError, match="is not a method; choose") as caught:
        _name(manifold, words)
    assert "SFSMR" in str(caught.value)
    assert "SLRM" in str(caught.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--teacher=a.keras"], "--teacher needs --is_distilled=True"),
        (["--is_naive", "--teacher=a.keras"], "needs --is_distilled=True"),
        (
            ["--is_distilled", "--teacher_share=0.5"],
            r"--teacher_share=0\.5 needs a --teacher",
        ),
    ],
)
def test_a_teacher_needs_distillation(words, message):
    with pytest.raises(UserError, match=message):
        _name(multitask, words)
