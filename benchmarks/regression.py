"""Do tiny runs of every script and method give the same bits as before?

    python -m benchmarks.regression before.json --checkout OLD_CHECKOUT
    python -m benchmarks.regression after.json
    python -m benchmarks.regression after.json --against before.json

Each run is a command line of two to four rounds on synthetic faces. What is
recorded are the losses and scores of every round, a SHA-256 of the trained
weights and one of the predictions. Bits are comparable on one machine only,
with the same packages.
"""

import argparse
import contextlib
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from rich.progress import track

HERE = Path(__file__).resolve().parent.parent
SHORT = "--epoch=2 --limit 96 --is_augmentation=True"
PLAIN = "--is_pesudo_confidence=False --is_pesudo_density=False"
PLAIN += " --is_pesudo_distribution=False"
TINY_JOINT = "--dataset_emotion=synthetic_emotion --dataset_pose=synthetic_pose"
ALL_FOUR = f"{TINY_JOINT} --dataset_gender=synthetic_gender_age"
ALL_FOUR += " --dataset_age=synthetic_gender_age"
MANIFOLD = "CONFUSION_EP_multitask_manifold.py"
JOINT = "CONFUSION_EP_multitask.py"
# name -> command line; {runs} is the folder of all runs.
RUNS = {
    "EP naive": f"ALTERNATIVE_EP.py {SHORT} --is_naive=True",
    "EP dml-lwf": f"ALTERNATIVE_EP.py {SHORT} --is_distilled=True distill_t=1",
    "EP distilled": f"ALTERNATIVE_EP.py {SHORT} --is_distilled=True",
    "EP hard": f"ALTERNATIVE_EP.py {SHORT}",
    "EP hard, by class": f"ALTERNATIVE_EP.py {SHORT} "
    "--selection_scope=class --gmm_scope=all --distribution_metric=emd",
    "EP interpolation": f"ALTERNATIVE_EP.py {SHORT} --is_interpolation=True "
    "--selection_threshold=0 --cluster_k=4",
    "EP constant": f"ALTERNATIVE_EP.py {SHORT} --is_interpolation=True "
    "--interpolation_weights=0.5",
    "EP confidence": f"ALTERNATIVE_EP.py {SHORT} --is_pesudo_confidence=True",
    "EP density": f"ALTERNATIVE_EP.py {SHORT} --is_pesudo_density=True "
    "--density_exact_limit=20",
    "EP distribution": f"ALTERNATIVE_EP.py {SHORT} "
    "--is_pesudo_distribution=True --distribution_metric=mmd --gamma=2",
    "EP pseudo": f"ALTERNATIVE_EP.py {SHORT} {PLAIN}",
    "EP warm-up": f"ALTERNATIVE_EP.py {SHORT} --pseudo_warmup=1",
    "EP mini_resnet": f"ALTERNATIVE_EP.py {SHORT} --model=mini_resnet "
    "--is_dropout=True --weights_decay=0.0001 --cross_stitch=True",
    "EP two stages": f"ALTERNATIVE_EP.py {SHORT} --epoch=4 "
    "--is_freezing=True --no_freezing_epoch=2 --ema_momentum=0.9",
    "EP weights": f"ALTERNATIVE_EP.py {SHORT} --class_weights=balanced "
    "--P_loss_weights=2 --E_loss_weights=0.5 --schedule=constant "
    "--bn_statistics=running --augmentation_strength 2 synthetic_pose:0.5",
    "EP patience": "ALTERNATIVE_EP.py --epoch=4 --limit 64 --patience=1 "
    "--votes=False --seed=3",
    "EP labels": f"ALTERNATIVE_EP.py {SHORT} "
    "--dataset_emotion=synthetic_emotion "
    "--dataset_pose=synthetic_pose --labels synthetic_pose:pose",
    "EA": f"ALTERNATIVE_EA.py {SHORT}",
    "EGA": f"ALTERNATIVE_EGA.py {SHORT}",
    "EPGA": f"ALTERNATIVE_EPGA.py {SHORT} --epoch=3",
    "joint all-in-one": f"{JOINT} {SHORT} --is_naive=True",
    "joint lel-ltn": f"{JOINT} {SHORT} {PLAIN} --ltn_warmup=1",
    "joint dcn-ap": f"{JOINT} {SHORT} --is_MRF=True",
    "joint matching": f"{JOINT} {SHORT} --is_matching=True",
    "joint distilled": f"{JOINT} {SHORT} --is_distilled=True",
    "joint hard": f"{JOINT} {SHORT} --pseudo_warmup=1",
    "joint interpolation": f"{JOINT} {SHORT} --is_interpolation=True",
    "joint four tasks": f"{JOINT} {SHORT} {ALL_FOUR} --class_weights=age",
    "joint lel-ltn, four tasks": f"{JOINT} {SHORT} {ALL_FOUR} {PLAIN} "
    "--ltn_warmup=1 --A_loss_weights=0.5",
    "joint dcn-ap, four tasks": f"{JOINT} {SHORT} {ALL_FOUR} --is_MRF=True "
    "--ema_momentum=0.9",
    "manifold slrm": f"{MANIFOLD} {SHORT}",
    "manifold sfsmr": f"{MANIFOLD} {SHORT} --is_nuclear_norm=False",
    "manifold lnorm": f"{MANIFOLD} {SHORT} --is_lnorm=True --lnorm_weight=0.1",
    "manifold smoothness": f"{MANIFOLD} {SHORT} --is_trace_norm=True",
    "manifold nuclear": f"{MANIFOLD} {SHORT} --is_nuclear_norm=True",
    "single emotion": f"STL_general_train.py {SHORT}",
    "single pose": f"STL_general_train.py {SHORT} --task_type=10",
    "single gender": f"STL_general_train.py {SHORT} --task_type=gender "
    "--model=wide_resnet",
    "single age": f"STL_general_train.py {SHORT} --task_type=1",
    "single, vggface": "STL_general_train.py --epoch=2 --limit 8 "
    "--batch_size=4 --model=vggFace --is_bn=True --is_dropout=True "
    "--weights_decay=0.001 --is_freezing=True --no_freezing_epoch=1",
}
# These read what a run above has left.
LATER = {
    "joint teacher": f"{JOINT} {SHORT} --is_distilled=True "
    "--teacher {runs}/single_emotion/best.keras {runs}/single_pose/best.onnx "
    "--teacher_share=0.5",
    "joint, from weights": f"{JOINT} {SHORT} --is_naive=True "
    "--weights={runs}/EP_hard/best.keras",
}
TIMES = ("seconds", "images_per_second", "peak_memory_mib")


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("record", type=Path, help="JSON file to write or read")
    parser.add_argument(
        "--against", type=Path, help="compare with this record, run nothing"
    )
    parser.add_argument(
        "--checkout", type=Path, default=HERE, help="code to run"
    )
    parser.add_argument("--data_dir", type=Path, default=Path("data"))
    parser.add_argument("--runs", type=Path, help="folder to keep the runs in")
    parser.add_argument("--only", default="", help="runs with this in the name")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args(argv)
    if args.against:
        return compare(args.against, args.record)
    with contextlib.ExitStack() as stack:
        runs = args.runs or Path(
            stack.enter_context(tempfile.TemporaryDirectory())
        )
        found = {}
        for group in (RUNS, LATER):
            names = [name for name in group if args.only in name]
            found |= _record_all(names, group, args, runs.absolute())
    args.record.write_text(json.dumps(found, indent=1) + "\n")
    return None


def _record_all(names, commands, args, runs):
    def one(name):
        return record(commands[name], runs / _folder(name), args, runs)

    with ThreadPoolExecutor(args.jobs) as pool:
        found = track(pool.map(one, names), "runs", total=len(names))
        return dict(zip(names, found, strict=True))


def _folder(name):
    return name.replace(",", "").replace(" ", "_")


def record(command, run, args, runs):
    """Run a command line; returns what it gives.

    Args:
        command: words after `python`.
        run: folder of the run, made.
        args: `main`'s arguments.
        runs: folder that {runs} stands for.

    Returns:
        {"rounds", "weights", "predictions"}, or {"error": text}.
    """
    words = command.replace("{runs}", str(runs)).split()
    words += [f"--data_dir={args.data_dir.absolute()}", f"--run_dir={run}"]
    done = subprocess.run(
        [sys.executable, *words],
        cwd=args.checkout,
        capture_output=True,
        text=True,
        env={**os.environ, "MPLBACKEND": "Agg"},
    )
    if done.returncode:
        return {"error": done.stderr[-2000:]}
    return read(run)


def read(run):
    """What a finished run gives; see `record`."""
    rows = pd.read_csv(run / "metrics.csv")
    rows = rows[[c for c in rows if not c.endswith(TIMES)]]
    return {
        "rounds": json.loads(rows.to_json(orient="records")),
        "weights": _weights_digest(run / "best.keras"),
        "predictions": {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(run.glob("predictions_*.csv"))
        },
    }


def _weights_digest(path):
    """SHA-256 of the arrays of a .keras file, in the order of its layers."""
    digest = hashlib.sha256()

    def add(name, item):
        if isinstance(item, h5py.Dataset):
            digest.update(name.encode() + np.asarray(item).tobytes())

    with zipfile.ZipFile(path) as archive:
        data = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(data) as file:
        file.visititems(add)
    return digest.hexdigest()


def compare(before, after):
    """Print where two records differ; returns 1 if they do."""
    before, after = (json.loads(p.read_text()) for p in (before, after))
    differing = 0
    for name, new in after.items():
        old = before.get(name, {})
        parts = [key for key in old | new if old.get(key) != new.get(key)]
        if parts:
            differing += 1
            print(f"{name}: {', '.join(parts)} differ")
    print(f"{len(after)} runs compared, {differing} differ")
    return int(differing > 0)


if __name__ == "__main__":
    sys.exit(main())
