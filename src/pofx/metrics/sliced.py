"""The sliced Wasserstein distance: what is easy in one dimension, averaged over many directions.

Shapes: n samples of one set, m of the other, d features, P directions.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from pofx.randomness import generator

AT_ONCE = 50  # directions


def sliced_wasserstein(a: np.ndarray, b: np.ndarray, *, projections: int = 1000, seed: int = 0) -> float:
    """The root of the mean, over random directions, of the squared 2-Wasserstein distance between both sets' shadows on it.

    In one dimension the best plan matches sorted samples, so the distance between two sets of samples is exact. Between N(0, S) and
    N(mu, S) it is |mu| / sqrt(d) over all directions.

    Args:
        a: float64 (n, d)
        b: float64 (m, d)
        projections: P, how many directions, uniform on the sphere; they are a function of (seed, d, P)
        seed: of the directions

    References:
        Wasserstein Barycenter and its Application to Texture Mixing (Rabin, Peyré, Delon & Bernot, 2011)
        Sliced and Radon Wasserstein Barycenters of Measures (Bonneel, Rabin, Peyré & Pfister, 2015)

    Example:
        >>> a = np.random.default_rng(0).normal(size=(100, 1))
        >>> round(sliced_wasserstein(a, a + 2.0), 9)
        2.0
    """
    d, n, m = a.shape[1], len(a), len(b)
    direction_Pd = torch.randn(projections, d, generator=generator(("sliced", seed, d, projections)), dtype=torch.float64).numpy()
    direction_Pd /= np.linalg.norm(direction_Pd, axis=1, keepdims=True)
    # Quantile functions are steps, at i/n and at j/m: between two neighbouring ones of these, both are constant.
    steps = np.union1d(np.arange(0, n * m + 1, m), np.arange(0, n * m + 1, n))
    of_a, of_b, share = steps[:-1] // m, steps[:-1] // n, np.diff(steps) / (n * m)
    total = 0.0
    for some_Pd in np.split(direction_Pd, range(AT_ONCE, projections, AT_ONCE)):
        sorted_a, sorted_b = np.sort(some_Pd @ a.T), np.sort(some_Pd @ b.T)
        total += float((((sorted_a[:, of_a] - sorted_b[:, of_b]) ** 2) @ share).sum())
    return math.sqrt(total / projections)
