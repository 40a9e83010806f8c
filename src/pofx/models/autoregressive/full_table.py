"""The full table: a probability for every x, which is why structure is needed."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pofx.bases.tables import Tables
from pofx.kinds import Binary, Image
from pofx.options import NonNegative


class FullTable(Tables):
    """The full table: a probability of its own for every x. It can be any distribution, and is too large for all but tiny x.

    p(x) = (count of x + smoothing) / (examples + K^n smoothing), with n numbers of K levels: K^n - 1 parameters, 2^n - 1 for bits.
    It is kept by the chain rule, p(x) = prod_d p(x_d | x_1, ..., x_{d-1}), where the d-th number (d = 0, 1, ...) has K^d contexts of K - 1
    parameters each: which together are K^n - 1 again, for the chain rule alone saves nothing.

    References:
        Mémoire sur la probabilité des causes par les événements (Laplace, 1774): adding one to each count

    Args:
        x: few bits, or tiny pictures whose levels are categories
        smoothing: added to the count of each x; 0 is maximum likelihood, and an x that was never seen has log p = -inf

    Example:
        >>> model = FullTable(Binary(2), smoothing=0)
        >>> model.solve(model.statistics({"x": torch.tensor([[1.0, 1.0], [0.0, 0.0], [1.0, 1.0], [0.0, 1.0]])}))
        >>> model.log_prob(torch.tensor([[1.0, 1.0], [1.0, 0.0]])).exp()
        tensor([0.5000, 0.0000])
        >>> model.parameter_count
        3
    """

    paper: ClassVar = ("Laplace", 1774, "Mémoire sur la probabilité des causes par les événements")

    def __init__(self, x: Binary | Image, *, smoothing: NonNegative = 1.0):
        instead = "train ar_table, markov or fvsbn, or make x smaller (--size 4 --binarize threshold)"
        super().__init__(x, tau=x.size - 1, smoothing=smoothing, instead=instead)

    def pseudo_counts(self) -> Tensor:
        """As many pseudo-examples for each level in each context as there are x that begin with them, (C, 1)."""
        D = len(self.order)
        after_D = self.K ** torch.arange(D - 1, -1, -1, device=self.first_D.device).double()  # x that agree up to the d-th number
        return self.smoothing * after_D.repeat_interleave(self.K ** torch.arange(D, device=self.first_D.device))[:, None]
