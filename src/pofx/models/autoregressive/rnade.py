"""The real-valued neural autoregressive density estimator.

Shapes: B examples, D numbers of x, H hidden units, K mixture components, P = 3K parameters for each number of x.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from pofx.bases.autoregressive import Autoregressive, Step
from pofx.distributions.likelihoods import likelihood
from pofx.kinds import Vector
from pofx.options import NonNegative, Positive, Size
from pofx.plan import Adam, Player, Stage


class RNADE(Autoregressive):
    """Real-valued NADE: each number has a mixture density, whose parameters are those of a small network of the numbers before it.

    a_1 = c;  h_d = act(rho_d a_d);  p(x_d | x_<d) = sum_k alpha_k N(mu_k, sigma_k^2);  a_{d+1} = a_d + W_d x_d

    with alpha = softmax(V^alpha_d h_d + b^alpha_d), mu = V^mu_d h_d + b^mu_d and sigma = floor + exp(V^sigma_d h_d + b^sigma_d).
    a_d is a sum of more and more terms; rho_d keeps it in the range where the units respond.

    References:
        RNADE: The real-valued neural autoregressive density-estimator (Uria, Murray & Larochelle, 2013), arXiv 1306.0186

    Args:
        x: real numbers, best normalised to mean 0 and standard deviation 1
        hidden: units of each of the D networks
        activation: of the hidden units
        mixture: gaussian or laplace densities
        components: of each mixture
        floor: the least scale of a component, in the units of x. Values that repeat make the likelihood unbounded without it
        weight_decay: of Adam

    Example:
        >>> rnade = RNADE(Vector(2), hidden=8, components=3)
        >>> grid = torch.linspace(-30, 30, 301)
        >>> total = rnade.log_prob(torch.cartesian_prod(grid, grid)).exp().sum() * 0.2**2
        >>> round(total.item(), 3)
        1.0
    """

    paper: ClassVar = ("Uria, Murray & Larochelle", 2013, "1306.0186")
    small: ClassVar = {"hidden": 6, "components": 2, "floor": 0.1}

    def __init__(
        self,
        x: Vector,
        *,
        hidden: Size = 50,
        activation: Literal["relu", "sigmoid"] = "relu",
        mixture: Literal["gaussian", "laplace"] = "gaussian",
        components: Size = 10,
        floor: Positive = 0.01,
        weight_decay: NonNegative = 0.0,
    ):
        super().__init__(
            x, likelihood(x, "gaussian_mixture" if mixture == "gaussian" else "laplace_mixture", components=components, floor=floor)
        )
        D, H, K = x.size, hidden, components
        self.act = torch.relu if activation == "relu" else torch.sigmoid
        self.weight_decay = weight_decay
        self.W_DH, self.c_H = nn.Parameter(torch.randn(D, H)), nn.Parameter(0.1 * torch.randn(H))
        self.rho_D = nn.Parameter(torch.arange(1, D + 1).rsqrt())  # a_d is a sum of d terms
        self.V_DHP = nn.Parameter(torch.randn(D, H, 3 * K) * 0.1 / math.sqrt(H))
        b_D3K = torch.zeros(D, 3, K)
        b_D3K[:, 1] = torch.randn(D, K)  # means apart, so that no two components are one
        self.b_DP = nn.Parameter(b_D3K.flatten(1))

    def params(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        a_BDH = torch.cat([self.c_H.expand(len(x), 1, -1), x[:, :-1, None] * self.W_DH[:-1]], 1).cumsum(1)
        h_DBH = self.act(self.rho_D[:, None] * a_BDH).transpose(0, 1)
        return torch.baddbmm(self.b_DP[:, None], h_DBH, self.V_DHP).permute(1, 2, 0)

    def stepper(self, x: Tensor, given: Tensor | None = None) -> Step:
        """O(HK) an example: a grows by one row of W."""
        a_BH = self.c_H.repeat(len(x), 1)

        def step(d: int) -> Tensor:
            if d > 0:
                a_BH.addcmul_(x[:, d - 1, None], self.W_DH[d - 1])
            return self.act(self.rho_D[d] * a_BH) @ self.V_DHP[d] + self.b_DP[d]

        return step

    def stages(self) -> list[Stage]:
        return [Stage("train", [Player(self.title(), [self], self.loss, Adam(weight_decay=self.weight_decay))])]
