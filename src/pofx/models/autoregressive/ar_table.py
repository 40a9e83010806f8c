"""AR(tau) over pixels as a table: each number depends on the tau before it, in any way at all."""

from __future__ import annotations

from typing import ClassVar

from pofx.bases.tables import Tables
from pofx.kinds import Binary, Image
from pofx.options import NonNegative, Size


class ARTable(Tables):
    """AR(tau) over pixels by table: each number depends on the tau numbers before it in raster order, in any way at all.

    p(x) = prod_d p(x_d | x_{d-tau}, ..., x_{d-1}), one row of a table for each context: (K - 1) K^tau parameters a number, 2^tau for bits,
    and (K - 1) K^d for the first tau numbers (d = 0, 1, ..., tau - 1), which have only d before them. Solved from counts, as an n-gram
    model is; `ar` says the same with tau + 1 parameters a number.

    References:
        A mathematical theory of communication (Shannon, 1948), section 3: approximations of order tau,
            doi:10.1002/j.1538-7305.1948.tb01338.x

    Args:
        x: bits, or pictures whose levels are categories
        tau: numbers that each depends on; at most all before it
        smoothing: added to the count of each level in each context; 0 is maximum likelihood, and what was never seen has log p = -inf

    Example:
        >>> ARTable(Binary(28, 28), tau=10).parameter_count == 2**10 - 1 + (784 - 10) * 2**10
        True
    """

    paper: ClassVar = ("Shannon", 1948, "doi:10.1002/j.1538-7305.1948.tb01338.x")
    small: ClassVar = {"tau": 2}

    def __init__(self, x: Binary | Image, *, tau: Size = 2, smoothing: NonNegative = 1.0):
        instead = "pass a smaller --tau, make bits with --binarize threshold, or train ar"
        super().__init__(x, tau=min(tau, x.size - 1), smoothing=smoothing, instead=instead)
