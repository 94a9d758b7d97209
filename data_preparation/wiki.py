"""WIKI: portraits of people from Wikipedia, with gender and age.

Source folder, with the archive wiki_crop.tar unpacked in it, or the folder
wiki_crop itself:

    wiki_crop/wiki.mat    struct with one entry a face: dob, photo_taken,
                          full_path, gender, name, face_location, face_score,
                          second_face_score
    wiki_crop/00/ ...     the faces, cut out with 40 % of their size around

It is the smaller part of IMDB-WIKI and read like the other one, see
`python -m data_preparation imdb --help`.
"""

from data_preparation import common, imdb

DATASET = common.Dataset(
    name="wiki",
    title="8 age groups and gender, 62,328 portraits from Wikipedia",
    url=f"{imdb.URL} (wiki_crop.tar)",
    tasks=imdb.TASKS,
    citation=imdb.CITATION,
    terms=imdb.TERMS,
)
add_arguments = imdb.add_arguments


def read(args):
    """Read wiki.mat as `imdb.read` does."""
    return imdb.read(args, DATASET.name)


def prepare(args):
    """Write db/wiki.csv, its JSON and its crops."""
    imdb.prepare(args, DATASET)
