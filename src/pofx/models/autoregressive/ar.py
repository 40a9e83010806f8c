"""AR(tau) over pixels: each number is a logistic regression on the tau before it.

Shapes: B examples, D numbers of x, T = tau numbers before each, K levels, J = K - 1 of them with free logits, N weights in all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pofx.bases.autoregressive import Autoregressive, Step
from pofx.distributions.likelihoods import Categorical
from pofx.kinds import Binary, Image
from pofx.options import Size
from pofx.plan import Adam, Player, Stage


class AR(Autoregressive):
    """AR(tau) over pixels: each number is a logistic regression on the tau numbers before it in raster order, with weights of its own.

    log p(x_d = k | x_<d) - log p(x_d = 0 | x_<d) = b_kd + sum_{e=d-tau}^{d-1} W_kde x_e, for k = 1..K-1, x_e from 0 to 1. Of bits it is
    p(x_d = 1 | x_<d) = sigmoid(b_d + sum_e W_de x_e): tau + 1 parameters a number, and 1, 2, ..., tau for the first tau numbers, which have
    fewer before them; n (tau + 1) - tau (tau + 1) / 2 in all, K - 1 times as many for K levels. `ar_table` takes 2^tau a number.

    References:
        On a method of investigating periodicities in disturbed series (Yule, 1927), doi:10.1098/rsta.1927.0007: autoregression
        The regression analysis of binary sequences (Cox, 1958), doi:10.1111/j.2517-6161.1958.tb00292.x: its logistic form

    Args:
        x: bits, or pictures whose levels are categories
        tau: numbers that each depends on; at most all before it

    Example:
        >>> AR(Binary(28, 28), tau=8).parameter_count == 784 * 9 - 8 * 9 // 2
        True
    """

    paper: ClassVar = ("Cox", 1958, "doi:10.1111/j.2517-6161.1958.tb00292.x")
    small: ClassVar = {"tau": 3}

    places_N: Tensor

    def __init__(self, x: Binary | Image, *, tau: Size = 8):
        K, D, T = x.levels if isinstance(x, Image) else 2, x.size, min(tau, x.size - 1)
        super().__init__(x, Categorical(K))
        self.tau = T
        exists_DT = torch.arange(D)[:, None] - T + torch.arange(T) >= 0  # the first numbers have fewer than T before them
        self.register_buffer("places_N", exists_DT.flatten().nonzero().flatten(), persistent=False)
        self.W_JN, self.b_JD = nn.Parameter(torch.zeros(K - 1, len(self.places_N))), nn.Parameter(torch.zeros(K - 1, D))

    def dependency_matrix(self) -> Tensor:
        rank_D = torch.argsort(self.order)
        return (rank_D[:, None] > rank_D) & (rank_D[:, None] - rank_D <= self.tau)

    def weights(self) -> Tensor:
        """Weights of the numbers d-T, ..., d-1 for each number d, (J, D, T); 0 for those that do not exist."""
        J, D = self.b_JD.shape
        return self.W_JN.new_zeros(J, D * self.tau).index_copy(1, self.places_N, self.W_JN).view(J, D, self.tau)

    def params(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        past_BDT = F.pad(x.flatten(1)[:, self.order], (self.tau, -1)).unfold(1, self.tau, 1)
        logits_BJD = torch.einsum("bdt,jdt->bjd", past_BDT, self.weights()) + self.b_JD
        logits_BKD = F.pad(logits_BJD, (0, 0, 1, 0))  # level 0's are 0
        return logits_BKD[:, :, self.order.argsort()].unflatten(2, self.shape)

    def stages(self) -> Sequence[Stage]:
        return [Stage("train", [Player(self.title(), [self], self.loss, Adam(lr=1e-2))])]  # convex: weights far from 0 are reached sooner

    def stepper(self, x: Tensor, given: Tensor | None = None) -> Step:
        x_BD, W_JDT, T = x.flatten(1), self.weights(), self.tau
        past_BE = F.pad(torch.zeros_like(x_BD), (T, 0))  # in raster order, after T zeros

        def step(d: int) -> Tensor:
            if d > 0:
                past_BE[:, T + d - 1] = x_BD[:, self.order[d - 1]]
            return F.pad(F.linear(past_BE[:, d : d + T], W_JDT[:, d], self.b_JD[:, d]), (1, 0))

        return step
