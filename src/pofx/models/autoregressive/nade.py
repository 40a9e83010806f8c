"""The neural autoregressive distribution estimator.

Shapes: B examples, D numbers of x, H hidden units, U = 1 uniform number for each number of x.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from pofx.bases.autoregressive import Autoregressive, Step
from pofx.distributions.likelihoods import Bernoulli
from pofx.errors import UserError
from pofx.kinds import Binary
from pofx.models.autoregressive._nade_conditionals import nade_fill, nade_logits
from pofx.options import Seed, Size


class NADE(Autoregressive):
    """Neural autoregressive distribution estimator: D small networks that share their weights, so that all of them cost O(DH).

    a_1 = c;  h_d = sigmoid(a_d);  p(x_d = 1 | x_<d) = sigmoid(b_d + V_d h_d);  a_{d+1} = a_d + W_d x_d

    References:
        The neural autoregressive distribution estimator (Larochelle & Murray, 2011), AISTATS 15
        Neural autoregressive distribution estimation (Uria et al., 2016), arXiv 1605.02226

    Args:
        x: bits
        hidden: units of each of the D networks
        order: in which the numbers are drawn. None: row by row; a whole number: at random, with it as the seed; several: their places

    Example:
        >>> nade = NADE(Binary(2, 2), hidden=8, order=(3, 0, 1, 2))
        >>> every = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 4)
        >>> round(nade.log_prob(every.view(-1, 2, 2)).exp().sum().item(), 4)
        1.0
    """

    paper: ClassVar = ("Larochelle & Murray", 2011, "AISTATS 15")
    small: ClassVar = {"hidden": 6}

    def __init__(self, x: Binary, *, hidden: Size = 500, order: Seed | tuple[int, ...] | None = None):
        super().__init__(x, Bernoulli())
        D, H = x.size, hidden
        if isinstance(order, int):  # the weights belong to the order: numpy keeps the numbers of RandomState as they are for ever
            self.order = torch.from_numpy(np.random.RandomState(np.random.MT19937(order)).permutation(D))
        elif order is not None:
            if sorted(order) != list(range(D)):
                raise UserError(f"{self.title()}: order must name each of the {D} places from 0 to {D - 1} once: give a seed to draw one")
            self.order = torch.tensor(order)
        if order is not None:
            self.completion_context = "what comes before it in the model's own order"
        self.W_DH, self.c_H = nn.Parameter(torch.empty(D, H).uniform_(-1, 1) / D**0.5), nn.Parameter(torch.zeros(H))
        self.V_DH, self.b_D = nn.Parameter(torch.empty(D, H).uniform_(-1, 1) / H**0.5), nn.Parameter(torch.zeros(D))

    def params(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        logits_BD = nade_logits(x.flatten(1), self.order, self.W_DH, self.c_H, self.V_DH, self.b_D)
        return logits_BD.view(len(x), 1, *self.shape)

    def stepper(self, x: Tensor, given: Tensor | None = None) -> Step:
        """O(H) an example: a grows by one row of W."""
        x_BD = x.flatten(1)
        a_BH = self.c_H.repeat(len(x), 1)

        def step(d: int) -> Tensor:
            if d > 0:
                before = self.order[d - 1]
                a_BH.addcmul_(x_BD[:, before, None], self.W_DH[before])
            now = self.order[d]
            return (a_BH.sigmoid() @ self.V_DH[now] + self.b_D[now])[:, None]

        return step

    def fill(self, x: Tensor, known: Tensor, u_BUD: Tensor, given: Tensor | None, cached: bool = True) -> Tensor:
        """As `stepper` draws, in one compiled loop where there is one."""
        x_BD, known_BD, u_BD = x.flatten(1), known.flatten(1), u_BUD.flatten(1)
        if cached and nade_fill(x_BD, known_BD, u_BD, self.order, self.W_DH, self.c_H, self.V_DH, self.b_D):
            return x
        return super().fill(x, known, u_BUD, given, cached)
