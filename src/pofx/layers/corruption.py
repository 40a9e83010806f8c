"""Noise injectors: what a denoising autoencoder's encoder sees instead of x (Vincent et al., 2010, section 3.3)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from pofx.errors import UserError
from pofx.options import NonNegative
from pofx.randomness import Noise

Corruption = Literal["masking", "gaussian", "salt_and_pepper"]


def masking(x: Tensor, level: float, noise: Noise) -> Tensor:
    """`x` (B, ...) with each number set to 0 with probability `level`."""
    return x * (noise.uniform(*x.shape[1:]) >= level)


def gaussian(x: Tensor, level: float, noise: Noise) -> Tensor:
    """`x` (B, ...) plus normal noise of standard deviation `level`."""
    return x + level * noise.normal(*x.shape[1:])


def salt_and_pepper(x: Tensor, level: float, noise: Noise) -> Tensor:
    """`x` (B, ...) in [0, 1] with each number set to 0 or to 1 with probability `level` / 2 each."""
    uniform = noise.uniform(*x.shape[1:])
    return x.masked_fill(uniform < level, 0).masked_fill(uniform < level / 2, 1)


class Injector(nn.Module):
    """Corrupts x while training; in evaluation mode it is the identity.

    Args:
        corruption: masking, gaussian or salt_and_pepper
        level: probability that a number is corrupted; for gaussian, the standard deviation
        bounded: whether x is in [0, 1], which salt_and_pepper needs

    Example:
        >>> import torch
        >>> injector, noise = Injector("masking", 0.3, bounded=True), Noise((0, 0, "x"), slice(0, 8), 8)
        >>> x = torch.ones(8, 1000)
        >>> round(injector(x, noise).mean().item(), 1)
        0.7
        >>> bool((injector.eval()(x, noise) == x).all())
        True
    """

    def __init__(self, corruption: Corruption, level: NonNegative, *, bounded: bool):
        super().__init__()
        if corruption == "salt_and_pepper" and not bounded:
            raise UserError("corruption salt_and_pepper needs x in [0, 1], as Image and Binary are: use gaussian or masking")
        if corruption != "gaussian" and level > 1:
            raise UserError(f"level of {corruption} is a probability, between 0 and 1, not {level:g}")
        self.corrupt = {"masking": masking, "gaussian": gaussian, "salt_and_pepper": salt_and_pepper}[corruption]
        self.level = level

    def forward(self, x: Tensor, noise: Noise) -> Tensor:
        return self.corrupt(x, self.level, noise) if self.training else x
