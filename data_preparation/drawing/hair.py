"""Which hair somebody of an age and gender wears, as traits of a Face."""

import numpy as np

from data_preparation.drawing.canvas import mix

COLOURS = (
    (28, 22, 22),
    (44, 30, 24),
    (72, 46, 30),
    (104, 68, 40),
    (150, 106, 58),
    (206, 168, 104),
    (146, 66, 32),
)
GREY = (196, 194, 192)
BABY = (210, 180, 130)

# How frequent a style is at these ages; interpolated between them.
YEARS = (2, 5, 10, 17, 28, 41, 51, 70)
WOMEN = {
    "fuzz": (60, 0, 0, 0, 0, 0, 0, 0),
    "bald": (15, 0, 0, 0, 0, 0, 0, 0),
    "pigtails": (0, 50, 20, 0, 0, 0, 0, 0),
    "ponytail": (0, 15, 40, 20, 10, 5, 5, 0),
    "long": (0, 15, 20, 50, 45, 20, 10, 4),
    "bob": (0, 20, 20, 20, 25, 45, 40, 30),
    "bun": (0, 0, 0, 5, 15, 15, 15, 22),
    "short": (25, 0, 0, 5, 5, 15, 30, 44),
}
MEN = {
    "fuzz": (60, 0, 0, 0, 0, 0, 0, 0),
    "bald": (15, 0, 0, 0, 4, 12, 22, 38),
    "buzz": (0, 10, 10, 20, 25, 15, 10, 5),
    "short": (25, 85, 82, 62, 60, 65, 62, 55),
    "bob": (0, 5, 5, 8, 4, 3, 2, 1),
    "long": (0, 0, 3, 10, 7, 5, 4, 1),
}
FRINGE = {
    True: (0, 0.7, 0.6, 0.3, 0.1, 0.05, 0, 0),
    False: (0, 0.55, 0.5, 0.35, 0.3, 0.2, 0.15, 0.1),
}
# The lowest and highest end of hanging hair, in units of half a head.
LENGTHS = {"bob": (0.75, 1.0), "long": (1.25, 1.6)}
BULK = {
    "buzz": 0.01,
    "fuzz": 0.01,
    "bun": 0.05,
    "ponytail": 0.05,
    "pigtails": 0.05,
    "bob": 0.16,
    "long": 0.14,
}


def sample(is_man, years, skin, rng):
    """Hair traits; `skin` is the RGB colour that goes with it."""
    style = _style(MEN if is_man else WOMEN, years, rng)
    curl = float(rng.random() < 0.25) * float(rng.uniform(0.4, 1))
    noise = rng.normal(0.5, 0.17, (18, 46) if curl else (7, 90))
    noise[:, -1] = noise[:, 0]  # it goes around the head
    fringe = rng.random() < np.interp(years, YEARS, FRINGE[is_man])
    fringe = bool(fringe) and style not in ("buzz", "bald", "fuzz")
    receding = (years - 25) / 45 + rng.normal(0, 0.25) if is_man else 0.0
    high = np.interp(years, (28, 70), (-0.57, -0.65)) + 0.2 * fringe
    out = BULK.get(style, rng.uniform(0.04, 0.13))
    return _colours(is_man, years, skin, rng) | {
        "hair": style,
        "hairline": float(high + rng.normal(0, 0.03)),
        "receding": 0.0 if fringe else float(np.clip(receding, 0, 1)),
        "parting": 0.0 if rng.random() < 0.4 else float(rng.uniform(-1, 1)),
        "fringe": fringe,
        "hair_top": float(out + rng.uniform(0.0, 0.06) + 0.1 * curl),
        "hair_out": float(out * (1 + 0.8 * curl)),
        "hair_length": float(rng.uniform(*LENGTHS.get(style, (0.0, 0.0)))),
        "hair_tuck": float(rng.uniform(0, 1)) if style == "bob" else 0.0,
        "curl": curl,
        "noise": np.clip(noise, 0, 1).astype(np.float32),
    }


def _style(styles, years, rng):
    shares = np.array([np.interp(years, YEARS, s) for s in styles.values()])
    return list(styles)[rng.choice(len(shares), p=shares / shares.sum())]


def _colours(is_man, years, skin, rng):
    """Of hair and, not dyed, of beard and brows."""
    kinds = 3 if float(np.mean(skin)) < 150 else len(COLOURS)
    colour = np.float32(COLOURS[rng.integers(kinds)])
    colour = mix(colour, BABY, 0.35 if years < 3 else 0.0)
    grey = np.interp(years, (34, 41, 51, 64), (0.0, 0.3, 0.7, 1.0))
    grey = float(np.clip(grey + rng.normal(0, 0.08), 0, 1))
    grey = grey if years > 30 else 0.0
    is_dyed = not is_man and rng.random() < 0.12
    worn = mix(colour, GREY, grey * (0.3 if is_dyed else 1.0))
    return {
        "hair_colour": worn.astype(np.float32),
        "beard_colour": mix(colour, GREY, grey),
    }
