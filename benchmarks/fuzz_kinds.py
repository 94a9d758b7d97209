"""Inputs of the fuzzer: whole ones, how they change, and who reads them."""

import itertools
import json
import types
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from PIL import Image

import ALTERNATIVE_EP
import ALTERNATIVE_EPGA
import compare
import CONFUSION_EP_multitask
import CONFUSION_EP_multitask_manifold
import final_image_demo
import final_video_demo
import STL_general_train
from benchmarks.fuzz_edits import TEXTS, VALUES, on_files
from data_preparation import __main__ as preparation
from data_preparation import aflw, crops, mtfl, own, spreadsheet, staging
from samtl.cli import command_line
from samtl.common import flags
from samtl.comparison import plan, report, results, summary
from samtl.comparison.loading import read_comparison
from samtl.data import images, tables
from samtl.data.tasks import POSE, Task
from samtl.faces import inputs
from samtl.inference import loading
from samtl.release import publish
from samtl.runs import run_folder
from samtl.training import state

ROOT = Path(__file__).resolve().parents[1]
TASK = Task("pose", POSE)


def commands(folder: Path):
    """Command lines of the scripts."""
    scripts = {
        module.__name__: lambda words, module=module: command_line.parse(
            module.parser(), words
        )
        for module in (
            *(ALTERNATIVE_EP, ALTERNATIVE_EPGA, STL_general_train, compare),
            *(CONFUSION_EP_multitask, CONFUSION_EP_multitask_manifold),
        )
    }
    parsers = {
        script: module.parser()
        for script, module in {
            "image": final_image_demo,
            "video": final_video_demo,
            "release": publish,
        }.items()
    }
    for name, module in preparation.DATASETS.items():
        parsers[name] = flags.parser(module.__doc__, None)
        module.add_arguments(parsers[name])
    parsers["own"] = flags.parser("", None)
    own.add_arguments(parsers["own"])
    for name, parser in parsers.items():
        scripts[name] = parser.parse_args
    known = {
        name: parsers[name]._actions if name in parsers else None
        for name in scripts
    }
    for module in (ALTERNATIVE_EPGA, CONFUSION_EP_multitask, STL_general_train):
        known[module.__name__] = module.parser()._actions
    names = {
        action.dest
        for actions in known.values()
        for action in actions or ()
        if action.dest not in ("help", "help_all", "resume")
    }
    words = st.sampled_from(sorted(names)).flatmap(
        lambda name: (
            st.just(f"--{name}")
            | (TEXTS | st.text(max_size=8)).map(lambda text: f"--{name}={text}")
            | st.integers().map(lambda number: f"--{name}={number}")
        )
    )
    strategy = st.tuples(
        st.sampled_from(sorted(scripts)),
        st.lists(words | TEXTS, max_size=5),
    )

    def read(drawn):
        script, given = drawn
        leaves = {"-h", "--help", "--help_all", "--resume"}
        if not leaves & {word.split("=")[0] for word in given}:
            scripts[script](given)

    return strategy, read


def _set(folder, name="toy"):
    """A prepared set of 14 images with votes and hidden labels."""
    target = folder / "db" / name
    target.mkdir(parents=True)
    rows = []
    for index in range(14):
        split = ("train", "train", "train", "validation", "test")[index % 5]
        Image.new("L", (8, 8), 20 * index % 256).save(target / f"{index}.png")
        row = {"path": f"db/{name}/{index}.png", "split": split}
        row["pose"] = (index // 2) % 5 if split == "train" else index % 5
        rows.append(row | {"subject": f"s{index}", "age_years": index})
    frame = pd.DataFrame(rows)
    frame.loc[frame["split"] == "train", "pose"] = [
        index % 5 for index in range((frame["split"] == "train").sum())
    ]
    origin = {"flags": {"seed": 0}, "labels": "x", "images": "y"}
    facts = {"origin": origin, "citation": "c", "terms": "t"}
    tables.write(name, frame, [TASK], folder, facts)
    frame[["path"]].assign(gender=1).to_csv(
        folder / "db" / f"{name}.truth.csv", index=False
    )
    return folder / "db" / f"{name}.csv", origin


def sets(folder: Path):
    """Prepared sets, and tables of labels before they are prepared."""
    table, origin = _set(folder)
    args = types.SimpleNamespace(data_dir=folder, overwrite=False)
    source = folder / "source"
    source.mkdir()
    for index in range(6):
        Image.new("L", (4, 4)).save(source / f"{index}.png")
    lines = [f"{i}.png,{('no', 'yes')[i % 2]},{i % 2},s{i}" for i in range(6)]
    labels = source / "labels.csv"
    labels.write_text("\n".join(["path,smile,glasses,subject", *lines]))
    for name in aflw.NEEDED:
        columns = aflw.COLUMNS[name]
        pd.DataFrame([range(len(columns))] * 3, columns=columns).to_csv(
            source / f"{name}.csv", index=False
        )
    parser = flags.parser("", None)
    own.add_arguments(parser)
    given = parser.parse_args(["toy", f"--source={source}", "--csv=labels.csv"])

    def read(path):
        if path.parent != source:
            found = tables.read("toy", folder)
            found.truth(Task("gender", ("female", "male")))
            found.targets("pose") if "pose" in found.tasks else None
            staging.is_up_to_date("toy", args, origin)
        elif path == labels:
            own.read(own.read_table(given), given)
        else:
            rows = aflw.load_tables(source)
            for row in itertools.chain(rows["facepose"], rows["facerect"]):
                aflw.parse_face(row)

    return on_files(
        [
            *(table, table.with_suffix(".json")),
            *(table.with_suffix(".truth.csv"), labels),
            *(source / f"{name}.csv" for name in aflw.NEEDED),
        ],
        read,
    )


def lists(folder: Path):
    """Published lists: lines of text, and tables of any encoding."""
    path, sheet = folder / "training.txt", folder / "sheet.csv"
    line = " lfw\\a_0001.jpg 1 2 3 4 5 6 7 8 9 10 1 2 2 3"
    path.write_text("\n".join([line] * 5))
    sheet.write_bytes("path;a;b\n1.png;x;\n2.png;y;'\n".encode("utf-16"))

    def read(changed):
        if changed == sheet:
            spreadsheet.read(sheet)
            return
        for text in mtfl.raw.lines(path):
            mtfl.parse_line(text)

    return on_files([path, sheet], read)


def plans(folder: Path):
    """Plans of a comparison."""
    path = folder / "plan.toml"
    path.write_bytes((ROOT / "plans" / "smallest.toml").read_bytes())
    whole = path.read_text(encoding="utf-8")
    keys = st.sampled_from(["seeds", "settings", "pairs", "methods"])
    names = st.sampled_from(["passes", "limit", "labels", "epoch"]) | TEXTS
    trees = st.tuples(keys, names, VALUES).map(
        lambda drawn: (
            path,
            _with(whole, *drawn).encode(errors="surrogatepass"),
        )
    )
    strategy, read = on_files([path], lambda _: _runs(plan.read_plan(path)))
    return strategy | trees, read


def _with(text, key, name, value):
    """A plan's text with a further value in a table, or other seeds."""
    toml = json.dumps(value)  # nearly TOML
    if key == "seeds":
        return text.replace("seeds = [", f"seeds = [{toml}, ", 1)
    lines = text.splitlines()
    for place, line in enumerate(lines):
        if line.startswith(f"[{key}"):
            lines.insert(place + 1, f"{json.dumps(name)} = {toml}")
            break
    return "\n".join(lines)


def _runs(found):
    plan.runs(plan.override(found, [0], None))


def configurations(folder: Path):
    """Flags from a file."""
    toml, saved = folder / "flags.toml", folder / "args.json"
    toml.write_text('epoch = 30\nis_naive = true\ndataset_pose = ["mtfl"]\n')
    arguments = {"epoch": 3, "dataset_pose": ["mtfl"], "weights": None}
    saved.write_text(json.dumps({"arguments": arguments}))
    names = st.sampled_from(["epoch", "dataset_x", "config", "runs"]) | TEXTS

    def line(drawn):
        name, value = drawn
        text = f"{json.dumps(name)} = {json.dumps(value)}"  # nearly TOML
        return toml, text.encode(errors="surrogatepass")

    def read(path):
        command_line.parse(ALTERNATIVE_EP.parser(), [f"--config={path}"])

    strategy, read_changed = on_files([toml, saved], read)
    return strategy | st.tuples(names, VALUES).map(line), read_changed


def runs(folder: Path):
    """Folders of runs, and of a comparison."""
    run = _run(folder / "run")
    (wanted,) = _planned()
    out = folder / "out"
    out.mkdir()
    _run(out / wanted.folder)
    results.write_tables([wanted], out)
    state_path = run / state.FILE
    text = json.dumps({"state": {"round": 2}, "rows": [{"loss": 0.5}]})
    np.savez(
        state_path, json=np.array(text), **{"network/0000": np.ones((2, 3))}
    )
    parser = STL_general_train.parser

    def read(path):
        if path == state_path:
            state.read(path)
        elif path.name == "args.json" and path.parent == run:
            command_line.parse(parser(), [f"--resume={run}"])
        elif path.parent == out:
            comparison = read_comparison(out)
            report.markdown(comparison, summary.numbers(comparison))
        elif path.parent.name == "finished":
            publish.compare_seeds([path.parent])
        else:
            results.write_tables([wanted], out)

    other = out / wanted.folder
    paths = [*other.iterdir(), *out.glob("*.csv")]
    paths += [run / "args.json", run / "finished" / "result.json", state_path]
    return on_files([p for p in paths if p.is_file()], read)


def _planned():
    words = ("--dataset=mtfl", "--task_type=pose")
    args = command_line.parse(STL_general_train.parser(), list(words))
    place = Path("runs", "pair", "naive", "seed0")
    yield plan.Run(
        *("pair", "naive", "naive", 0, ("pose",), place),
        *("STL_general_train", words, args),
    )


def _run(folder):
    """The folder of a run; that it is finished is in a folder of its own."""
    folder.mkdir(parents=True)
    (arguments,) = _planned()
    run_folder.write_args(folder, vars(arguments.args))
    labels = np.arange(10) % len(POSE)
    matrix = np.diag(np.bincount(labels, minlength=len(POSE)))
    scores = {
        **{"accuracy": 1.0, "balanced_accuracy": 1.0, "macro_f1": 1.0},
        **{"count": 10, "confusion": matrix},
    }
    entry = {"classes": list(POSE), "validation": scores, "test": scores}
    result = dict.fromkeys(results.COSTS, 1.0) | {"tasks": {"pose": entry}}
    result |= {"forgetting": {"pose": {"drop": 0.1}}}
    is_stopped = folder.name == "run"
    target = folder / "finished" if is_stopped else folder
    target.mkdir(exist_ok=True)
    run_folder.write_result(target, result)
    if is_stopped:
        (target / "args.json").write_bytes((folder / "args.json").read_bytes())
        return folder
    frame = pd.DataFrame(np.eye(len(POSE))[labels], columns=POSE)
    frame.insert(0, "label", labels)
    frame.insert(0, "path", [f"{index}.png" for index in range(10)])
    frame.insert(0, "dataset", "mtfl")
    run_folder.write_predictions(folder, "test", {"pose": frame})
    rows = [{"round": 1, "dataset": "mtfl", "loss": 0.5}]
    pd.DataFrame(rows).to_csv(folder / "metrics.csv", index=False)
    return folder


def networks(folder: Path):
    """Trained networks and their descriptions."""
    from samtl import networks as library

    network = library.build("mini_xception", [TASK])
    archive, weights = folder / "best.keras", folder / "best.weights.h5"
    network.save(archive)
    network.save_weights(weights)
    labels = folder / "labels.json"
    content = {
        "tasks": {"pose": list(POSE)},
        "input": {"shape": ["batch", 64, 64, 1]},
        **{"margin": 0.7, "temperatures": {"pose": 1.5}, "no_flip": []},
        **{"sha256": {"best.keras": "0"}, "age_years": [1, 2]},
    }
    labels.write_text(json.dumps(content))

    def read(path):
        if path == labels:
            loading._describe(archive)
        else:
            library.load_weights(network, path)

    return on_files([archive, weights, labels], read)


def pictures(folder: Path):
    """Images of all formats that are read."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (12, 10, 3), dtype=np.uint8)
    paths = []
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"):
        paths.append(folder / f"picture.{kind.lower()}")
        Image.fromarray(pixels).save(paths[-1], kind)

    def read(path):
        crops.decode(path, "RGB")
        inputs.size(path)
        images.read(path, (8, 8, 3))
        inputs.read(path)

    return on_files(paths, read)


KINDS = {
    kind.__name__: kind
    for kind in (
        commands,
        configurations,
        sets,
        lists,
        plans,
        runs,
        networks,
        pictures,
    )
}
