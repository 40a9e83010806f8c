"""The Frechet distance between two sets of features, each taken for a Gaussian.

Shapes: n samples of one set, m of the other, d features.
"""

from __future__ import annotations

import numpy as np

from pofx.errors import UserError


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """The squared Frechet (2-Wasserstein) distance between the Gaussians that have the means and covariances of two sets.

    |mu_a - mu_b|^2 + tr(S_a) + tr(S_b) - 2 tr (S_a S_b)^(1/2), with covariances divided by n - 1 and m - 1.

    With features of the Inception network this is the FID. It sees means and covariances only, and is biased upwards for few samples,
    so numbers of one sample size are compared.

    Args:
        a: float64 (n, d)
        b: float64 (m, d)

    Returns:
        the distance, 0 or more

    Raises:
        UserError: fewer than d + 1 samples in a set, so that its covariance has no full rank

    References:
        The Frechet distance between multivariate normal distributions (Dowson & Landau, 1982)
        GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium (Heusel et al., 2017), arXiv 1706.08500

    Example:
        >>> a = np.random.default_rng(0).normal(size=(1000, 3))
        >>> round(frechet_distance(a, a + [3.0, 0.0, 4.0]), 9)
        25.0
    """
    require_enough(min(len(a), len(b)), a.shape[1])
    mean_a, mean_b = a.mean(0), b.mean(0)
    # With A^T A = S_a and B^T B = S_b, the eigenvalues of S_a S_b are the squared singular values of A B^T: no root of a matrix is taken.
    A: np.ndarray = np.linalg.qr((a - mean_a) / np.sqrt(len(a) - 1), mode="r")  # type: ignore[assignment]  # the types forget mode "r"
    B: np.ndarray = np.linalg.qr((b - mean_b) / np.sqrt(len(b) - 1), mode="r")  # type: ignore[assignment]
    overlap = np.linalg.svd(A @ B.T, compute_uv=False).sum()
    distance = ((mean_a - mean_b) ** 2).sum() + (A**2).sum() + (B**2).sum() - 2 * overlap
    return max(0.0, float(distance))


def require_enough(n: int, d: int, name: str = "") -> None:
    """Raise a UserError unless `n` samples have a covariance of full rank in `d` features, which are called `name`."""
    if n <= d:
        raise UserError(
            f"the Frechet distance of {d} features{f' ({name})' * bool(name)} needs {d + 1} samples or more of either set for their"
            f" covariance, not {n}: use more rows and draws, or --features of a run with fewer"
        )
