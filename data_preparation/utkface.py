"""UTKFace: faces from birth to old age, with age, gender and ethnicity.

Source folder, the aligned and cropped faces of UTKFace.tar.gz, unpacked; the
folder UTKFace in it or the one around it:

    AGE_GENDER_RACE_DATE.jpg.chip.jpg    200 x 200 pixels, such as
                                         25_1_0_20170109142408075.jpg.chip.jpg

The labels are in the name: age in years, 0 to 116; gender, 0 male or 1 female;
race, here `ethnicity`, 0 white, 1 black, 2 Asian, 3 Indian or 4 others. Three
published names lack a part; they are dropped as malformed.

A chip shows a face from forehead to chin, as the crops of MTFL and FER+ do,
and is kept whole. Neither splits nor identities are published: the splits are
drawn with equal shares of the age groups.
"""

import re

import pandas as pd

from data_preparation import ages, common, raw
from samtl.common.errors import UserError
from samtl.data.tasks import AGE, ETHNICITY, GENDER, Task
from samtl.faces import inputs

DATASET = common.Dataset(
    name="utkface",
    title="8 age groups, gender and ethnicity, 23,708 faces of ages 0 to 116",
    url="https://susanqq.github.io/UTKFace/ (UTKFace.tar.gz)",
    tasks=(Task("age", AGE), Task("gender", GENDER)),
    partial=(Task("ethnicity", ETHNICITY),),
    citation=(
        "Zhang, Song, Qi: Age Progression/Regression by Conditional "
        "Adversarial Autoencoder, CVPR 2017"
    ),
    terms=(
        "for non-commercial research; photos belong to their copyright holders"
    ),
)
# One published name has a blank before .jpg; another one has no dot. Copies of
# the set have shorter names.
ENDING = r" ?\.?(?i:jpe?g|png)(?:\.chip\.jpg)?"
NAME = re.compile(rf"([0-9]{{1,3}})_([01])_([0-4])_[0-9]+{ENDING}")
SUFFIXES = (".jpg", ".jpeg", ".png")
# Digit in the name -> class name.
GENDERS = {"0": "male", "1": "female"}
OLDEST = 116
MALFORMED, IMPOSSIBLE = "malformed name", "impossible age"


def add_arguments(parser):
    """Declare the flags; the margin is that of a box that is detected."""
    common.add_arguments(parser, margin=0.0)


def prepare(args):
    """Write db/utkface.csv, its JSON and its crops."""
    layout = "*.jpg.chip.jpg"
    common.build(DATASET, read(args), args, layout, columns=["age_years"])


def read(args):
    """Read the labels from the names of the images.

    Returns:
        DataFrame as described in `common`, with `age_years`.

    Raises:
        UserError: the folder holds no chips.
    """
    folder = args.source
    while (folder / "UTKFace").is_dir():  # unpacked in a folder of that name
        folder /= "UTKFace"
    paths = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not inputs.is_apples(path)
    )
    rows = [parse_name(path.name) for path in paths]
    if all(row["reason"] == MALFORMED for row in rows):
        raise UserError(
            f"{folder} has no file named like 25_1_0_20170109142408075.jpg."
            f"chip.jpg but {raw.found(folder)}; unpack UTKFace.tar.gz there"
        )
    names = [path.name for path in paths]
    return pd.DataFrame(rows).assign(
        source=paths,
        name=names,
        crop=[re.sub(ENDING, "", name) + ".jpg" for name in names],
        box=None,
        split="",
        group=names,
    )


def parse_name(name):
    """Read the labels in a file's name.

    Returns:
        dict: age, gender and ethnicity (class indices), age_years and reason
        ("", or "malformed name" or "impossible age" with -1 for the labels).
    """
    labels = ("age", "gender", "ethnicity", "age_years")
    bad = {**dict.fromkeys(labels, -1), "reason": MALFORMED}
    match = NAME.fullmatch(name)
    if not match:
        return bad
    years = int(match[1])
    if years > OLDEST:
        return {**bad, "reason": IMPOSSIBLE}
    return {
        "age": int(ages.group(years)),
        "gender": GENDER.index(GENDERS[match[2]]),
        "ethnicity": int(match[3]),
        "age_years": years,
        "reason": "",
    }
