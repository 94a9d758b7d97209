import argparse
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samtl import pseudo_labels
from samtl.cli import command_line, legacy
from samtl.cli.configuration import data_config
from samtl.common import flags
from samtl.common.errors import UserError
from samtl.runs import run_folder

# The published command lines, word for word.
TRICKS = (
    "--is_augmentation=False --is_dropout=False --is_bn=False "
    "--weights_decay=0 --is_freezing=False --no_freezing_epoch=0 "
)
LOSSES = "--P_loss_weights=1 --E_loss_weights=1 "
ALTERNATIVE = (
    "--dataset_emotion=expw --dataset_pose=aflw --epoch=64 --model=vggFace  "
    "--batch_size=32 " + TRICKS + LOSSES
)
CONFUSION = (
    "--dataset_emotion=SFEW --dataset_pose=aflw --epoch=64 --model=vggFace  "
    "--batch_size=64 " + TRICKS + LOSSES
)
NO_WEIGHTS = (
    "--is_pesudo_confidence=False --is_pesudo_density=False "
    "--is_pesudo_distribution=False --cluster_k=0"
)
DISTILLED = (
    "--is_pesudo=False--is_interpolation=False --interpolation_weights=0 "
    "--selection_threshold=0 --is_pesudo_confidence=False "
    "--is_pesudo_density=False --density_t=0 --is_pesudo_distribution=False "
    "--cluster_k=0 "
)
MULTITASK_COMMANDS = {
    "hard": (
        "{other similar function, ALTERNATIVE_EA.py, ALTERNATIVE_EGA.py} \n"
        + ALTERNATIVE
        + "--is_naive=False --is_distilled=False distill_t=2 --is_pesudo=True "
        "--is_interpolation=False --interpolation_weights=0 "
        "--selection_threshold=0.8 --is_pesudo_confidence=True "
        "--is_pesudo_density=True --density_t=0.6 "
        "--is_pesudo_distribution=True --cluster_k=3 ",
        "sa-mtl-hard",
    ),
    "lwf": (
        ALTERNATIVE
        + "--is_naive=False --is_distilled=True distill_t=1 "
        + DISTILLED,
        "dml-lwf",
    ),
    "distilling": (
        ALTERNATIVE
        + "--is_naive=False --is_distilled=True distill_t=2 "
        + DISTILLED,
        "distilled",
    ),
    "interpolation": (
        ALTERNATIVE
        + "--is_naive=False --is_distilled=False distill_t=2 --is_pesudo=True "
        "--is_interpolation=True --interpolation_weights=0 "
        "--selection_threshold=0 --is_pesudo_confidence=True "
        "--is_pesudo_density=True --density_t=0.6 "
        "--is_pesudo_distribution=True --cluster_k=4 ",
        "sa-mtl-interpolation",
    ),
    "all-in-one": (
        CONFUSION + "--is_naive=True --is_distilled=False --is_pesudo=False "
        "--is_interpolation=False --interpolation_weights=0 "
        "--selection_threshold=0.8 " + NO_WEIGHTS,
        "naive",
    ),
    "lel-ltn": (
        CONFUSION + "--is_naive=False --is_distilled=False --is_pesudo=True "
        "--is_interpolation=False --interpolation_weights=0 "
        "--selection_threshold=0 " + NO_WEIGHTS,
        "pseudo",
    ),
}
SINGLE_TASK = (
    "--model=vggFace --epoch=64 --batch_size=32 "
    + TRICKS.rstrip()
    + " --task_type="
)


def multitask_parser():
    parser = command_line.parser(
        "A multi-task script.", "examples:\n  python x.py"
    )
    command_line.add_dataset_flags(parser, ("emotion", "pose"))
    command_line.add_training_flags(parser)
    command_line.add_method_flags(parser)
    command_line.add_run_flags(parser)
    return parser


def single_task_parser():
    parser = command_line.parser("A single-task script.", "")
    command_line.add_task_flags(parser)
    command_line.add_training_flags(parser)
    command_line.add_run_flags(parser)
    return parser


def parse(command):
    return command_line.parse(multitask_parser(), shlex.split(command))


@pytest.mark.parametrize("key", MULTITASK_COMMANDS)
def test_published_multitask_commands(key):
    command, name = MULTITASK_COMMANDS[key]
    args = parse(command)
    assert command_line.method_name(args) == name
    assert args.model == "vggface"
    assert args.dataset_emotion in (["expw"], ["sfew"])
    assert args.dataset_pose == ["aflw"]
    assert args.epoch == 64
    assert (args.E_loss_weights, args.P_loss_weights) == (1, 1)


def test_hard_selection_reads_every_value():
    args = parse(MULTITASK_COMMANDS["hard"][0])
    assert (args.distill_t, args.selection_threshold) == (2, 0.8)
    assert (args.density_t, args.cluster_k) == (0.6, 3)
    assert args.is_pseudo
    assert not args.is_naive
    assert not args.is_interpolation


@pytest.mark.parametrize(
    ("dataset", "number", "task"),
    [("aflw", "10", "pose"), ("Fer+", "0", "emotion"), ("x", "Age", "age")],
)
def test_published_single_task_commands(dataset, number, task):
    words = shlex.split(f"--dataset={dataset} {SINGLE_TASK}{number}")
    args = command_line.parse(single_task_parser(), words)
    assert args.task_type == task
    assert args.dataset == {"Fer+": "ferplus"}.get(dataset, dataset)


def test_placeholder_asks_for_a_choice():
    words = shlex.split(f"--dataset=SFEW[expw,ferplus] {SINGLE_TASK}0")
    with pytest.raises(UserError, match="choose one of sfew, expw, ferplus"):
        command_line.parse(single_task_parser(), words)


@pytest.mark.parametrize(
    ("number", "dataset"),
    [("10", "synthetic_pose"), ("1", "synthetic_gender_age")],
)
def test_single_task_default_dataset_follows_the_task(number, dataset):
    args = command_line.parse(single_task_parser(), [f"--task_type={number}"])
    assert args.dataset == dataset


def test_a_task_takes_several_datasets_and_some_of_their_labels():
    args = parse(
        "--dataset_emotion Expw Fer+ --dataset_pose MTFL --labels MTFL:pose,2"
    )
    assert args.dataset_emotion == ["expw", "ferplus"]
    assert args.labels == ["mtfl:pose,gender"]


def test_synthetic_faces_are_the_default_datasets():
    args = parse("")
    assert args.dataset_emotion == ["synthetic_emotion"]
    assert args.dataset_pose == ["synthetic_pose"]
    assert parse("--dataset_emotion=expw").dataset_pose is None


def test_defaults_are_sa_mtl_with_hard_selection():
    args = parse("")
    assert command_line.method_name(args) == "sa-mtl-hard"
    assert (args.selection_threshold, args.density_t) == (0.8, 0.6)
    assert (args.cluster_k, args.distill_t) == (3, 2)
    assert args.model == "mini_xception"
    assert args.learning_rate == 3e-3
    assert parse("--model=VGGFace").learning_rate == 1e-4


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("--is_naive", "naive"),
        ("--is_distilled=yes", "distilled"),
        ("--is_distilled=1 --distill_t=1", "dml-lwf"),
        ("--is_interpolation=true", "sa-mtl-interpolation"),
        ("--is_pseudo_density=True", "hard-density"),
        ("--is_pesudo_density=False", "hard-confidence-distribution"),
        (
            "--is_interpolation --interpolation_weights=0.5",
            "interpolation-constant",
        ),
    ],
)
def test_method_names(command, name):
    assert command_line.method_name(parse(command)) == name


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            "--is_naive --is_pseudo",
            "--is_naive with --is_pseudo is not a method",
        ),
        ("--is_naive --is_distilled", "--is_naive with --is_distilled"),
        ("--is_distilled --is_pseudo", "--is_distilled with --is_pseudo"),
        ("--is_naive --is_interpolation", "--is_naive with --is_interpolat"),
        ("--is_naive --is_pseudo_density", "choose --is_naive, --is_distilled"),
        ("--is_pseudo=False", "nothing chosen is not a method"),
        ("--interpolation_weights=0.5", "needs --is_interpolation=True"),
        ("--density_t=0", "above 0 to 1"),
        ("--cluster_k=0", "at least 1"),
        ("--no_freezing_epoch=2", "needs --is_freezing=True"),
        ("--is_freezing --epoch=2 --no_freezing_epoch=3", "at most as many"),
        ("--weights=no/such.keras", "not a file"),
        ("--batch_size 0", "whole number of at least 1"),
        ("--batch_size=1.5", "whole number of at least 1"),
        ("--selection_threshold 1.5", "from 0 to 1"),
        ("--distill_t=0.5", "at least 1"),
        ("--learning_rate=0", "above 0"),
        ("--learning_rate=nan", "above 0"),
        ("--E_loss_weights=-1", "at least 0"),
        ("--seed=-1", "from 0 to 4294967295"),
        ("--is_bn=maybe", "not True or False"),
        ("--model=resnet", "mini_xception"),
        ("--dataset_pose=../x", "not a dataset's name"),
        ("--labels mtfl", "is not NAME:TASK"),
        ("--labels mtfl:smi-le", "'smi-le' is not the name of a task"),
        ("--limit=-1", "'-1' is not a whole number of at least 0"),
        ("--limit=--", "--limit: '--' is not a value"),
        ("--config=--", "--config: '--' is not a value"),
        ("--dataset_pose=-x", "'-x' is not a dataset's name"),
        ("--limit=ferplus:x", "'x' is not a whole number"),
        ("--schedule=step", "cosine"),
        ("--epoch", "expected one argument"),
        ("--consistency=fixmatch", "add --is_augmentation=True"),
        (
            "--consistency=fixmatch --is_naive",
            "by itself; take --is_naive back",
        ),
        ("--consistency_t=1", "--consistency_t needs --consistency"),
        ("--consistency=fix", "fixmatch"),
        ("--pseudo_loss_weights=-1", "at least 0"),
        ("--pseudo_loss_weights smile:x", "not a number"),
        ("--epochs=3", "did you mean --epoch?"),
        ("--batch-size=3", "did you mean --batch_size?"),
        ("-epoch=3", "did you mean --epoch?"),
        ("--limit=utk:30 20", "without =: --limit utk:30 20"),
        ("--qqq", "unknown flag --qqq"),
        ("expw", "write flags as --name=value"),
    ],
)
def test_mistakes_are_one_line_with_the_cure(command, message):
    with pytest.raises(UserError) as caught:
        parse(command)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_limit_is_for_all_datasets_or_for_one():
    wanted = ["expw", "ferplus", "mtfl"]
    for words, expected in {
        "": [0, 0, 0],
        "--limit 7": [7, 7, 7],
        "--limit Fer+:5 MTFL:0": [0, 5, 0],
        "--limit mtfl:3 7": [7, 7, 3],
    }.items():
        limits = command_line.limits(parse(words), wanted)
        assert list(limits.values()) == expected


def test_a_batch_size_is_for_all_datasets_or_of_each():
    assert parse("").batch_size == 32
    assert parse("--batch_size=5").batch_size == 5
    assert command_line.batch_sizes(parse("--batch_size=5")) == {}
    args = parse("--batch_size Fer+:10 mtfl:20")
    sizes = command_line.batch_sizes(args)
    assert sizes == {"ferplus": 10, "mtfl": 20}


def test_a_flag_of_several_values_may_be_repeated():
    args = parse(
        "--dataset_emotion=ferplus --dataset_emotion expw sfew "
        "--limit=expw:5 --limit=mtfl:6 --labels=mtfl:pose --labels=expw:emotion"
    )
    assert args.dataset_emotion == ["ferplus", "expw", "sfew"]
    assert args.limit == ["expw:5", "mtfl:6"]
    assert args.labels == ["mtfl:pose", "expw:emotion"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("--limit ferplus:5 ferplus:7", "--limit names ferplus twice"),
        ("--limit sfew:5", "--limit=sfew:5 names a dataset"),
        (
            "--is_augmentation --augmentation_strength sfew:2",
            "--augmentation_strength=sfew:2.0 names a dataset",
        ),
        ("--labels=mtfl:gender", "--labels hides pose of mtfl"),
        ("--batch_size mtfl:8", "leaves ferplus open; give one number for all"),
        ("--batch_size 9 mtfl:8", "leaves ferplus open"),
        ("--batch_size 9 mtfl:8 ferplus:7", "leaves the rest open"),
        ("--batch_size sfew:8", "--batch_size=sfew:8 names a dataset"),
    ],
)
def test_values_for_datasets_are_checked(command, message):
    args = parse(f"--dataset_emotion=ferplus --dataset_pose=mtfl {command}")
    wanted = command_line.wanted_datasets(args, ["emotion", "pose"])
    assert wanted == {"ferplus": ["emotion"], "mtfl": ["pose"]}
    with pytest.raises(UserError, match=message):
        command_line.check_datasets(args, wanted)


def test_joint_training_is_of_the_tasks_that_have_datasets():
    tasks = ("emotion", "pose", "gender", "age")
    parser = command_line.parser("", "")
    command_line.add_dataset_flags(parser, tasks)
    args = command_line.parse(parser, [], synthetic=("emotion", "pose"))
    assert command_line.given_tasks(args, tasks) == ["emotion", "pose"]
    assert args.dataset_pose == ["synthetic_pose"]
    args = command_line.parse(
        parser, ["--dataset_age=a", "--dataset_emotion=b"]
    )
    assert command_line.given_tasks(args, tasks) == ["emotion", "age"]
    with pytest.raises(UserError, match="--dataset_age is one task alone"):
        command_line.given_tasks(
            command_line.parse(parser, ["--dataset_age=a"]), tasks
        )


def test_repairs_are_reported(capsys):
    parse("distill_t=1 --is_distilled=True --is_pesudo=False--is_bn=False")
    assert capsys.readouterr().out.splitlines() == [
        "note: read 'distill_t=1' as --distill_t=1",
        "note: read '--is_pesudo=False--is_bn=False' as "
        "--is_pseudo=False --is_bn=False",
    ]
    parse("--is_pesudo=True --dataset_emotion=FERPLUS")
    assert capsys.readouterr().out == ""


def test_braces_alone_warn_that_the_flags_are_elsewhere():
    words, notes = command_line.repair(
        ["{other", "function,", "ALTERNATIVE_EA.py}"]
    )
    assert words == []
    assert len(notes) == 1
    assert "same line" in notes[0]


def test_values_that_look_like_flags_stay():
    words = ["--run_dir=runs/a--b=c", "--weights", "is_pesudo/old--x.h5"]
    flags = ["run_dir", "weights"]
    assert legacy.repair(words, flags) == (words, [])


@given(
    st.dictionaries(
        st.sampled_from(["epoch", "seed", "is_bn", "distill_t"]),
        st.sampled_from(["1", "2", "7"]),
    )
)
def test_joined_flags_are_separated(flags):
    words = [f"--{name}={value}" for name, value in flags.items()]
    assert command_line.repair(["".join(words)] if words else [])[0] == words


def test_bare_boolean_flag_does_not_eat_the_next_flag():
    args = parse("--is_bn --epoch 3 --votes no")
    assert args.is_bn is True
    assert args.epoch == 3
    assert args.votes is False


def test_help_names_the_usual_flags_and_help_all_every_flag(capsys):
    parser = multitask_parser()
    short = parser.format_help()
    with pytest.raises(SystemExit):
        parser.parse_args(["--help_all"])
    text = capsys.readouterr().out
    assert 2 * len(short.splitlines()) < len(text.splitlines())
    text = " ".join(text.split())
    for action in parser._actions:
        assert action.help
        assert action.option_strings[-1] in text
        if action.default is argparse.SUPPRESS:
            continue
        if isinstance(action.default, int | float | str):
            assert f"default: {action.default}" in " ".join(action.help.split())
    assert "python x.py" in text


def test_help_needs_neither_keras_nor_pandas():
    code = (
        "import sys, samtl.cli.command_line, compare; "
        "print(not {'keras', 'pandas', 'matplotlib'} & set(sys.modules))"
    )
    root = Path(__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "True"


def test_a_file_of_flags_is_the_base_of_a_command(tmp_path):
    path = tmp_path / "flags.toml"
    path.write_text(
        "epoch = 7\nis_augmentation = true\ndensity_t = 0.5\n"
        'dataset_emotion = ["expw", "ferplus"]\ndataset_pose = "mtfl"\n'
        'dataset_smile = "mtfl"\n'
    )
    found = parse(f"--config {path} --dataset_emotion sfew --epoch=8")
    written = (
        "--epoch=8 --is_augmentation --density_t=0.5 --dataset_emotion sfew "
        "--dataset_pose=mtfl --dataset_smile=mtfl"
    )
    assert vars(found) == vars(parse(written))
    assert parse(f"--config={path}").dataset_emotion == ["expw", "ferplus"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch 7", "neither TOML"),
        ("[training]\nepoch = 7", "is a table"),
        ("epohc = 7", "did you mean --epoch"),
        ("epoch = 0.5", "epoch"),
        ('"a b" = 1', "'a b' is not the name of a flag"),
        ('config = "--"', "'--' is not a value"),
        pytest.param(f"a = {'[' * 100_000}", "neither TOML", id="deep"),
    ],
)
def test_bad_files_of_flags_are_refused(tmp_path, text, message):
    path = tmp_path / "flags.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        parse(f"--config={path}")
    with pytest.raises(UserError, match="cannot read"):
        parse(f"--config={tmp_path / 'none.toml'}")


def test_words_after_two_dashes_are_no_file_of_flags():
    parser = flags.parser("", None)
    parser.add_argument("words", nargs="*")
    assert parser.parse_args(["--", "--config=x"]).words == ["--config=x"]


def test_the_arguments_of_a_run_repeat_it(stopped_run):
    path = stopped_run / "args.json"
    before = vars(parse("--epoch=9 --is_naive --data_dir=old --cache_gb=1"))
    assert vars(parse(f"--config={path}")) == before
    assert parse(f"--config={path} --seed=3").seed == 3


@pytest.fixture
def stopped_run(tmp_path):
    """The folder of a run with other than default arguments."""
    args = parse("--epoch=9 --is_naive --data_dir=old --cache_gb=1")
    run_folder.write_args(tmp_path, vars(args))
    return tmp_path


def test_resume_takes_arguments_from_the_run(stopped_run):
    args = parse(f"--resume {stopped_run} --data_dir=new")
    assert args.resume == stopped_run
    assert args.data_dir == Path("new")
    assert args.epoch == 9
    assert args.cache_gb == 1
    assert args.runs == Path("runs")
    assert args.weights is None
    assert command_line.method_name(args) == "naive"


def test_resume_takes_a_run_from_before_a_flag(stopped_run):
    saved = run_folder.read_args(stopped_run) | {
        "script": "CONFUSION_EP_multitask"
    }
    del saved["ema_momentum"]
    run_folder.write_args(stopped_run, saved)
    args = parse(f"--resume={stopped_run}")
    assert args.epoch == 9
    assert args.ema_momentum == parse("").ema_momentum


def test_resume_takes_no_devices_from_the_run(stopped_run):
    saved = run_folder.read_args(stopped_run)
    devices = {"distribute": "auto", "num_processes": 4, "process_id": 3}
    run_folder.write_args(stopped_run, saved | devices)
    args = parse(f"--resume={stopped_run}")
    assert (args.distribute, args.num_processes) == ("none", 1)
    there = "--distribute=auto --coordinator=here:1 --num_processes=2"
    args = parse(f"--resume={stopped_run} {there} --process_id=1")
    assert (args.num_processes, args.process_id) == (2, 1)


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        ("--distribute=auto --num_processes=2", "needs --coordinator"),
        ("--coordinator=here:1 --num_processes=2", "needs --distribute"),
        ("--distribute=auto --process_id=1", "below --num_processes=1"),
        ("--distribute=auto --coordinator=here", "not HOST:PORT"),
        ("--distribute=auto --coordinator=here:0", "not HOST:PORT"),
        ("--distribute=auto --coordinator=here:65536", "not HOST:PORT"),
    ],
)
def test_processes_must_be_able_to_meet(words, cure):
    with pytest.raises(UserError, match=cure):
        parse(words)


def test_resume_refuses_other_flags(stopped_run):
    with pytest.raises(UserError, match="--epoch cannot be combined"):
        parse(f"--resume={stopped_run} --epoch=3")


def test_resume_needs_a_run(tmp_path):
    with pytest.raises(UserError, match="not the folder of a run"):
        parse(f"--resume {tmp_path}")


def test_resume_refuses_a_run_of_another_script(stopped_run):
    with pytest.raises(UserError, match="run of another script"):
        command_line.parse(single_task_parser(), ["--resume", str(stopped_run)])


@pytest.mark.parametrize(
    ("words", "fer", "mtfl"),
    [
        ("", 0, 0),
        ("--augmentation_strength=2", 0, 0),
        ("--is_augmentation", 1, 1),
        ("--is_augmentation --augmentation_strength=2", 2, 2),
        ("--is_augmentation --augmentation_strength mtfl:2", 1, 2),
        ("--is_augmentation --augmentation_strength MTFL:2 0.5", 0.5, 2),
    ],
)
def test_augmentation_has_a_strength_for_each_dataset(words, fer, mtfl):
    args = parse(f"--dataset_emotion=ferplus --dataset_pose=mtfl {words}")
    strengths = data_config(args, ["emotion", "pose"]).augmentation
    assert strengths.get("ferplus", 0) == fer
    assert strengths.get("mtfl", 0) == mtfl


def test_a_strength_is_above_0():
    with pytest.raises(UserError, match="above 0"):
        parse("--augmentation_strength mtfl:0")


def test_classes_are_weighted_by_task():
    assert parse("--class_weights Pose age").class_weights == ["pose", "age"]
    assert parse("--class_weights=balanced").class_weights == ["balanced"]
    with pytest.raises(UserError, match="'po-ze' is not the name of"):
        parse("--class_weights po-ze")


def test_method_carries_the_flags_over():
    words = "--is_interpolation --cluster_k=4 --gamma=2 --selection_scope=class"
    chosen = command_line.method(parse(words))
    assert chosen == pseudo_labels.Method(
        kind="interpolation",
        distill_t=2.0,
        selection_threshold=0.8,
        selection_scope="class",
        interpolation_weights=0.0,
        confidence=True,
        density=True,
        density_t=0.6,
        density_exact_limit=100_000,
        distribution=True,
        cluster_k=4,
        distribution_metric="both",
        gamma=2.0,
        gmm_scope="class",
    )
