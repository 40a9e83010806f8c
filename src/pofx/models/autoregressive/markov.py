"""The Markov chain over pixels: each number depends on the one before it."""

from __future__ import annotations

from typing import ClassVar

from pofx.bases.tables import Tables
from pofx.kinds import Binary, Image
from pofx.options import NonNegative


class Markov(Tables):
    """First-order Markov chain over pixels: each number depends on the one before it in raster order, in its own way at each place.

    p(x) = p(x_1) prod_{d>1} p(x_d | x_{d-1}), with n numbers of K levels: (K - 1)(1 + K (n - 1)) parameters, 2n - 1 for bits. Solved from
    counts, p(x_d = k | x_{d-1} = j) = (count of j, k at d-1, d + smoothing) / (count of j at d-1 + K smoothing).

    References:
        An example of statistical investigation of the text Eugene Onegin concerning the connection of samples in chains (Markov, 1913),
            in English: doi:10.1017/S0269889706001074

    Args:
        x: bits, or pictures whose levels are categories
        smoothing: added to the count of each level in each context; 0 is maximum likelihood, and what was never seen has log p = -inf

    Example:
        >>> import torch
        >>> model = Markov(Binary(2), smoothing=0)
        >>> model.solve(model.statistics({"x": torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0]])}))
        >>> model.log_prob(torch.tensor([[0.0, 1.0], [1.0, 0.0]])).exp()  # 2/3 x 1/2; never seen
        tensor([0.3333, 0.0000])
        >>> model.parameter_count
        3
    """

    paper: ClassVar = ("Markov", 1913, "doi:10.1017/S0269889706001074")

    def __init__(self, x: Binary | Image, *, smoothing: NonNegative = 1.0):
        instead = "make bits with --binarize threshold, or train ar"
        super().__init__(x, tau=min(1, x.size - 1), smoothing=smoothing, instead=instead)
