"""Statistically different bins: where samples are too many or too few, in bins that the real rows fill.

Shapes: n real rows, m samples, D numbers in each, K bins; anything (n, *shape) is taken as rows.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pofx.errors import UserError

LEAST = 5  # expected rows in a bin: with fewer the test's normal approximation says little


class Bins(NamedTuple):
    """What two sets of rows have in each bin.

    Args:
        different: bins whose shares differ significantly
        share: of all bins, NDB / K; of two samples of one distribution it is about `level`
        divergence: Jensen-Shannon divergence of the two histograms, in nats (0 to log 2)
        z_K: of the two-proportion test, above 0 where samples are too many (K,)
    """

    different: int
    share: float
    divergence: float
    z_K: np.ndarray


def bin_centres(real: Tensor | np.ndarray, K: int = 100, *, seed: int = 0) -> np.ndarray:
    """Centres of K bins, the k-means clusters of the real rows (n, *shape): float64 (K, D).

    Raises:
        UserError: fewer than five rows a bin
    """
    from sklearn.cluster import KMeans

    real_nD = _rows(real)
    if K < 2 or len(real_nD) < LEAST * K:
        raise UserError(f"{K} bins need {LEAST * max(K, 2)} rows and 2 bins at least, not {len(real_nD)} rows: use fewer bins or more rows")
    return KMeans(K, n_init=1, random_state=seed).fit(real_nD).cluster_centers_


def different_bins(real: Tensor | np.ndarray, samples: Tensor | np.ndarray, centres: np.ndarray, *, level: float = 0.05) -> Bins:
    """The number of statistically different bins (NDB) between real rows and samples.

    A row's bin is its nearest centre. For each bin the two-proportion z-test asks whether as large a share of the samples falls into it as
    of the real rows: z = (p_s - p_r) / sqrt(p (1 - p) (1/n + 1/m)), p the share of both together.

    References:
        On GANs and GMMs (Richardson & Weiss, 2018), arXiv 1805.12462, section 2

    Args:
        real: n rows (n, *shape)
        samples: m rows (m, *shape)
        centres: of the bins (K, D), as `bin_centres` gives them
        level: of the two-sided test

    Example:
        >>> real, samples = np.repeat([[0.0], [1.0]], [50, 50], 0), np.repeat([[0.0], [1.0]], [90, 10], 0)
        >>> different_bins(real, samples, np.array([[0.0], [1.0]])).share
        1.0
    """
    from sklearn.metrics import pairwise_distances_argmin

    real_nD, samples_mD, K = _rows(real), _rows(samples), len(centres)
    if not real_nD.shape[1] == samples_mD.shape[1] == centres.shape[1]:
        raise UserError(
            f"real rows, samples and bins must have as many numbers, not {real_nD.shape[1]}, {samples_mD.shape[1]}, {centres.shape[1]}"
        )
    if len(samples_mD) < LEAST * K:
        raise UserError(f"{K} bins need {LEAST * K} samples at least, not {len(samples_mD)}: draw more, or use fewer bins")
    n, m = len(real_nD), len(samples_mD)
    r_K, s_K = (np.bincount(pairwise_distances_argmin(rows, centres), minlength=K) / len(rows) for rows in (real_nD, samples_mD))
    p_K = (n * r_K + m * s_K) / (n + m)
    error_K = np.sqrt(p_K * (1 - p_K) * (1 / n + 1 / m))
    z_K = np.divide(s_K - r_K, error_K, out=np.zeros(K), where=error_K > 0)  # where nobody is, or everybody, nothing differs
    different = int((np.abs(z_K) > NormalDist().inv_cdf(1 - level / 2)).sum())
    middle_K = (r_K + s_K) / 2
    divergence = sum(float((q[q > 0] * np.log(q[q > 0] / middle_K[q > 0])).sum()) for q in (r_K, s_K)) / 2
    return Bins(different, different / K, divergence, z_K)


def _rows(x: Tensor | np.ndarray) -> np.ndarray:
    rows_nD = torch.as_tensor(x).flatten(1).double().cpu().numpy()
    if not len(rows_nD) or not np.isfinite(rows_nD).all():
        raise UserError("bins need rows of finite numbers")
    return rows_nD
