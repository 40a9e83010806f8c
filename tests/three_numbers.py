"""GANs over x of three numbers in double precision, which the tests of the adversarial rules play."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pofx.kinds import Vector
from pofx.models.adversarial.gan import GAN
from pofx.randomness import Noise

DOUBLE = torch.float64


class Half(nn.Module):
    """|x|^2 / 2 of packed x: a discriminator whose slope at x is x. It remembers where it was asked."""

    def forward(self, x: Tensor) -> Tensor:
        self.at = x
        return x.square().flatten(1).sum(1, keepdim=True) / 2


def game(discriminator: nn.Module | None = None, **rules: Any) -> GAN:
    """A game over x of 3 numbers, in double precision."""
    model = GAN(Vector(3), latent=2, hidden=(4,), **rules)
    if discriminator is not None:
        model.discriminator = discriminator
    return model.double()


def rows(key: int, B: int = 6) -> Noise:
    return Noise((key,), slice(0, B), B, dtype=DOUBLE)
