"""The kernel distance between two sets of features: an unbiased estimate of the squared maximum mean discrepancy.

Shapes: n samples of one set, m of the other, d features.
"""

from __future__ import annotations

import math

import numpy as np

from pofx.errors import UserError

ROWS = 500  # of a kernel matrix at once
SUBSETS = 10  # that the standard error comes from


def kernel_distance(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """The squared MMD between two sets under the kernel k(x, y) = (x.y / d + 1)^3, and its standard error.

    mean of k(a, a') over pairs of different rows + mean of k(b, b') likewise - 2 mean of k(a, b). This is unbiased for any sample
    size: between two sets of one distribution it is 0 on average, and may be negative. The standard error is that of the mean over 10
    disjoint subsets of both, which is no less than the error of the number itself.

    Args:
        a: float64 (n, d)
        b: float64 (m, d)

    Raises:
        UserError: fewer than 20 samples in a set, two for each subset

    References:
        Demystifying MMD GANs (Binkowski, Sutherland, Arbel & Gretton, 2018), arXiv 1801.01401

    Example:
        >>> a = np.random.default_rng(0).normal(size=(400, 2, 3))
        >>> distance, error = kernel_distance(a[:, 0], a[:, 1])
        >>> abs(distance) < 3 * error
        True
    """
    least = min(len(a), len(b))
    if least < 2 * SUBSETS:
        raise UserError(f"the kernel distance needs {2 * SUBSETS} samples or more, two for each of {SUBSETS} subsets, not {least}")
    parts = [_mmd2(a[i::SUBSETS], b[i::SUBSETS]) for i in range(SUBSETS)]
    return _mmd2(a, b), float(np.std(parts, ddof=1)) / math.sqrt(SUBSETS)


def _mmd2(a: np.ndarray, b: np.ndarray) -> float:
    n, m = len(a), len(b)
    within_a = (_kernel_sum(a, a) - _diagonal_sum(a)) / (n * (n - 1))
    within_b = (_kernel_sum(b, b) - _diagonal_sum(b)) / (m * (m - 1))
    return within_a + within_b - 2 * _kernel_sum(a, b) / (n * m)


def _kernel_sum(a: np.ndarray, b: np.ndarray) -> float:
    """The sum of k over all pairs, some rows at a time."""
    total = 0.0
    for i in range(0, len(a), ROWS):
        once = a[i : i + ROWS] @ b.T / a.shape[1] + 1
        total += float((once * once * once).sum())  # several times as fast as a power
    return total


def _diagonal_sum(a: np.ndarray) -> float:
    return float((((a**2).mean(1) + 1) ** 3).sum())
