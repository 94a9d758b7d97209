"""Error bounds of averages over random draws."""

import numpy as np

CONFIDENCE = 0.99


def error_bound(draws: int, statements: int = 1) -> float:
    """Largest error of averages of values in 0..1 over independent draws.

    Hoeffding 1963: P(|mean - expectation| > e) <= 2 exp(-2 m e^2). With

        e = sqrt(ln(2 S / (1 - CONFIDENCE)) / (2 m))

    S averages over m draws each are all within e with probability CONFIDENCE,
    however they depend on each other (union bound). By the inequality of
    Dvoretzky, Kiefer and Wolfowitz with Massart's constant (1990), the same e
    holds for a whole distribution function as one of the S.

    Args:
        draws: m >= 1.
        statements: S >= 1.
    """
    return float(
        np.sqrt(np.log(2 * statements / (1 - CONFIDENCE)) / (2 * draws))
    )


def random_pairs(
    count: int, draws: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Independent uniform pairs i != j below `count` >= 2: two int [draws]."""
    first = random.integers(count, size=draws)
    return first, (first + random.integers(1, count, size=draws)) % count
