"""Are samples where the data are, and is all of the data near some sample? Four shares, from distances to nearest neighbours.

Shapes: n real and m generated samples, d features.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from pofx.errors import UserError

ROWS = 500  # of a matrix of distances at once


class Manifold(NamedTuple):
    """How two sets of samples lie to each other. A set's *manifold* is the union of balls around its samples, each as large as the
    distance to the sample's k-th nearest neighbour in that set.

    Args:
        precision: share of generated samples on the manifold of the real ones
        recall: share of real samples on the manifold of the generated ones
        density: how many balls of real samples a generated one lies in, on average, divided by k; may be above 1
        coverage: share of real samples whose ball has a generated one in it
    """

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(real: np.ndarray, fake: np.ndarray, *, k: int = 5) -> Manifold:
    """Precision, recall, density and coverage of generated samples.

    Precision and density say how realistic samples are, recall and coverage how much of the data they reach. One real outlier makes a
    large ball, which raises precision, and one generated outlier raises recall; density and coverage count balls of real samples only, and
    are steadier. Distances between real rows are computed `ROWS` at a time, so memory grows with n + m only.

    Args:
        real: float64 (n, d)
        fake: float64 (m, d)
        k: which nearest neighbour's distance is a ball's radius; the sample itself does not count

    Raises:
        UserError: k or fewer samples in a set

    References:
        precision and recall: Improved Precision and Recall Metric for Assessing Generative Models (Kynkäänniemi, Karras, Laine, Lehtinen &
        Aila, 2019), arXiv 1904.06991
        density and coverage: Reliable Fidelity and Diversity Metrics for Generative Models (Naeem, Oh, Uh, Choi & Yoo, 2020),
        arXiv 2002.09797

    Example:
        >>> real = np.arange(8.0)[:, None]
        >>> prdc(real, real[:4] + 0.25, k=1)
        Manifold(precision=1.0, recall=0.625, density=2.0, coverage=0.625)
    """
    if min(len(real), len(fake)) <= k:
        raise UserError(f"nearest neighbour {k} needs {k + 1} samples or more, not {min(len(real), len(fake))}: draw more, or lower k")
    centre = real.mean(0)
    real, fake = real - centre, fake - centre  # small numbers lose less in |x - y|^2 = |x|^2 + |y|^2 - 2 x.y
    radius_real, radius_fake = radii(real, k), radii(fake, k)
    balls_of_fake = np.zeros(len(fake))
    reached, covered = 0, 0
    for rows, square in squares(real, fake):
        inside = square <= radius_real[rows, None]
        balls_of_fake += inside.sum(0)
        reached += int((square <= radius_fake).any(1).sum())
        covered += int(inside.any(1).sum())
    return Manifold(float((balls_of_fake > 0).mean()), reached / len(real), float(balls_of_fake.mean()) / k, covered / len(real))


def radii(x: np.ndarray, k: int) -> np.ndarray:
    """The squared distance of each sample to its k-th nearest neighbour, (n,)."""
    radius = np.empty(len(x))
    for rows, square in squares(x, x):
        square[np.arange(len(square)), np.arange(rows.start, rows.stop)] = np.inf
        radius[rows] = np.partition(square, k - 1, axis=1)[:, k - 1]
    return radius


def squares(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Squared distances of some rows of `a` at a time to all of `b`, 0 or more."""
    square_a, square_b = (a**2).sum(1), (b**2).sum(1)
    for start in range(0, len(a), ROWS):
        rows = slice(start, min(start + ROWS, len(a)))
        square = a[rows] @ b.T
        square *= -2
        square += square_a[rows, None]
        square += square_b
        yield rows, np.maximum(square, 0, out=square)
