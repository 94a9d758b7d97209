"""From labels to traits of a synthetic face.

The distributions of different classes overlap, so that labels can be learned
but not read off: a weak smile is almost neutral, some women have short hair,
some sixty-year-olds dyed hair.
"""

import numpy as np

from data_preparation.drawing import expressions, hair
from data_preparation.drawing.canvas import darker, mix
from data_preparation.drawing.portrait import Face, Photo
from data_preparation.drawing.surfaces import Light

# |yaw| in degrees at which a face is no longer frontal, and is a profile.
POSE_EDGES = (15.0, 45.0)
LARGEST_YAW = 85.0
YEARS = (
    (0.3, 3),
    (4, 7),
    (8, 14),
    (15, 21),
    (25, 33),
    (38, 44),
    (48, 54),
    (62, 88),
)
# Years, and how much of a child's or an old person's face goes with them.
# Steep between the age groups, flat inside them.
CHILDHOOD = (
    (1, 3, 4, 7, 8, 14, 15, 21, 25),
    (1, 0.96, 0.78, 0.7, 0.52, 0.44, 0.25, 0.17, 0),
)
AGEING = (
    (21, 25, 33, 38, 44, 48, 54, 62, 88),
    (0, 0.08, 0.14, 0.4, 0.46, 0.7, 0.76, 1.0, 1.15),
)

SKINS = (
    (246, 208, 184),
    (238, 190, 160),
    (226, 172, 138),
    (205, 150, 116),
    (176, 120, 86),
    (138, 90, 62),
    (104, 66, 46),
)
IRISES = ((70, 44, 26), (92, 64, 36), (88, 116, 78), (84, 124, 160))


def sample(emotion, yaw, is_man, years, generator):
    """A face with given labels.

    Args:
        emotion: a key of EXPRESSIONS.
        yaw: degrees, positive towards the image's right.
        is_man: True for a man or a boy.
        years: of age.
        generator: numpy.random.Generator; the rest depends on nothing else.
    """
    rng = generator
    # How much of a child's face is left; how manly the bones are.
    childlike = np.interp(years, *CHILDHOOD)
    childlike = float(np.clip(childlike + rng.normal(0, 0.02), 0, 1))
    manly = (0.5 if is_man else -0.5) * (1 - 0.4 * childlike)
    manly = float(manly + rng.normal(0, 0.14))
    aged = np.interp(years, *AGEING)
    aged = float(np.clip(aged + rng.normal(0, 0.025), 0, 1.1))
    traits = _proportions(childlike, manly, aged, rng)
    traits |= _skin(childlike, manly, aged, rng)
    traits |= hair.sample(is_man, years, traits["skin"], rng)
    traits |= _paint(is_man, years, manly, traits, rng)
    traits |= _worn(is_man, years, rng)
    traits |= expressions.sample(emotion, rng)
    traits["chin_y"] += 0.17 * traits["mouth_open"]
    return Face(
        yaw=float(yaw),
        pitch=float(rng.normal(0, 6)),
        roll=float(rng.normal(0, 7)),
        childlike=childlike,
        **traits,
    )


def yaw_in(pose, generator):
    """An angle inside a pose class, degrees."""
    edges = (-POSE_EDGES[0], *POSE_EDGES, LARGEST_YAW)
    side, turned = (1, pose - 2) if pose >= 2 else (-1, 2 - pose)
    return side * float(generator.uniform(edges[turned], edges[turned + 1]))


def photograph(generator, roughness=1.0):
    """A lamp, a background and a camera.

    Args:
        generator: numpy.random.Generator.
        roughness: factor on blur, grain and careless framing.
    """
    rng, rough = generator, roughness
    direction = np.array(
        [rng.normal(0, 0.6), -rng.uniform(0, 0.9), rng.uniform(0.5, 1)]
    )
    direction /= np.linalg.norm(direction)
    base = rng.uniform(30, 225, 3)
    base = mix(base, np.full(3, base.mean()), rng.uniform(0.2, 0.8))
    spots = base + rng.normal(0, rng.uniform(3, 40), (4, 4, 1))
    spots = spots + rng.normal(0, rng.uniform(2, 14), (4, 4, 3))
    return Photo(
        light=Light(
            direction.astype(np.float32),
            float(rng.uniform(0.3, 0.62)),
            float(rng.uniform(-1, 1)),
        ),
        background=np.clip(spots, 0, 255).astype(np.float32),
        scale=float(np.exp(rng.normal(0.22, 0.06 * rough))),
        shift=tuple(rng.normal(0, 0.025 * rough, 2)),
        blur=float(rng.uniform(0, 0.7 * rough)),
        noise=float(rng.uniform(1, 7 * rough)),
        exposure=float(np.exp(rng.normal(0, 0.14))),
        seed=int(rng.integers(2**32)),
    )


def _proportions(childlike, manly, aged, rng):
    def vary(mean, deviation):
        return float(mean + rng.normal(0, deviation))

    child = childlike
    eye_y = vary(0.01 + 0.3 * child - 0.03 * aged, 0.012)
    nose_y = vary(eye_y + 0.37 - 0.13 * child + 0.08 * aged, 0.012)
    return {
        "width": vary(0.68 + 0.2 * child + 0.02 * manly, 0.014),
        "jaw": float(
            np.clip(vary(2.5 + 0.9 * manly + 0.3 * child, 0.2), 1.9, 4)
        ),
        "chin_y": vary(0.97 - 0.05 * child + 0.04 * manly + 0.07 * aged, 0.012),
        "chin_out": max(0.0, vary(0.8 + 0.5 * manly - 0.5 * child, 0.2)),
        "cheek": max(0.0, vary(0.01 + 0.08 * child, 0.012)),
        "hollow": float(np.clip(vary(0.8 * aged - 0.2, 0.2), 0, 1)),
        "jowl": max(0.0, vary(aged - 0.2, 0.15)),
        "brow_ridge": max(0.0, vary(0.025 + 0.035 * manly * (1 - child), 0.01)),
        "eye_y": eye_y,
        "eye_s": vary(0.44 + 0.03 * child, 0.012),
        "eye_size": vary(
            1.34 + 0.6 * child - 0.14 * manly - 0.28 * aged, 0.035
        ),
        "brow_y": eye_y - vary(0.25 + 0.03 * child - 0.05 * manly, 0.015),
        "nose_y": nose_y,
        "nose_out": vary(0.2 - 0.12 * child + 0.03 * manly, 0.015),
        "nose_width": vary(0.105 + 0.012 * manly + 0.03 * aged, 0.01),
        "mouth_y": vary(nose_y + 0.245 - 0.06 * child, 0.012),
        "ear": vary(1.0 + 0.3 * aged, 0.05),
        "neck": vary(0.38 - 0.13 * child + 0.05 * manly, 0.015),
        "shoulders": vary(1.05 - 0.45 * child + 0.2 * manly, 0.05),
    }


def _skin(childlike, manly, aged, rng):
    place = rng.uniform(0, len(SKINS) - 1.001)
    first = int(place)
    skin = mix(SKINS[first], SKINS[first + 1], place - first)
    skin = skin * (1 - 0.05 * aged) + rng.normal(0, 3, 3)
    # Spots of age all over; freckles, smaller, around a child's nose.
    spots = [
        (rng.uniform(-0.9, 0.9), rng.uniform(-0.6, 0.8), 0.035)
        for _ in range(rng.poisson(0.2 + 9 * max(0, aged - 0.6)))
    ]
    freckled = 11 * np.exp(-(((childlike - 0.48) / 0.1) ** 2))
    spots += [
        (rng.normal(0, 0.3), rng.normal(0.42, 0.08), 0.022)
        for _ in range(rng.poisson(freckled))
    ]
    return {
        "skin": skin,
        "rosy": float(
            np.clip(rng.normal(0.15 + 0.55 * childlike**1.5, 0.06), 0, 1)
        ),
        "wrinkles": float(np.clip(aged + rng.normal(0, 0.03), 0, 1)),
        "droop": float(np.clip(aged - 0.3 + rng.normal(0, 0.1), 0, 1)),
        "spots": tuple(spots),
        "iris": IRISES[rng.integers(len(IRISES))],
    }


def _paint(is_man, years, manly, traits, rng):
    """Brows, lids, lips and beard."""
    skin = traits["skin"]
    made_up = not is_man and rng.random() < np.interp(
        years, (14, 17, 28, 60), (0, 0.3, 0.75, 0.5)
    )
    red = (176, 40, 62) if made_up else (196, 84, 84)
    lips = np.clip(rng.normal(0.7 - 0.35 * manly, 0.12), 0.15, 1.1)
    lips *= 1 - 0.4 * traits["wrinkles"]
    beard, kind = 0.0, rng.random()
    if is_man and years > 15:
        ripe = float(np.clip((years - 16) / 10, 0.1, 1))
        if kind < 0.25 * ripe:
            beard = rng.uniform(0.45, 0.85)
        elif kind < 0.65:
            beard = rng.uniform(0.03, 0.35) * ripe
    young = float(np.clip(years / 15, 0.3, 1))
    share = rng.uniform(0.4, 0.75) if made_up else rng.uniform(0.25, 0.5)
    return {
        "lashes": float(
            np.clip(rng.normal(0.35 * made_up + 0.25 - 0.4 * manly, 0.1), 0, 1)
        ),
        "shadow": float(made_up * (rng.random() < 0.4) * rng.uniform(0.2, 0.5)),
        "shadow_colour": tuple(rng.uniform(60, 170, 3)),
        "lips": float(lips),
        "lip_colour": mix(darker(skin, 0.12), red, share),
        "brow_thick": float(
            np.clip(rng.normal(0.07 + 0.025 * manly, 0.009), 0.03, 0.1)
            * young**0.3
        ),
        "brow_alpha": float(rng.uniform(0.75, 0.95) * young**0.6),
        "brow_colour": mix(darker(traits["beard_colour"], 0.2), skin, 0.1),
        "beard": float(beard),
        "is_goatee": bool(rng.random() < 0.3),
    }


def _worn(is_man, years, rng):
    base = rng.uniform(20, 235, 3)
    if years < 15:
        likely = (70, 120, 200) if is_man else (225, 110, 160)
        base = mix(base, likely, rng.uniform(0, 0.8))
    elif is_man:
        base = base * rng.uniform(0.4, 0.9)
    collar = base * 0.8 if rng.random() < 0.6 else rng.uniform(180, 245, 3)
    glasses = rng.random() < np.interp(years, (3, 30, 45), (0.02, 0.15, 0.4))
    earrings = band = None
    if not is_man and rng.random() < (0.3 if years > 12 else 0.1):
        earrings = ((222, 190, 90), (220, 222, 228))[rng.integers(2)]
    if not is_man and rng.random() < (0.55 if years < 14 else 0.06):
        band = tuple(mix((230, 70, 130), rng.uniform(20, 235, 3), 0.5))
    return {
        "glasses": bool(glasses),
        "glasses_colour": tuple(rng.uniform(20, 110, 3)),
        "earrings": earrings,
        "band": band,
        "clothes": base,
        "collar": collar,
        "neckline": float(rng.uniform(-0.05, 0.15)),
    }
