"""An exact density with everything that the contract asks of one, for the tests of the contract."""

from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from pofx.kinds import Binary
from pofx.model import Model


class Chain(Model):
    """Logistic regression of each bit on the bits before it: p(x) = prod_i p(x_i | x_<i).

    References:
        Does the wake-sleep algorithm produce good density estimators? (Frey, Hinton & Dayan, 1996)

    Args:
        x: bits
    """

    paper: ClassVar = ("Frey et al.", 1996, "NIPS 8")
    density: ClassVar = "exact"

    def __init__(self, x: Binary):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.zeros(x.size, x.size)), nn.Parameter(torch.zeros(x.size))
        self.shape = x.shape

    def dependency_matrix(self):
        return torch.ones(self.weight.shape, dtype=torch.bool).tril(-1)

    def logits(self, x_BD):
        return F.linear(x_BD, self.weight.tril(-1), self.bias)

    def conditionals(self, x):
        x_BD = x.flatten(1)
        return -F.binary_cross_entropy_with_logits(self.logits(x_BD), x_BD, reduction="none")

    def log_prob(self, x, *, given=None):
        return self.conditionals(x).sum(1)

    def loss(self, batch, noise):
        return {"nll": -self.log_prob(batch["x"])}

    @torch.no_grad()
    def sample(self, n, *, given=None, generator=None, cached: bool = True):
        D = len(self.bias)
        uniform_BD = torch.rand(n, D, generator=generator, dtype=self.bias.dtype)
        x_BD, logits_BD = torch.zeros_like(uniform_BD), self.bias.repeat(n, 1)
        for d in range(D):
            logit_B = logits_BD[:, d] if cached else self.logits(x_BD)[:, d]
            x_BD[:, d] = (uniform_BD[:, d] < logit_B.sigmoid()).to(x_BD.dtype)
            if cached:
                logits_BD += x_BD[:, d, None] * self.weight.tril(-1)[:, d]
        return x_BD.unflatten(1, self.shape)
