"""Which label each group of rows stands for, where the groups were found without labels.

Shapes: B rows, K clusters, L labels.
"""

from __future__ import annotations

import numpy as np


def matched(clusters: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The label that each cluster stands for, where no two share one and as many rows as can be agree: the Hungarian method.

    Args:
        clusters: int (B,), from 0 to K - 1
        labels: int (B,), from 0 to L - 1

    Returns:
        int64 (K,), K one more than the largest cluster; -1 where there are more clusters than labels, and this one is left without

    References:
        The Hungarian Method for the Assignment Problem (Kuhn, 1955)

    Example:
        >>> matched(np.array([0, 0, 1, 1, 2]), np.array([1, 1, 0, 1, 0]))
        array([ 1,  0, -1])
    """
    from scipy.optimize import linear_sum_assignment  # takes a while to import

    count_KL = counted(clusters, labels)
    found = np.full(len(count_KL), -1, dtype=np.int64)
    which, label = linear_sum_assignment(count_KL, maximize=True)
    found[which] = label
    return found


def majority(clusters: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The label that most rows of each cluster have, the lowest of equals; -1 for a cluster without rows. Arguments as in `matched`.

    Example:
        >>> majority(np.array([0, 0, 1, 1, 3]), np.array([1, 1, 0, 1, 0]))
        array([ 1,  0, -1,  0])
    """
    count_KL = counted(clusters, labels)
    return np.where(count_KL.any(1), count_KL.argmax(1), -1)


def counted(clusters: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Rows of each cluster with each label, int64 (K, L)."""
    count_KL = np.zeros((clusters.max() + 1, labels.max() + 1), dtype=np.int64)
    np.add.at(count_KL, (clusters, labels), 1)
    return count_KL
