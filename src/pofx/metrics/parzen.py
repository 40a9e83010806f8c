"""The Parzen-window log-likelihood: a density is laid around samples, and held-out x are scored under it.

Shapes: n samples, m rows of x, D numbers in each, S bandwidths; anything (n, *shape) is taken as rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pofx.errors import UserError

SIGMAS = tuple(float(sigma) for sigma in np.logspace(-1, 0, 46))  # those ten that Goodfellow et al. tried, and four between any two
BLOCK = 256, 1024  # rows of x and samples whose distances are held at a time: 2 MB


def parzen_log_likelihood(samples: Tensor | np.ndarray, x: Tensor | np.ndarray, sigma: float) -> np.ndarray:
    """log of the mean over the samples of N(x; sample, sigma^2 I), of each row of x, in nats; in float64, in bounded memory.

    References:
        Quickly Generating Representative Samples from an RBM-Derived Process (Breuleux, Bengio & Vincent, 2011), Neural Computation 23(8)
        Generative Adversarial Networks (Goodfellow et al., 2014), arXiv 1406.2661, section 5

    Args:
        samples: n samples (n, *shape)
        x: what is scored (m, *shape)
        sigma: standard deviation of the window, in the units of x

    Returns:
        float64 (m,)

    Raises:
        UserError: samples and x of different shapes; none of one; numbers that are not finite; a sigma that is not above 0

    Example:
        >>> parzen_log_likelihood(np.zeros((3, 2)), np.zeros((1, 2)), 1.0)  # - log 2 pi
        array([-1.83787707])
    """
    return _log_likelihoods(samples, x, (sigma,))[0]


def chosen_sigma(samples: Tensor | np.ndarray, valid: Tensor | np.ndarray, sigmas: Sequence[float] = SIGMAS) -> float:
    """The bandwidth under which the validation rows (m, *shape) are likeliest, as the estimator's protocol wants it.

    Where the best of several is the least or the greatest that was tried, the grid moves on in that direction, by its own ratio.

    Args:
        samples: n samples (n, *shape)
        valid: held-out x (m, *shape); never those that are scored afterwards
        sigmas: what is tried

    Raises:
        UserError: every validation row is a sample too, so that no bandwidth is small enough; and as in `parzen_log_likelihood`

    Example:
        >>> x = np.random.default_rng(0).normal(size=(2000, 1))
        >>> round(chosen_sigma(x[:1000], x[1000:]), 3)
        0.378
    """
    means: dict[float, float] = {}
    new = [float(sigma) for sigma in sigmas]
    while True:
        means |= zip(new, _log_likelihoods(samples, valid, new).mean(1).tolist(), strict=True)
        tried = sorted(means)
        best = max(tried, key=means.__getitem__)
        if len(tried) == 1 or tried[0] < best < tried[-1]:
            return best
        if not 1e-9 < best < 1e9:
            raise UserError("every validation row is among the samples, so there is no best bandwidth: choose it on rows that are not")
        ratio = tried[0] / tried[1] if best == tried[0] else tried[-1] / tried[-2]
        new = [best * ratio ** (step + 1) for step in range(len(sigmas))]


def _log_likelihoods(samples: Tensor | np.ndarray, x: Tensor | np.ndarray, sigmas: Sequence[float]) -> np.ndarray:
    """(S, m): distances are computed once for all bandwidths, and samples are summed up block by block."""
    if not len(sigmas) or not all(math.isfinite(sigma) and sigma > 0 for sigma in sigmas):
        raise UserError(f"sigma must be above 0, not {', '.join(f'{sigma:g}' for sigma in sigmas) or 'nothing'}")
    a_nD, b_mD = (torch.as_tensor(rows) for rows in (samples, x))
    if a_nD.shape[1:] != b_mD.shape[1:] or not len(a_nD) or not len(b_mD):
        raise UserError(f"a Parzen window needs samples and x of one shape, not {tuple(a_nD.shape)} and {tuple(b_mD.shape)}")
    if not (a_nD.isfinite().all() and b_mD.isfinite().all()):
        raise UserError("a Parzen window needs finite numbers, and some of the samples or of x are not")
    n, D = len(a_nD), a_nD[0].numel()
    centre_D = a_nD.flatten(1).double().mean(0)  # near 0, |a|^2 + |b|^2 - 2 ab loses no digits
    log_p = []
    for b_BD in b_mD.to(a_nD.device).flatten(1).split(BLOCK[0]):
        b_BD = b_BD.double() - centre_D
        total_SB = b_BD.new_full((len(sigmas), len(b_BD)), -math.inf)
        for a_AD in a_nD.flatten(1).split(BLOCK[1]):
            a_AD = a_AD.double() - centre_D
            square_BA = torch.addmm(a_AD.square().sum(1) + b_BD.square().sum(1, keepdim=True), b_BD, a_AD.T, alpha=-2).clamp_(min=0)
            here_SB = torch.stack([torch.logsumexp(square_BA / (-2 * sigma**2), 1) for sigma in sigmas])
            total_SB = torch.logaddexp(total_SB, here_SB)
        log_p.append(total_SB)
    log_volume_S1 = torch.tensor([[D * math.log(sigma * math.sqrt(2 * math.pi))] for sigma in sigmas], dtype=torch.float64)
    return (torch.cat(log_p, 1).cpu() - math.log(n) - log_volume_S1).numpy()
