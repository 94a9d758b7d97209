"""Flags from a file: TOML, or the args.json of a run."""

import tomllib
from pathlib import Path

from samtl.common import files
from samtl.common.errors import UserError, reason

# Of one run only, or facts beside its flags (see `training.opening`).
UNREPEATED = (
    *("resume", "run_dir", "method", "script", "tables_sha256", "classes"),
    *("weights_sha256", "teachers", "images_fingerprint"),
)


def read(path: Path) -> dict:
    """{flag: value} of a file; a value is a text, number, bool or list.

    Raises:
        UserError: the file cannot be read, or holds other values.
    """
    try:
        if path.suffix == ".json":
            values = {**files.read_json(path)["arguments"]}
            values = {
                name: value
                for name, value in values.items()
                if name not in UNREPEATED
            }
        else:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"cannot read --config={path}: {reason(error)}; give a TOML file, "
            "or the args.json of a run"
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(
            f"--config={path} is neither TOML nor the args.json of a run "
            f"({reason(error)}); write lines such as epoch = 30"
        ) from error
    for name, value in values.items():
        if not name.isidentifier():
            raise UserError(
                f"--config={path}: {name!r} is not the name of a flag; --help "
                "lists all flags"
            )
        if isinstance(value, dict):
            raise UserError(
                f"--config={path}: [{name}] is a table; write its flags "
                "without one, in lines such as epoch = 30"
            )
    return values
