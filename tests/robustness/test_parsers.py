"""Parsers accept or refuse any text of a user, without a crash."""

import argparse
import json
import math
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import (
    EventAccumulator,
)

from samtl.cli import command_line, legacy, methods
from samtl.common import files, flags
from samtl.comparison import plan
from samtl.data import tasks
from samtl.faces import inputs
from samtl.faces.media import output, video
from samtl.runs import event_log
from tests.robustness.trials import REFUSED, attempt, case, damages

ROOT = Path(__file__).parents[2]
WORDS = st.one_of(
    st.text(max_size=12),
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(["True", "no", "Fer+", "MTFL", "mtfl:pose", "1e999", ""]),
)


def _read(kind, text):
    """The value, or REFUSED if the kind does not accept the text."""
    with case():
        try:
            return kind(text)
        except argparse.ArgumentTypeError:
            return REFUSED


@settings(max_examples=200)
@given(WORDS)
def test_values_of_flags(text):
    number = _read(flags.Number(float, 0, 2, above=True), text)
    assert number is REFUSED or 0 < number <= 2
    whole = _read(flags.Number(int, 1), text)
    assert whole is REFUSED or (whole >= 1 and isinstance(whole, int))
    assert _read(flags.boolean, text) in (True, False, REFUSED)
    name = _read(flags.dataset, text)
    # It becomes a file's name.
    assert name is REFUSED or not {"/", ".", "\0", "\n"} & set(name)
    task = _read(flags.task, text)
    assert task is REFUSED or tasks.NAME.fullmatch(task)
    assert _read(flags.model, text) in (*flags.MODELS, REFUSED)
    weighted = _read(flags.weighted, text)
    assert weighted is REFUSED or tasks.NAME.fullmatch(weighted)
    for kind in (flags.labels, flags.limit):
        value = _read(kind, text)
        # Parsing a parsed value has no effect.
        assert value is REFUSED or kind(value) == value


@given(st.lists(WORDS, max_size=5))
def test_repaired_command_lines_need_no_repair(words):
    with case():
        repaired, notes = legacy.repair(words)
        again, more = legacy.repair(repaired)
        assert again == repaired
        assert not more
        assert (repaired == words) or notes or "pesudo" in "".join(words)


def _parsers():
    """Of alternating training, of joint training and of manifold methods."""
    methods = command_line.add_method_flags
    for groups in (
        [methods],
        [methods, command_line.add_joint_flags],
        [
            methods,
            command_line.add_joint_flags,
            command_line.add_manifold_flags,
        ],
    ):
        parser = command_line.parser("", "")
        command_line.add_dataset_flags(parser, ("emotion", "pose"))
        for add in (
            *groups,
            command_line.add_training_flags,
            command_line.add_run_flags,
        ):
            add(parser)
        yield parser


PARSERS = list(_parsers())
NAMES = [
    action.dest
    for action in PARSERS[1]._actions
    if action.dest not in ("help", "help_all", "resume")
]
FLAGS = st.tuples(st.sampled_from(NAMES), WORDS).map("--{0[0]}={0[1]}".format)


@settings(max_examples=300)
@given(st.sampled_from(PARSERS), st.lists(FLAGS | WORDS, max_size=4))
def test_command_lines(parser, words):
    if {"-h", "--help", "--help_all", "--resume"} & {
        word.split("=")[0] for word in words
    }:
        return
    args = attempt(lambda: command_line.parse(parser, words))
    if args is REFUSED:
        return
    assert args.epoch >= 1
    assert 0 < args.learning_rate < math.inf
    _check(parser, args)


def _check(parser, args):
    """It is a method, and what a run saves is what --resume accepts."""
    assert methods.method_name(args)
    saved = json.loads(json.dumps(vars(args), default=str))
    command_line._check_saved(parser, "run", saved)


SWITCHES = [name for name in NAMES if name.startswith("is_")]


@settings(max_examples=200)
@given(
    st.sampled_from(PARSERS),
    st.dictionaries(st.sampled_from(SWITCHES), st.booleans(), max_size=6),
)
def test_combinations_of_methods(parser, chosen):
    words = [f"--{name}={value}" for name, value in chosen.items()]
    args = attempt(lambda: command_line.parse(parser, words))
    if args is not REFUSED:
        _check(parser, args)
        kinds = (args.is_naive, args.is_distilled, args.is_pseudo)
        # Matching, of joint training alone, takes the place of all three.
        assert sum(kinds) + getattr(args, "is_matching", False) == 1


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8")),
    lambda children: (
        st.lists(children, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8")), children)
    ),
    max_leaves=12,
)


@settings(max_examples=60)
@given(value=st.dictionaries(st.text("abc"), JSON), seed=st.integers(0, 99))
def test_sealed_json_is_read_back_or_refused(tmp_path_factory, value, seed):
    path = tmp_path_factory.getbasetemp() / "sealed.json"
    files.write_json(path, value, is_sealed=True)
    with case():
        assert files.read_json(path) == value
    for damaged in damages(path.read_bytes(), 5, seed):
        if b'"checksum"' not in damaged:
            continue  # as if somebody had deleted it
        path.write_bytes(damaged)
        with case():
            try:
                found = files.read_json(path)
            except ValueError:
                continue
            # Only spaces differ, or numbers beyond any precision.
            assert found == value


@given(st.binary(max_size=80) | st.just(b"\0" * 40))
def test_records_of_a_log(content):
    rows = [{"round": number, "loss": 0.5} for number in (1, 2)]
    with case(), tempfile.TemporaryDirectory() as folder:
        (Path(folder) / event_log.NAME).write_bytes(content)
        event_log.EventLog(Path(folder)).write(rows)
        events = EventAccumulator(folder).Reload().Scalars("training/loss")
        assert [(event.step, event.value) for event in events] == [
            (1, 0.5),
            (2, 0.5),
        ]


NAME = st.text(
    st.characters(codec="utf-8", exclude_characters="\0"), max_size=300
)


@given(st.lists(NAME, max_size=3))
def test_names_of_images(words):
    with case():
        try:
            found = attempt(lambda: inputs.find(words))
        except OSError:  # a name too long: one line by run_script
            return
        if found is not REFUSED:
            assert len(set(found)) == len(found)
            assert len(found) >= len({*map(Path, words)}) or len(words) > 1


@given(NAME, st.booleans())
def test_names_of_videos_name_files(text, is_url):
    with case():
        stem = video._stem(text, is_url)
        assert not {"/", "\0", "\n", "?"} & set(stem)


@given(st.lists(st.sampled_from(["a", "b", "a_2"]), max_size=9))
def test_no_output_takes_the_place_of_another(tmp_path_factory, stems):
    folder = tmp_path_factory.mktemp("named")
    (folder / "a_faces.png").touch()
    names = output.OutputPaths(folder, may_overwrite=False)
    with case():
        given_names = [names.new(stem, ".png") for stem in stems]
        assert len(set(given_names)) == len(stems)
        assert folder / "a_faces.png" not in given_names


def test_damaged_plans(tmp_path):
    path = tmp_path / "plan.toml"
    content = (ROOT / "plans" / "smallest.toml").read_bytes()
    for damaged in damages(content, 150):
        path.write_bytes(damaged)
        attempt(lambda: len(plan.runs(plan.read_plan(path))))


@given(st.sampled_from(["pairs", "methods", "settings", "seeds"]), JSON)
def test_plans_of_any_shape(kind, value):
    changed = plan.read_plan(ROOT / "plans" / "smallest.toml")
    changed[kind] = value
    with case():
        fault = plan._fault(changed)
    if not fault:
        attempt(lambda: plan.runs(changed))


@pytest.mark.parametrize("text", ["", "-", "--", "=", "--=", "--=1", "\0"])
def test_words_that_are_not_flags(text):
    for words in ([text], ["--batch_size=8", text]):
        attempt(lambda words=words: command_line.parse(PARSERS[0], words))
