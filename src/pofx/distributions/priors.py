"""Distributions that codes are drawn from: of a generator's input, and of what an adversarial autoencoder's codes are to look like.

Shapes: B examples, d numbers in a code.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from pofx.errors import UserError, nearest
from pofx.randomness import Noise


class Prior(ABC):
    """A distribution over codes of `dims` numbers."""

    dims: int

    @abstractmethod
    def draw(self, noise: Noise) -> Tensor:
        """One code for each row of the noise, (B, d)."""

    @abstractmethod
    def sweep(self, steps: int) -> Tensor:
        """Codes that show its range in order, one a row: for each number of a continuous code `steps` values, each of the others 0."""

    def sample(self, n: int, like: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """`n` codes (n, d), of the device and type of the tensor `like`."""
        return self.draw(Noise.of(generator, n, device=like.device, dtype=like.dtype))


class Gaussian(Prior):
    """N(0, std^2) in each of `dims` numbers.

    Example:
        >>> Gaussian(3).draw(Noise((0,), slice(0, 5), 5)).shape
        torch.Size([5, 3])
    """

    reach = 2.0  # a sweep goes from - reach to + reach, in standard deviations

    def __init__(self, dims: int, std: float = 1.0):
        self.dims, self.std = dims, std

    def draw(self, noise: Noise) -> Tensor:
        return self.std * noise.normal(self.dims)

    def sweep(self, steps: int) -> Tensor:
        ends = self.std * self.reach
        return torch.cat([torch.outer(torch.linspace(-ends, ends, steps), row) for row in torch.eye(self.dims)])


class Uniform(Gaussian):
    """Uniform on [-1, 1) in each of `dims` numbers."""

    reach = 1.0

    def draw(self, noise: Noise) -> Tensor:
        return 2 * noise.uniform(self.dims) - 1


class Categorical(Prior):
    """One of `classes`, each as likely, as a one-hot code.

    Example:
        >>> Categorical(4).draw(Noise((0,), slice(0, 5), 5)).sum(1).tolist()
        [1.0, 1.0, 1.0, 1.0, 1.0]
    """

    def __init__(self, classes: int):
        self.dims = classes

    def draw(self, noise: Noise) -> Tensor:
        return F.one_hot(noise.integers(self.dims), self.dims).to(noise.dtype)

    def sweep(self, steps: int) -> Tensor:
        return torch.eye(self.dims)


class Joint(Prior):
    """Independent named parts, one after another in the code.

    Args:
        parts: name -> prior, in order

    Example:
        >>> prior = Joint({"noise": Gaussian(3), "c": Categorical(2)})
        >>> prior.dims, prior.where("c")
        (5, slice(3, 5, None))
    """

    def __init__(self, parts: Mapping[str, Prior]):
        self.parts = dict(parts)
        self.dims = sum(part.dims for part in self.parts.values())

    def draw(self, noise: Noise) -> Tensor:
        return torch.cat([part.draw(noise) for part in self.parts.values()], dim=1)

    def where(self, name: str) -> slice:
        """The columns of part `name` in the code; a UserError names the nearest part if there is none."""
        if name not in self.parts:
            raise UserError(f"there is no code {name!r}: {nearest(name, self.parts)}")
        names = list(self.parts)
        start = sum(self.parts[before].dims for before in names[: names.index(name)])
        return slice(start, start + self.parts[name].dims)

    def split(self, z_Bd: Tensor) -> dict[str, Tensor]:
        """A code (B, d) by its parts."""
        return dict(zip(self.parts, z_Bd.split([part.dims for part in self.parts.values()], dim=1), strict=True))

    def sweep(self, steps: int) -> Tensor:
        return torch.block_diag(*(part.sweep(steps) for part in self.parts.values()))


class Ring(Prior):
    """A mixture of `components` Gaussians in the plane, each long towards the centre and thin across (Makhzani et al., 2015, figure 4).

    Args:
        components: petals of the flower
        radius: of their centres
        long: standard deviation towards the centre
        thin: standard deviation across
    """

    dims = 2

    def __init__(self, components: int = 10, radius: float = 2.0, long: float = 0.5, thin: float = 0.1):
        self.components, self.radius, self.long, self.thin = components, radius, long, thin

    def draw(self, noise: Noise) -> Tensor:
        angle_B = 2 * math.pi * noise.integers(self.components).to(noise.dtype) / self.components
        along_B, across_B = (noise.normal(2) * torch.tensor([self.long, self.thin], device=noise.device, dtype=noise.dtype)).unbind(1)
        along_B = along_B + self.radius
        cos_B, sin_B = angle_B.cos(), angle_B.sin()
        return torch.stack([along_B * cos_B - across_B * sin_B, along_B * sin_B + across_B * cos_B], dim=1)

    def sweep(self, steps: int) -> Tensor:
        angle_K = 2 * math.pi * torch.arange(self.components) / self.components
        return self.radius * torch.stack([angle_K.cos(), angle_K.sin()], dim=1)


class SwissRoll(Prior):
    """A spiral in the plane, with a little Gaussian noise (Makhzani et al., 2015, figure 5).

    Args:
        turns: of the spiral
        radius: of its outer end
        thickness: standard deviation of the noise
    """

    dims = 2

    def __init__(self, turns: float = 1.5, radius: float = 3.0, thickness: float = 0.05):
        self.turns, self.radius, self.thickness = turns, radius, thickness

    def at(self, share_B: Tensor) -> Tensor:
        """The points at a share of the way along the spiral, from its centre (0) to its end (1), (B, 2)."""
        angle_B = 2 * math.pi * self.turns * share_B
        return self.radius * share_B[:, None] * torch.stack([angle_B.cos(), angle_B.sin()], dim=1)

    def draw(self, noise: Noise) -> Tensor:
        return self.at(noise.uniform().sqrt()) + self.thickness * noise.normal(2)  # the root: as dense outside as inside

    def sweep(self, steps: int) -> Tensor:
        return self.at(torch.linspace(0, 1, steps))
