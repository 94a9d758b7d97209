"""Facial expressions: means and deviations of the muscle actions."""

import numpy as np

# Mean muscle actions after Ekman and Friesen's action units; one emotion may
# have several faces.
EXPRESSIONS = {
    "angry": (
        {
            "brow_lower": 1.0,
            "knit": 1.0,
            "cheek_raise": 0.35,
            "smile": -0.35,
            "lip_press": 0.9,
            "mouth_width": -0.1,
        },
        {
            "brow_lower": 1.0,
            "knit": 1.0,
            "eye_open": 0.15,
            "lip_raise": 0.35,
            "smile": -0.4,
            "mouth_open": 0.4,
            "teeth": 0.7,
            "teeth_below": 0.7,
        },
    ),
    "disgust": (
        {
            "nose_wrinkle": 1.0,
            "brow_lower": 0.6,
            "knit": 0.3,
            "cheek_raise": 0.7,
            "eye_open": -0.25,
            "lip_raise": 1.0,
            "smile": -0.45,
            "mouth_open": 0.12,
            "teeth": 0.6,
        },
    ),
    "fear": (
        {
            "brow_inner": 1.0,
            "brow_outer": 0.25,
            "knit": 0.6,
            "eye_open": 0.45,
            "smile": -0.35,
            "mouth_open": 0.35,
            "mouth_width": 0.22,
            "teeth": 0.45,
            "teeth_below": 0.6,
        },
    ),
    "happy": (
        {
            "smile": 0.85,
            "cheek_raise": 0.6,
            "mouth_width": 0.15,
        },
        {
            "smile": 1.0,
            "cheek_raise": 0.8,
            "eye_open": -0.1,
            "mouth_open": 0.32,
            "mouth_width": 0.2,
            "teeth": 1.0,
        },
    ),
    "sad": (
        {
            "brow_inner": 0.95,
            "brow_outer": -0.35,
            "knit": 0.4,
            "eye_open": -0.3,
            "gaze_down": 0.03,
            "smile": -0.8,
            "mouth_width": -0.08,
        },
    ),
    "surprise": (
        {
            "brow_inner": 0.95,
            "brow_outer": 1.0,
            "eye_open": 0.5,
            "mouth_open": 0.85,
            "mouth_width": -0.25,
            "teeth": 0.25,
        },
    ),
    "neutral": ({},),
}
# Standard deviation of every action from face to face.
ACTIONS = {
    "brow_inner": 0.09,
    "brow_outer": 0.09,
    "brow_lower": 0.09,
    "knit": 0.07,
    "eye_open": 0.08,
    "cheek_raise": 0.07,
    "nose_wrinkle": 0.06,
    "lip_raise": 0.06,
    "smile": 0.09,
    "mouth_open": 0.04,
    "mouth_width": 0.05,
    "lip_press": 0.1,
    "teeth": 0.08,
    "teeth_below": 0.08,
    "gaze_down": 0.008,
}
REST = {"eye_open": 1.0, "mouth_width": 1.0, "smile": 0.1}
LIMITS = {
    "smile": (-1, 1.1),
    "brow_inner": (-0.4, 1.3),
    "brow_outer": (-0.5, 1.3),
    "brow_lower": (-0.2, 1.3),
    "eye_open": (0.35, 1.7),
    "mouth_width": (0.65, 1.35),
}


def sample(emotion, rng):
    """Muscle actions of one face with an emotion: traits of a Face."""
    faces = EXPRESSIONS[emotion]
    mean = faces[rng.integers(len(faces))]
    strength = rng.uniform(0.8, 1.2)
    moods = {}
    for action in ACTIONS:
        value = REST.get(action, 0.0) + strength * mean.get(action, 0.0)
        value += rng.normal(0, ACTIONS[action])
        moods[action] = float(np.clip(value, *LIMITS.get(action, (0, 1.2))))
    # Everybody squints, talks or frowns at times.
    if rng.random() < 0.1:
        moods["mouth_open"] = max(
            moods["mouth_open"], float(rng.uniform(0.05, 0.25))
        )
        moods["teeth"] = max(moods["teeth"], float(rng.uniform(0, 0.7)))
    moods["gaze"] = float(rng.normal(0, 0.02))
    moods["wobble"] = float(rng.normal(0, 0.45))
    return moods
