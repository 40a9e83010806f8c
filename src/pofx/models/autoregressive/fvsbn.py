"""The fully visible sigmoid belief network: each number is a logistic regression on all before it.

Shapes: B examples, D numbers of x, K levels, J = K - 1 of them with free logits, N = D (D - 1) / 2 pairs of numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pofx.bases.autoregressive import Autoregressive, Step
from pofx.distributions.likelihoods import Categorical
from pofx.errors import UserError
from pofx.kinds import Binary, Image
from pofx.plan import Adam, Player, Stage

LARGEST = 2**27  # parameters; Adam holds four such numbers for each, and the square matrix takes twice as many


class FVSBN(Autoregressive):
    """Fully visible sigmoid belief network: each number is a logistic regression on all numbers before it in raster order.

    p(x_d = 1 | x_<d) = sigmoid(b_d + sum_{e<d} W_de x_e): n (n + 1) / 2 parameters for n bits. Of K levels,
    log p(x_d = k | x_<d) - log p(x_d = 0 | x_<d) = b_kd + sum_{e<d} W_kde x_e, for k = 1..K-1, with x_e from 0 to 1: K - 1 times as many.

    References:
        Connectionist learning of belief networks (Neal, 1992), doi:10.1016/0004-3702(92)90065-6
        Does the wake-sleep algorithm produce good density estimators? (Frey, Hinton & Dayan, 1995): the fully visible one, as a baseline

    Args:
        x: bits, or pictures whose levels are categories

    Example:
        >>> FVSBN(Binary(28, 28)).parameter_count == 784 * 785 // 2
        True
    """

    paper: ClassVar = ("Neal", 1992, "doi:10.1016/0004-3702(92)90065-6")

    places_N: Tensor

    def __init__(self, x: Binary | Image):
        K, D = x.levels if isinstance(x, Image) else 2, x.size
        super().__init__(x, Categorical(K))
        if (count := (K - 1) * D * (D + 1) // 2) > LARGEST:
            raise UserError(f"{self.title()}: {D} numbers of {K} levels take {count:,} parameters, and {LARGEST:,} is the most: train ar")
        row_N, column_N = torch.tril_indices(D, D, -1)
        self.register_buffer("places_N", row_N * D + column_N, persistent=False)
        self.W_JN, self.b_JD = nn.Parameter(torch.zeros(K - 1, len(self.places_N))), nn.Parameter(torch.zeros(K - 1, D))

    def weights(self) -> Tensor:
        """The strictly lower triangular matrices (J, D, D) whose entries below the diagonal are `W_JN`."""
        J, D = self.b_JD.shape
        return self.W_JN.new_zeros(J, D * D).index_copy(1, self.places_N, self.W_JN).view(J, D, D)

    def params(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        logits_BJD = F.linear(x.flatten(1)[:, self.order], self.weights().flatten(0, 1), self.b_JD.flatten()).unflatten(1, self.b_JD.shape)
        logits_BKD = F.pad(logits_BJD, (0, 0, 1, 0))  # level 0's are 0
        return logits_BKD[:, :, self.order.argsort()].unflatten(2, self.shape)

    def stages(self) -> Sequence[Stage]:
        return [Stage("train", [Player(self.title(), [self], self.loss, Adam(lr=1e-2))])]  # convex: weights far from 0 are reached sooner

    def stepper(self, x: Tensor, given: Tensor | None = None) -> Step:
        x_BD, W_JDD = x.flatten(1), self.weights()
        past_BD = torch.zeros_like(x_BD)  # in raster order

        def step(d: int) -> Tensor:
            if d > 0:
                past_BD[:, d - 1] = x_BD[:, self.order[d - 1]]
            return F.pad(F.linear(past_BD[:, :d], W_JDD[:, d, :d], self.b_JD[:, d]), (1, 0))

        return step
