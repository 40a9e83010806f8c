"""What the parameters that a network gives for each number of x say about it. Every likelihood has the same things:

- `per_element`: parameters for each number of x
- `each(params_BP, x_B)`: nats of each number of x, (B, *shape), and `log_prob(params_BP, x_B)`, their sum, (B,)
- `mean(params_BP)`: the mean of x, (B, *shape)
- `invert(params_BP, u_BU)`: the x that uniform numbers stand for, (B, *shape); `uniforms` of them, U, for each number of x
- `draw(params_BP, generator)`: one draw of x, (B, *shape)

Shapes: B examples, P parameters for each number of x, U uniform numbers in [0, 1) for each, K mixture components, L levels;
`params_BP` is (B, P, *shape), `x_B` is (B, *shape), `u_BU` is (B, U, *shape).
N codes of one x, H features of each, D numbers of x, G groups of them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from pofx.errors import UserError
from pofx.kinds import Kind

LEAST_LOG_SCALE = -7.0  # a learned scale below this would only chase an unbounded density
LEAST_SCALE = 1e-3
MOST_LOG_SCALE = 20.0  # of a density mixture: far out, a network may ask for more than a float holds
Name = Literal["bernoulli", "gaussian", "categorical", "logistic_mixture", "gaussian_mixture", "laplace_mixture"]
PixelName = Literal["bernoulli", "categorical", "logistic_mixture"]  # of numbers of known levels


class Likelihood(ABC):
    """What a network's parameters say about x; `dequantised` where `log_prob` takes uniform noise `u_B` in training."""

    dequantised: bool = False
    uniforms: ClassVar[int] = 1

    @property
    @abstractmethod
    def per_element(self) -> int: ...

    @abstractmethod
    def each(self, params_BP: Tensor, x_B: Tensor, u_B: Tensor | None = None) -> Tensor: ...

    @abstractmethod
    def mean(self, params_BP: Tensor) -> Tensor: ...

    @abstractmethod
    def invert(self, params_BP: Tensor, u_BU: Tensor) -> Tensor: ...

    def log_prob(self, params_BP: Tensor, x_B: Tensor, u_B: Tensor | None = None) -> Tensor:
        return self.each(params_BP, x_B, u_B).flatten(1).sum(1)

    def draw(self, params_BP: Tensor, generator: torch.Generator | None = None) -> Tensor:
        B, _, *shape = params_BP.shape
        u_BU = torch.rand(B, self.uniforms, *shape, generator=generator, device=params_BP.device, dtype=params_BP.dtype)
        return self.invert(params_BP, u_BU)


def likelihood(
    x: Kind, name: Name | None = None, *, components: int = 5, scale: float | None = None, floor: float = LEAST_SCALE
) -> Likelihood:
    """The likelihood called `name` for numbers of kind `x`.

    Args:
        x: the kind of data
        name: None: the kind's own: bernoulli for `Binary`, logistic_mixture for `Image`, gaussian for real numbers
        components: of a mixture
        floor: the least scale of a component of gaussian_mixture or laplace_mixture, in the units of x
        scale: the Gaussian's standard deviation; None: one of the parameters, so learned for each number

    Example:
        >>> from pofx.kinds import Binary
        >>> likelihood(Binary(784))
        Bernoulli()
    """
    if name is None:
        name = cast(Name, x.likelihood)
    levels = (x.levels or None) if x.dtype == "float32" else None  # a class or a token is no level between 0 and 1
    if name == "bernoulli":
        if levels != 2:
            more = "; make pictures binary with --binarize dynamic or --binarize threshold" if levels else ": use gaussian"
            raise UserError(f"likelihood bernoulli is for bits, and x is {x}{more}")
        return Bernoulli()
    if name == "gaussian":
        return Gaussian(scale, levels)
    if name in ("gaussian_mixture", "laplace_mixture"):
        if levels is not None:
            raise UserError(f"likelihood {name} is a density of real numbers, and x is {x}: use logistic_mixture")
        return GaussianMixture(components, floor) if name == "gaussian_mixture" else LaplaceMixture(components, floor)
    if levels is None:
        raise UserError(f"likelihood {name} is for numbers of known levels (Image or Binary), and x is {x}: use gaussian")
    return Categorical(levels) if name == "categorical" else LogisticMixture(components, levels)


def pixel_likelihood(model: str, x: Kind, name: PixelName | None, components: int) -> Likelihood:
    """The likelihood called `name` for the numbers of pictures; None: bernoulli for bits, categorical for pictures of whole levels.

    Args:
        model: its name, for the error
        x: the kind of data
        name: of the likelihood
        components: of logistic_mixture

    Raises:
        UserError: x is no picture

    Example:
        >>> from pofx.kinds import Binary
        >>> pixel_likelihood("pixelcnn", Binary(1, 8, 8), None, components=5)
        Bernoulli()
    """
    if len(x.shape) != 3:
        raise UserError(f"{model} needs pictures (channels, height, width), not x of shape {x.shape}")
    return likelihood(x, name or ("bernoulli" if x.likelihood == "bernoulli" else "categorical"), components=components)


@dataclass(frozen=True)
class Bernoulli(Likelihood):
    """Bits, each 1 with probability sigmoid(params).

    Example:
        >>> Bernoulli().log_prob(torch.zeros(1, 1, 3), torch.ones(1, 3)) / math.log(2)
        tensor([-3.])
    """

    @property
    def per_element(self) -> int:
        return 1

    def each(self, params_BP: Tensor, x_B: Tensor, u_B: Tensor | None = None) -> Tensor:
        # x log sigmoid(l) + (1 - x) log sigmoid(-l) = x l - softplus(l)
        logits_B = params_BP.squeeze(1)
        return x_B * logits_B - F.softplus(logits_B)

    def log_prob_of_features(self, weight_DH: Tensor, bias_D: Tensor, x_D: Tensor) -> Callable[[Tensor], Tensor]:
        """log p of one x of bits, from what the decoder's last, affine layer takes in: h (N, H) of N codes to (N,), in the product's time.

        log p(x_d) = log sigmoid((2 x_d - 1) l_d). The sign goes into the layer, and one logarithm serves the product of a group of numbers.
        Where a product leaves the range of floats, at tens of nats a group, the row is done again number by number.
        """
        D = len(x_D)
        G = -(-D // 100)
        width = -(-D // G)
        sign_D = 2 * x_D - 1
        signed_HD = F.pad(weight_DH * sign_D[:, None], (0, 0, 0, G * width - D)).T
        signed_D = F.pad(bias_D * sign_D, (0, G * width - D), value=math.inf)  # the padding has probability 1
        tiny = torch.finfo(x_D.dtype).tiny

        def log_prob(h_NH: Tensor) -> Tensor:
            product_NG = torch.addmm(signed_D, h_NH, signed_HD).sigmoid_().view(-1, G, width).prod(2)
            log_p_N = product_NG.log().sum(1)
            lost_N = (product_NG < tiny).any(1)
            if lost_N.any():
                log_p_N[lost_N] = F.logsigmoid(torch.addmm(signed_D, h_NH[lost_N], signed_HD)).sum(1)
            return log_p_N

        return log_prob

    def mean(self, params_BP: Tensor) -> Tensor:
        return params_BP.squeeze(1).sigmoid()

    def invert(self, params_BP: Tensor, u_BU: Tensor) -> Tensor:
        return (u_BU < params_BP.sigmoid()).squeeze(1).to(params_BP.dtype)


@dataclass(frozen=True)
class Gaussian(Likelihood):
    """Normal numbers: of standard deviation `scale`, or, where that is None, of one learned for each number (params: mean, log scale).

    Pictures of whole levels (`levels` L) are **dequantised**: the density is that of y = (x (L - 1) + u) / L in [0, 1], u being uniform
    noise in [0, 1), so P(x) is the density's mass in the cell of x. Given `u_B`, `log_prob` is log p(y) - D log L for D numbers, whose mean
    over u is a lower bound on log P(x), what training needs; without, it is log P(x) itself. Both compare with a discrete likelihood, in
    nats and in bits per dimension.

    References:
        A note on the evaluation of generative models (Theis, van den Oord & Bethge, 2016), arXiv 1511.01844

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

    def __post_init__(self) -> None:
        object.__setattr__(self, "dequantised", self.levels is not None)

    @property
    def per_element(self) -> int:
        return 2 if self.scale is None else 1

    def _mean_and_log_scale(self, params_BP: Tensor) -> tuple[Tensor, Tensor]:
        if self.scale is not None:
            return params_BP.squeeze(1), params_BP.new_tensor(math.log(self.scale))
        mean_B, log_scale_B = params_BP.unbind(1)
        return mean_B, log_scale_B.clamp(min=LEAST_LOG_SCALE)

    def each(self, params_BP: Tensor, x_B: Tensor, u_B: Tensor | None = None) -> Tensor:
        mean_B, log_scale_B = self._mean_and_log_scale(params_BP)
        if self.levels is not None and u_B is None:
            return self._log_mass(mean_B, log_scale_B, x_B)
        volume = 0.0
        if self.levels is not None and u_B is not None:
            x_B = (x_B * (self.levels - 1) + u_B) / self.levels
            volume = math.log(self.levels)
        distance_B = (x_B - mean_B) * (-log_scale_B).exp()
        return -0.5 * distance_B.square() - log_scale_B - 0.5 * math.log(2 * math.pi) - volume

    def _log_mass(self, mean_B: Tensor, log_scale_B: Tensor, x_B: Tensor) -> Tensor:
        """log of the mass in the cell of each x, in float64 inside: it is a difference of near-equal numbers where the scale is large."""
        assert self.levels is not None
        cell_B = (x_B * (self.levels - 1)).round().double()
        inverse_B = (-log_scale_B.double()).exp()
        low_B, high_B = (cell_B / self.levels - mean_B) * inverse_B, ((cell_B + 1) / self.levels - mean_B) * inverse_B
        right_B = low_B + high_B > 0  # mirrored to the left of the mean, where log Phi keeps its digits
        low_B, high_B = torch.where(right_B, -high_B, low_B), torch.where(right_B, -low_B, high_B)
        log_high_B = torch.special.log_ndtr(high_B)
        return (log_high_B + torch.log(-torch.expm1(torch.special.log_ndtr(low_B) - log_high_B))).to(x_B.dtype)

    def mean(self, params_BP: Tensor) -> Tensor:
        y_B = self._mean_and_log_scale(params_BP)[0]
        return y_B if self.levels is None else ((y_B * self.levels - 0.5) / (self.levels - 1)).clamp(0, 1)

    def invert(self, params_BP: Tensor, u_BU: Tensor) -> Tensor:
        mean_B, log_scale_B = self._mean_and_log_scale(params_BP)
        normal_B = torch.special.ndtri(u_BU.squeeze(1).clamp(min=torch.finfo(u_BU.dtype).tiny))
        y_B = mean_B + log_scale_B.exp() * normal_B
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
    def per_element(self) -> int:
        return self.levels

    def each(self, params_BP: Tensor, x_B: Tensor, u_B: Tensor | None = None) -> Tensor:
        k_B = (x_B * (self.levels - 1)).round().long()
        if params_BP.stride(1) == 1:  # as convolutions with the channels last leave them: faster as the rows of a matrix
            return -F.cross_entropy(params_BP.movedim(1, -1).flatten(0, -2), k_B.flatten(), reduction="none").view_as(k_B)
        return -F.cross_entropy(params_BP, k_B, reduction="none")

    def mean(self, params_BP: Tensor) -> Tensor:
        x_P = torch.linspace(0, 1, self.levels, dtype=params_BP.dtype, device=params_BP.device)
        return torch.tensordot(params_BP.softmax(1), x_P, dims=([1], [0]))

    def invert(self, params_BP: Tensor, u_BU: Tensor) -> Tensor:
        return _choose(params_BP, u_BU).squeeze(1).to(params_BP.dtype) / (self.levels - 1)


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
    uniforms: ClassVar[int] = 2

    @property
    def per_element(self) -> int:
        return 3 * self.components

    def _parts(self, params_BP: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits_BK, mean_BK, log_scale_BK = params_BP.unflatten(1, (3, self.components)).unbind(1)
        return logits_BK, mean_BK, log_scale_BK.clamp(min=LEAST_LOG_SCALE)

    def each(self, params_BP: Tensor, x_B: Tensor, u_B: Tensor | None = None) -> Tensor:
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
        return torch.logsumexp(logits_BK + log_mass_BK, 1) - torch.logsumexp(logits_BK, 1)

    def mean(self, params_BP: Tensor) -> Tensor:
        """The mean of the mixture cut to [-1, 1], which is that of the levels to within half a level."""
        logits_BK, mean_BK, log_scale_BK = self._parts(params_BP)
        scale_BK = log_scale_BK.exp()
        # E clamp(y, -1, 1) = -1 + the integral of P(y > t) for t from -1 to 1
        cut_BK = scale_BK * (F.softplus((mean_BK + 1) / scale_BK) - F.softplus((mean_BK - 1) / scale_BK)) - 1
        return ((logits_BK.softmax(1) * cut_BK).sum(1) + 1) / 2

    def invert(self, params_BP: Tensor, u_BU: Tensor) -> Tensor:
        logits_BK, mean_BK, log_scale_BK = self._parts(params_BP)
        k_B1 = _choose(logits_BK, u_BU[:, :1])
        mean_B, log_scale_B = mean_BK.gather(1, k_B1).squeeze(1), log_scale_BK.gather(1, k_B1).squeeze(1)
        y_B = mean_B + log_scale_B.exp() * torch.logit(u_BU[:, 1], eps=1e-7)
        return ((y_B + 1) / 2 * (self.levels - 1)).round().clamp(0, self.levels - 1) / (self.levels - 1)


@dataclass(frozen=True)
class _DensityMixture(Likelihood):
    """Real numbers from a mixture of K densities of one form; parameters are K logits, K means and K numbers s of scales `floor` + exp(s).

    Without a floor the likelihood has no bound: a component that sits on a value seen twice grows with every halving of its scale.
    """

    components: int
    floor: float = LEAST_SCALE
    uniforms: ClassVar[int] = 2

    @property
    def per_element(self) -> int:
        return 3 * self.components

    @abstractmethod
    def _log_density(self, z: Tensor) -> Tensor:
        """Of the form with mean 0 and scale 1."""

    @abstractmethod
    def _quantile(self, u: Tensor) -> Tensor: ...

    def _parts(self, params_BP: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits_BK, mean_BK, s_BK = params_BP.unflatten(1, (3, self.components)).unbind(1)
        return logits_BK, mean_BK, self.floor + s_BK.clamp(max=MOST_LOG_SCALE).exp()

    def each(self, params_BP: Tensor, x_B: Tensor, u_B: Tensor | None = None) -> Tensor:
        logits_BK, mean_BK, scale_BK = self._parts(params_BP)
        log_density_BK = self._log_density((x_B.unsqueeze(1) - mean_BK) / scale_BK) - scale_BK.log()
        return (logits_BK.log_softmax(1) + log_density_BK).logsumexp(1)

    def mean(self, params_BP: Tensor) -> Tensor:
        logits_BK, mean_BK, _ = self._parts(params_BP)
        return (logits_BK.softmax(1) * mean_BK).sum(1)

    def invert(self, params_BP: Tensor, u_BU: Tensor) -> Tensor:
        """The first uniform number chooses the component, the second the place in it."""
        logits_BK, mean_BK, scale_BK = self._parts(params_BP)
        k_B1 = _choose(logits_BK, u_BU[:, :1])
        mean_B1, scale_B1 = mean_BK.gather(1, k_B1), scale_BK.gather(1, k_B1)
        u_B1 = u_BU[:, 1:].clamp(min=torch.finfo(u_BU.dtype).tiny)
        return (mean_B1 + scale_B1 * self._quantile(u_B1)).squeeze(1)


class GaussianMixture(_DensityMixture):
    """A mixture of K Gaussian densities; the scales are standard deviations.

    References:
        RNADE: The real-valued neural autoregressive density-estimator (Uria, Murray & Larochelle, 2013), arXiv 1306.0186

    Args:
        components: K
        floor: the least scale, in the units of x

    Example:
        >>> params = torch.tensor([0.0, 0.0, -1.0, 1.0, 0.0, 0.0]).view(1, 6, 1)  # equal shares, means -1 and 1, scales 1 and the floor
        >>> round(GaussianMixture(2).log_prob(params, torch.zeros(1, 1)).item(), 2)
        -1.42
    """

    def _log_density(self, z: Tensor) -> Tensor:
        return -0.5 * z.square() - 0.5 * math.log(2 * math.pi)

    def _quantile(self, u: Tensor) -> Tensor:
        return torch.special.ndtri(u)


class LaplaceMixture(_DensityMixture):
    """A mixture of K Laplace densities exp(-|x - mean| / scale) / (2 scale).

    References:
        RNADE: The real-valued neural autoregressive density-estimator (Uria, Murray & Larochelle, 2013), arXiv 1306.0186

    Args:
        components: K
        floor: the least scale, in the units of x

    Example:
        >>> params = torch.tensor([0.0, 0.0, -1.0, 1.0, 0.0, 0.0]).view(1, 6, 1)  # equal shares, means -1 and 1, scales 1 and the floor
        >>> round(LaplaceMixture(2).log_prob(params, torch.zeros(1, 1)).item(), 2)
        -1.69
    """

    def _log_density(self, z: Tensor) -> Tensor:
        return -z.abs() - math.log(2)

    def _quantile(self, u: Tensor) -> Tensor:
        return torch.where(u < 0.5, (2 * u).log(), -(2 * (1 - u)).log())


def _choose(logits_BK: Tensor, u_B1: Tensor) -> Tensor:
    """The k whose share of softmax(logits (B, K, *shape)), laid end to end, holds u (B, 1, *shape); int64, shaped like u."""
    ends_BK = logits_BK.softmax(1).cumsum(1)
    return (ends_BK <= u_B1).sum(1, keepdim=True).clamp(max=logits_BK.shape[1] - 1)
