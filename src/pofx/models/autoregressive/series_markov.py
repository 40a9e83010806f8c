"""The first-order Markov chain on real-valued sequences: the present step is all that the next one needs to know of the past."""

from __future__ import annotations

from typing import ClassVar

from pofx.kinds import Series
from pofx.models.autoregressive.series_ar import Fit, SeriesAR


class SeriesMarkov(SeriesAR):
    """First-order Markov chain: p(x) = p(x_1) prod_t p(x_t | x_{t-1}), with x_t = c + A x_{t-1} + e_t and Gaussian noise e_t.

    e_t has a full covariance over the channels, and x_1 is Gaussian with a mean and covariance of its own. It is AR(tau) with tau = 1.

    References:
        On the theory of the Brownian motion (Uhlenbeck & Ornstein, 1930): the Gaussian Markov process in continuous time
        Time Series Analysis (Hamilton, 1994), 3.4

    Args:
        x: sequences of two steps or more
        fit: closed (least squares, one pass) or gradient

    Example:
        >>> import torch
        >>> chain, x = SeriesMarkov(Series(2)), torch.tensor([8.0, 4.0, 2.0, 1.5, 0.5, 0.1])
        >>> chain.solve(chain.statistics({"x": x.unfold(0, 2, 1)[..., None]}))
        >>> A, c, variance = chain.coefficients()
        >>> round(A.item(), 2)  # about halved at every step
        0.51
    """

    paper: ClassVar = ("Uhlenbeck & Ornstein", 1930, "doi:10.1103/PhysRev.36.823")
    small: ClassVar = {}

    def __init__(self, x: Series, *, fit: Fit = "closed"):
        super().__init__(x, tau=1, fit=fit)
