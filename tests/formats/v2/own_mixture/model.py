"""A mixture of Bernoulli distributions.

Shapes: B examples, D bits, K components.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pofx.game import Batch, Noise, Part
from pofx.kinds import Binary, Size
from pofx.model import Model


class BernoulliMixture(Model):
    """Mixture of Bernoulli distributions: p(x) = sum_k pi_k prod_d p(x_d | k).

    References:
        Pattern Recognition and Machine Learning (Bishop, 2006), 9.3.3

    Args:
        x: bits
        components: of the mixture
    """

    paper: ClassVar = ("Bishop", 2006, "ISBN 978-0-387-31073-2")
    density: ClassVar = "exact"
    small: ClassVar = dict(components=3)

    def __init__(self, x: Binary, *, components: Size = 20):
        super().__init__()
        self.shape = x.shape
        self.weight_K = nn.Parameter(torch.zeros(components))
        self.logit_KD = nn.Parameter(torch.randn(components, x.size))

    def log_prob(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        """Exact log p(x) of bits `x` (B, *shape), in nats, (B,)."""
        x_BD = x.flatten(1)
        log_px_BK = x_BD @ F.logsigmoid(self.logit_KD).T + (1 - x_BD) @ F.logsigmoid(-self.logit_KD).T
        return torch.logsumexp(self.weight_K.log_softmax(0) + log_px_BK, 1)

    def loss(self, batch: Batch, noise: Noise) -> dict[str, Part]:
        return {"nll": -self.log_prob(batch["x"])}

    @torch.no_grad()
    def sample(self, n: int, *, given: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """`n` draws, (n, *shape)."""
        k_B = torch.multinomial(self.weight_K.softmax(0), n, replacement=True, generator=generator)
        return torch.bernoulli(self.logit_KD[k_B].sigmoid(), generator=generator).unflatten(1, self.shape)
