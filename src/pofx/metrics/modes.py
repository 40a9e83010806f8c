"""Which modes samples reach: where the modes are known, or where a classifier names them.

Shapes: n samples, D numbers in each, K modes or classes, C channels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pofx.errors import UserError


class Modes(NamedTuple):
    """How many modes have a sample of high quality, and the share of samples that are of high quality."""

    found: int
    high_quality: float


class Coverage(NamedTuple):
    """How many classes were drawn at least once, and KL(samples' classes || data's classes) in nats."""

    found: int
    kl: float


def nearest_modes(samples: Tensor | np.ndarray, centres: Tensor | np.ndarray, sd: float, *, within: float = 3.0) -> np.ndarray:
    """The number of each sample's nearest centre, or -1 where that is farther than `within` standard deviations: int64 (n,).

    Args:
        samples: (n, D)
        centres: of the modes (K, D)
        sd: standard deviation of each mode in each direction
        within: so many of them

    Example:
        >>> nearest_modes(np.array([[0.0, 0.02], [1.0, 0.0], [0.5, 0.0]]), np.array([[0.0, 0.0], [1.0, 0.0]]), 0.01).tolist()
        [0, 1, -1]
    """
    x_nD, c_KD = (torch.as_tensor(rows).double().cpu() for rows in (samples, centres))
    if x_nD.ndim != 2 or c_KD.ndim != 2 or x_nD.shape[1] != c_KD.shape[1] or not len(x_nD) or not len(c_KD):
        raise UserError(f"samples and centres must be rows of as many numbers, not {tuple(x_nD.shape)} and {tuple(c_KD.shape)}")
    if not (sd > 0 and within > 0):
        raise UserError(f"sd and within must be above 0, not {sd:g} and {within:g}")
    distance_n, mode_n = (x_nD[:, None] - c_KD).square().sum(2).sqrt().min(1)
    return torch.where(distance_n <= within * sd, mode_n, -1).numpy()  # a sample that is not a number is near nothing


def modes_covered(samples: Tensor | np.ndarray, centres: Tensor | np.ndarray, sd: float, *, within: float = 3.0) -> Modes:
    """Modes with at least one sample of high quality, which is one within 3 standard deviations of its nearest mode's centre.

    References:
        VEEGAN (Srivastava et al., 2017), arXiv 1705.07761, section 5
        PacGAN (Lin et al., 2018), arXiv 1712.04086, section 4.1: 2,500 samples of a ring of 8 modes, sd .01, or a grid of 25, sd .05

    Args:
        samples: (n, D)
        centres: of the modes (K, D)
        sd: standard deviation of each mode in each direction
        within: how many of them are high quality

    Example:
        >>> modes_covered(np.array([[0.0, 0.02], [0.5, 0.0]]), np.array([[0.0, 0.0], [1.0, 0.0]]), 0.01)
        Modes(found=1, high_quality=0.5)
    """
    mode_n = nearest_modes(samples, centres, sd, within=within)
    return Modes(len(np.unique(mode_n[mode_n >= 0])), float((mode_n >= 0).mean()))


def class_coverage(classes: Tensor | np.ndarray, K: int, reference: Tensor | np.ndarray | None = None) -> Coverage:
    """Classes that were drawn at least once, and KL(samples || data) of the shares of the classes.

    The divergence of n samples is above 0 even for perfect ones, by about (K - 1) / (2 n).

    References:
        Unrolled Generative Adversarial Networks (Metz et al., 2017), arXiv 1611.02163, section 3.3.1: stacked digits, 1,000 modes

    Args:
        classes: of the samples, whole numbers from 0 to K - 1, (n,)
        K: how many classes there are
        reference: probabilities of the classes in the data (K,); None: all alike

    Raises:
        UserError: a class outside; a reference that is no distribution, or gives a class that was drawn the probability 0

    Example:
        >>> class_coverage(np.array([0, 0, 1, 1]), 4)  # half of the classes, evenly: log 2
        Coverage(found=2, kl=0.6931471805599453)
    """
    drawn_n = torch.as_tensor(classes).cpu().numpy()
    if drawn_n.ndim != 1 or not len(drawn_n) or drawn_n.dtype.kind not in "iu" or drawn_n.min() < 0 or drawn_n.max() >= K:
        raise UserError(f"classes must be whole numbers from 0 to {K - 1}, one a sample")
    q_K = np.full(K, 1 / K) if reference is None else torch.as_tensor(reference).double().cpu().numpy()
    if q_K.shape != (K,) or not (q_K >= 0).all() or not np.isclose(q_K.sum(), 1, atol=1e-6):
        raise UserError(f"the reference must be {K} probabilities that sum to 1")
    p_K = np.bincount(drawn_n, minlength=K) / len(drawn_n)
    seen = p_K > 0
    if (q_K[seen] == 0).any():
        impossible = int(np.flatnonzero(seen & (q_K == 0))[0])
        raise UserError(f"class {impossible} was drawn, but the reference gives it probability 0, so the divergence is infinite")
    return Coverage(int(seen.sum()), float((p_K[seen] * np.log(p_K[seen] / q_K[seen])).sum()))


def stacked_classes(classes_nC: Tensor | np.ndarray, base: int = 10) -> np.ndarray:
    """One class for each picture of C stacked channels, from the class of each channel: the first channel counts most. int64 (n,).

    Three stacked digits make one of 1,000 classes.

    Args:
        classes_nC: of each channel of each sample, whole numbers from 0 to base - 1, (n, C)
        base: classes of a channel

    Example:
        >>> stacked_classes(np.array([[1, 2, 3], [0, 0, 9]])).tolist()
        [123, 9]
    """
    digits_nC = torch.as_tensor(classes_nC).cpu().numpy()
    if digits_nC.ndim != 2 or digits_nC.dtype.kind not in "iu" or (len(digits_nC) and not 0 <= digits_nC.min() <= digits_nC.max() < base):
        raise UserError(f"classes of channels must be whole numbers from 0 to {base - 1}, one row a sample")
    return digits_nC.astype(np.int64) @ base ** np.arange(digits_nC.shape[1])[::-1]
