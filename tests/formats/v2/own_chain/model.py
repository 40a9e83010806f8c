"""Each bit from the two before it: a table of 2 x 2 logits for every place.

Shapes: B examples, D bits.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pofx.kinds import Binary
from pofx.nn.autoregressive import Autoregressive
from pofx.nn.likelihoods import Bernoulli


class TwoBefore(Autoregressive):
    """A Markov chain of second order.

    References:
        An example of statistical investigation of the text Eugene Onegin (Markov, 1913)

    Args:
        x: bits
    """

    paper: ClassVar = ("Markov", 1913, "doi:10.1017/S0269889706001074")

    def __init__(self, x: Binary):
        super().__init__(x, Bernoulli())
        self.logit_D22 = nn.Parameter(torch.zeros(x.size, 2, 2))

    def params(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        bit_BD = F.pad(x.flatten(1)[:, self.order].long(), (2, 0))  # two zeros stand before the first
        logit_BD = self.logit_D22[torch.arange(len(self.order)), bit_BD[:, :-2], bit_BD[:, 1:-1]]
        return logit_BD[:, self.order.argsort()].view(len(x), 1, *self.shape)

    def depends(self) -> Tensor:
        rank_D = self.order.argsort()
        return ((rank_D[:, None] - rank_D) >= 1) & ((rank_D[:, None] - rank_D) <= 2)
