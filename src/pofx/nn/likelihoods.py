"""p(x | z): what a decoder's parameters say about x. Every likelihood has the same four things:

- `per_element`: parameters for each number of x
- `log_prob(params_BP, x_B)`: nats, summed over the example, (B,)
- `mean(params_BP)`: the mean of x, (B, *shape)
- `draw(params_BP, generator)`: one draw of x, (B, *shape)

Shapes: B examples, P parameters for each number of x, K mixture components, L levels; `params_BP` is (B, P, *shape), `x_B` is (B, *shape).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from pofx.errors import UserError
from pofx.kinds import Binary, Image, Kind

Name = Literal["bernoulli", "gaussian", "categorical", "logistic_mixture"]


class Likelihood:
    """The base of the likelihoods: the interface above."""

    per_element: int
    dequantised: ClassVar[bool | property] = False

    def log_prob(self, params_BP: Tensor, x_B: Tensor, u_B: Tensor | None = None) -> Tensor:
        """log p(x | params) in nats, (B,).

        Args:
            params_BP: (B, P, *shape)
            x_B: (B, *shape), numbers as the data has them
            u_B: where `dequantised`, uniform noise in [0, 1) of x's shape; left out elsewhere
        """
        raise TypeError(f"{type(self).__name__} defines no log_prob")

    def mean(self, params_BP: Tensor) -> Tensor:
        """The mean of x, (B, *shape)."""
        raise TypeError(f"{type(self).__name__} defines no mean")

    def draw(self, params_BP: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One draw of x for each row, (B, *shape)."""
        raise TypeError(f"{type(self).__name__} defines no draw")


def likelihood(x: Kind, name: Name | None = None, *, components: int = 5, scale: float | None = None) -> Likelihood:
    """The likelihood called `name` for numbers of kind `x`.

    Args:
        x: the kind of data
        name: None: bernoulli for `Binary`, logistic_mixture for `Image`, gaussian elsewhere
        components: of logistic_mixture
        scale: the Gaussian's standard deviation; None: one of the parameters, so learned for each number

    Example:
        >>> likelihood(Binary(784))
        Bernoulli()
    """
    if name is None:
        name = "bernoulli" if isinstance(x, Binary) else "logistic_mixture" if isinstance(x, Image) else "gaussian"
    levels = x.levels if isinstance(x, Image) else 2 if isinstance(x, Binary) else None
    if name == "bernoulli":
        if levels != 2:
            more = "; make pictures binary with --binarize dynamic or --binarize threshold" if isinstance(x, Image) else ": use gaussian"
            raise UserError(f"likelihood bernoulli is for bits, and x is {x}{more}")
        return Bernoulli()
    if name == "gaussian":
        return Gaussian(scale, levels)
    if levels is None:
        raise UserError(f"likelihood {name} is for numbers of known levels (Image or Binary), and x is {x}: use gaussian")
    return Categorical(levels) if name == "categorical" else LogisticMixture(components, levels)


@dataclass(frozen=True)
class Bernoulli(Likelihood):
    """Bits, each 1 with probability sigmoid(params).

    Example:
        >>> Bernoulli().log_prob(torch.zeros(1, 1, 3), torch.ones(1, 3)) / math.log(2)
        tensor([-3.])
    """

    per_element: ClassVar[int] = 1

    def log_prob(self, params_BP: Tensor, x_B: Tensor, u_B: Tensor | None = None) -> Tensor:
        # x log sigmoid(l) + (1 - x) log sigmoid(-l) = x l - softplus(l), for every x in [0, 1]
        logits_B = params_BP.squeeze(1)
        return (x_B * logits_B - F.softplus(logits_B)).flatten(1).sum(1)

    def mean(self, params_BP: Tensor) -> Tensor:
        return params_BP.squeeze(1).sigmoid()

    def draw(self, params_BP: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return torch.bernoulli(self.mean(params_BP), generator=generator)


@dataclass(frozen=True)
class Gaussian(Likelihood):
    """Normal numbers: of standard deviation `scale`, or, where that is None, of one learned for each number (params: mean, log scale).

    Pictures of whole levels (`levels` L) are **dequantised**: the density is that of y = (x (L - 1) + u) / L in [0, 1) with u uniform, and
    `log_prob` is log p(y) - D log L for D numbers. Its mean over u is a lower bound on log P(x), P(x) being the density's mass in the
    cell of x, so that bits per dimension compare with those of a discrete likelihood (Theis et al., 2016, arXiv 1511.01844).

    Args:
        scale: in the units of y (of x where there are no levels)
        levels: of the pictures' numbers; None for real numbers

    Example:
        >>> params, x = torch.tensor([[[0.0], [0.0]]]), torch.tensor([[0.0]])  # mean 0, log scale 0
        >>> round(Gaussian().log_prob(params, x).item(), 4)
        -0.9189
    """

    scale: float | None = None
    levels: int | None = None

    @property
    def per_element(self) -> int:  # type: ignore[override]
        return 1 if self.scale else 2

    @property
    def dequantised(self) -> bool:  # type: ignore[override]
        return self.levels is not None

    def _mean_and_log_scale(self, params_BP: Tensor) -> tuple[Tensor, Tensor]:
        if self.scale:
            return params_BP.squeeze(1), params_BP.new_tensor(math.log(self.scale))
        mean_B, log_scale_B = params_BP.unbind(1)
        # below a hundredth of a level nothing is left to gain but an unbounded density of the noise-free numbers
        return mean_B, log_scale_B.clamp(min=-7.0)

    def log_prob(self, params_BP: Tensor, x_B: Tensor, u_B: Tensor | None = None) -> Tensor:
        mean_B, log_scale_B = self._mean_and_log_scale(params_BP)
        volume = 0.5 * math.log(2 * math.pi)
        if self.levels is not None:
            if u_B is None:
                raise TypeError("a Gaussian over whole levels is dequantised: give u_B, uniform noise of x's shape")
            x_B = (x_B * (self.levels - 1) + u_B) / self.levels
            volume += math.log(self.levels)
        log_density_B = -0.5 * ((x_B - mean_B) * (-log_scale_B).exp()).square() - log_scale_B - volume
        return log_density_B.flatten(1).sum(1)

    def _to_x(self, y_B: Tensor) -> Tensor:
        return y_B if self.levels is None else ((y_B * self.levels - 0.5) / (self.levels - 1)).clamp(0, 1)

    def mean(self, params_BP: Tensor) -> Tensor:
        return self._to_x(self._mean_and_log_scale(params_BP)[0])

    def draw(self, params_BP: Tensor, generator: torch.Generator | None = None) -> Tensor:
        mean_B, log_scale_B = self._mean_and_log_scale(params_BP)
        noise_B = torch.randn(mean_B.shape, generator=generator, device=mean_B.device, dtype=mean_B.dtype)
        y_B = mean_B + log_scale_B.exp() * noise_B
        return y_B if self.levels is None else (y_B * self.levels).floor().clamp(0, self.levels - 1) / (self.levels - 1)


@dataclass(frozen=True)
class Categorical(Likelihood):
    """Each number is one of L `levels`, k / (L - 1), with probabilities softmax(params).

    Example:
        >>> Categorical(4).log_prob(torch.zeros(1, 4, 3), torch.ones(1, 3)) / math.log(4)
        tensor([-3.])
    """

    levels: int

    @property
    def per_element(self) -> int:  # type: ignore[override]
        return self.levels

    def log_prob(self, params_BP: Tensor, x_B: Tensor, u_B: Tensor | None = None) -> Tensor:
        k_B = (x_B * (self.levels - 1)).round().long()
        return -F.cross_entropy(params_BP, k_B, reduction="none").flatten(1).sum(1)

    def mean(self, params_BP: Tensor) -> Tensor:
        x_P = torch.linspace(0, 1, self.levels, dtype=params_BP.dtype, device=params_BP.device)
        return torch.tensordot(params_BP.softmax(1), x_P, dims=([1], [0]))

    def draw(self, params_BP: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return _choose(params_BP, generator).to(params_BP.dtype) / (self.levels - 1)


@dataclass(frozen=True)
class LogisticMixture(Likelihood):
    """Each number is one of L `levels`; its probability is the mass that a mixture of K logistic densities puts into the level's bin.

    The first bin takes the lower tail and the last one the upper, so that the levels' probabilities sum to 1. On the scale of x from -1 to
    1, parameters are K logits, K means and K log scales.

    References:
        PixelCNN++ (Salimans et al., 2017), arXiv 1701.05517, without its coupling of the channels

    Example:
        >>> params = torch.randn(1, 3 * 2, 1).expand(256, -1, -1)  # the same for each of the 256 levels
        >>> levels = torch.arange(256)[:, None] / 255
        >>> round(LogisticMixture(2, 256).log_prob(params, levels).exp().sum().item(), 4)
        1.0
    """

    components: int
    levels: int

    @property
    def per_element(self) -> int:  # type: ignore[override]
        return 3 * self.components

    def _parts(self, params_BP: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits_BK, mean_BK, log_scale_BK = params_BP.unflatten(1, (3, self.components)).unbind(1)
        return logits_BK, mean_BK, log_scale_BK.clamp(min=-7.0)

    def log_prob(self, params_BP: Tensor, x_B: Tensor, u_B: Tensor | None = None) -> Tensor:
        logits_BK, mean_BK, log_scale_BK = self._parts(params_BP)
        half = 1 / (self.levels - 1)
        x_B1 = (2 * x_B - 1).unsqueeze(1)
        inverse_BK = (-log_scale_BK).exp()
        upper_BK, lower_BK = (x_B1 + half - mean_BK) * inverse_BK, (x_B1 - half - mean_BK) * inverse_BK
        # sigmoid(u) - sigmoid(l) = sigmoid(u) sigmoid(-l) (1 - exp(l - u)): no difference of near-equal numbers, however small the mass
        below_BK, above_BK = F.logsigmoid(upper_BK), F.logsigmoid(-lower_BK)
        inside_BK = torch.log(-torch.expm1(-2 * half * inverse_BK))
        first_B1, last_B1 = x_B1 < -1 + half, x_B1 > 1 - half
        log_mass_BK = below_BK.masked_fill(last_B1, 0) + above_BK.masked_fill(first_B1, 0) + inside_BK.masked_fill(first_B1 | last_B1, 0)
        return (torch.logsumexp(logits_BK + log_mass_BK, 1) - torch.logsumexp(logits_BK, 1)).flatten(1).sum(1)

    def mean(self, params_BP: Tensor) -> Tensor:
        """The mean of the mixture cut to [-1, 1], which is that of the levels to within half a level."""
        logits_BK, mean_BK, log_scale_BK = self._parts(params_BP)
        scale_BK = log_scale_BK.exp()
        # E clamp(y, -1, 1) = -1 + the integral of P(y > t) for t from -1 to 1
        cut_BK = scale_BK * (F.softplus((mean_BK + 1) / scale_BK) - F.softplus((mean_BK - 1) / scale_BK)) - 1
        return ((logits_BK.softmax(1) * cut_BK).sum(1) + 1) / 2

    def draw(self, params_BP: Tensor, generator: torch.Generator | None = None) -> Tensor:
        logits_BK, mean_BK, log_scale_BK = self._parts(params_BP)
        k_B1 = _choose(logits_BK, generator).unsqueeze(1)
        mean_B, log_scale_B = mean_BK.gather(1, k_B1).squeeze(1), log_scale_BK.gather(1, k_B1).squeeze(1)
        u_B = torch.rand(mean_B.shape, generator=generator, device=mean_B.device, dtype=mean_B.dtype)
        y_B = mean_B + log_scale_B.exp() * torch.logit(u_B, eps=1e-7)
        return ((y_B + 1) / 2 * (self.levels - 1)).round().clamp(0, self.levels - 1) / (self.levels - 1)


def _choose(logits_BK: Tensor, generator: torch.Generator | None) -> Tensor:
    """One draw of k for each (B, *shape) with probabilities softmax(logits (B, K, *shape)), by the Gumbel maximum."""
    noise_BK = torch.empty_like(logits_BK).exponential_(generator=generator)
    return (logits_BK - noise_BK.log()).argmax(1)
