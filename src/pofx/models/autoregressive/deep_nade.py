"""DeepNADE: a deep network that takes what is known, and which numbers those are, and predicts all others.

Shapes: B examples, D numbers of x, H hidden units of a layer, P parameters of the likelihood for each number of x.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pofx.bases.order_agnostic import OrderAgnostic, Step
from pofx.distributions import likelihoods
from pofx.errors import UserError
from pofx.kinds import Binary, Image
from pofx.options import NonNegative, Size
from pofx.plan import Adam, Player, Stage


class DeepNADE(OrderAgnostic):
    """Deep neural autoregressive distribution estimator, agnostic to the order: trained on random orders, exact in each of them.

    With the mask m of what is known, h1 = relu(W (m x) + M m + b1), h2 = relu(W2 h1 + b2), ..., and p(x_i | m x) is read off V_i h + c_i.

    Scoring goes through the D conditionals of an order one by one. The first layer's sum changes by W_i x_i + M_i only when x_i becomes
    known, and the last layer is read for one number, so a step is about H^2 products: those between the hidden layers.

    References:
        A Deep and Tractable Density Estimator (Uria, Murray & Larochelle, 2014), arXiv 1310.1757
        Neural Autoregressive Distribution Estimation (Uria et al., 2016), arXiv 1605.02226

    Args:
        x: bits, or pictures of any number of levels
        hidden: units of each layer
        likelihood: of each number; None: bernoulli for bits, logistic_mixture for pictures
        components: of a logistic_mixture
        weight_decay: of Adam

    Example:
        >>> model = DeepNADE(Binary(2, 2), hidden=(8, 8))
        >>> every = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 4).view(-1, 2, 2)
        >>> [round(model.log_prob(every, orders=n).exp().sum().item(), 4) for n in (1, 5)]
        [1.0, 1.0]
    """

    paper: ClassVar = ("Uria et al.", 2014, "1310.1757")
    small: ClassVar = {"hidden": (6, 5), "components": 2}

    def __init__(
        self,
        x: Binary | Image,
        *,
        hidden: tuple[Size, ...] = (500, 500),
        likelihood: Literal["bernoulli", "categorical", "logistic_mixture"] | None = None,
        components: Size = 5,
        weight_decay: NonNegative = 0.0,
    ):
        super().__init__(x, likelihoods.likelihood(x, likelihood, components=components))
        if not hidden:
            raise UserError("deep_nade: hidden needs at least one layer, such as 500")
        self.into = nn.Linear(2 * x.size, hidden[0])  # W and M, side by side
        layers = [layer for a, b in pairwise(hidden) for layer in (nn.ReLU(), nn.Linear(a, b))]
        self.between = nn.Sequential(*layers, nn.ReLU())
        self.out = nn.Linear(hidden[-1], self.likelihood.per_element * x.size)
        self.weight_decay = weight_decay

    def stages(self) -> Sequence[Stage]:
        return [Stage("train", [Player(self.title(), [self], self.loss, Adam(weight_decay=self.weight_decay))])]

    def params(self, x: Tensor, known: Tensor) -> Tensor:
        m_BD = known.flatten(1).to(x.dtype)
        a_BH = self.into(torch.cat([x.flatten(1) * m_BD, m_BD], 1))
        return self.out(self.between(a_BH)).view(len(x), self.likelihood.per_element, *self.shape)

    def stepper(self, x: Tensor, known: Tensor) -> Step:
        x_BD, known_BD = x.flatten(1), known.flatten(1)
        W_D2H = self.into.weight.T.unflatten(0, (2, -1)).transpose(0, 1).contiguous()  # W_i and M_i
        V_PDH = self.out.weight.unflatten(0, (self.likelihood.per_element, -1))
        c_PD = self.out.bias.unflatten(0, (self.likelihood.per_element, -1))
        m_BD = known_BD.to(x.dtype)
        a_BH = self.into(torch.cat([x_BD * m_BD, m_BD], 1))
        newest: tuple[int, Tensor] | None = None  # the place that is being filled in, and in which examples it was not known

        def step(place: int) -> Tensor:
            nonlocal newest
            if newest is not None:
                i, new_B = newest
                a_BH.addmm_(torch.stack([x_BD[:, i] * new_B, new_B], 1), W_D2H[i])
            newest = place, 1 - m_BD[:, place]
            return F.linear(self.between(a_BH), V_PDH[:, place], c_PD[:, place])

        return step
