"""The fully visible sigmoid belief network.

Shapes: B examples, D numbers of x.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pofx.kinds import Binary
from pofx.nn.autoregressive import Autoregressive
from pofx.nn.likelihoods import Bernoulli


class FVSBN(Autoregressive):
    """Fully visible sigmoid belief network: each bit is a logistic regression on all bits before it.

    p(x_d = 1 | x_<d) = sigmoid(b_d + sum_{e<d} W_de x_e).

    References:
        Connectionist learning of belief networks (Neal, 1992)

    Args:
        x: bits
    """

    paper: ClassVar = ("Neal", 1992, "Artificial Intelligence 56")

    def __init__(self, x: Binary):
        super().__init__(x, Bernoulli())
        self.W_DD, self.b_D = nn.Parameter(torch.zeros(x.size, x.size)), nn.Parameter(torch.zeros(x.size))

    def params(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        x_BD = x.flatten(1)[:, self.order]
        logits_BD = F.linear(x_BD, self.W_DD.tril(-1), self.b_D)
        return logits_BD[:, self.order.argsort()].view(len(x), 1, *self.shape)
