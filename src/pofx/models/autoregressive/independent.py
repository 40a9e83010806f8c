"""Independent pixels: the baseline that assumes most, for nothing depends on anything."""

from __future__ import annotations

from typing import ClassVar

from pofx.bases.tables import Tables
from pofx.kinds import Binary, Image
from pofx.options import NonNegative


class Independent(Tables):
    """Independent pixels: each number has a distribution of its own, whatever the others are.

    p(x) = prod_d p(x_d), with n numbers of K levels: n (K - 1) parameters, n for bits. Solved from counts,
    p(x_d = k) = (count of k at d + smoothing) / (examples + K smoothing).

    References:
        Ars Conjectandi (Bernoulli, 1713)
        Note on the general case of the Bayes-Laplace formula for inductive or a posteriori probabilities (Lidstone, 1920): smoothing

    Args:
        x: bits, or pictures whose levels are categories
        smoothing: added to the count of each level of each number; 0 is maximum likelihood, and what was never seen has log p = -inf

    Example:
        >>> import torch
        >>> model = Independent(Binary(2), smoothing=0)
        >>> model.solve(model.statistics({"x": torch.tensor([[1.0, 0.0], [1.0, 1.0]])}))
        >>> model.log_prob(torch.tensor([[1.0, 0.0], [0.0, 0.0]])).exp()
        tensor([0.5000, 0.0000])
        >>> model.parameter_count
        2
    """

    paper: ClassVar = ("Bernoulli", 1713, "Ars Conjectandi")

    def __init__(self, x: Binary | Image, *, smoothing: NonNegative = 1.0):
        super().__init__(x, tau=0, smoothing=smoothing, instead="make x smaller")
