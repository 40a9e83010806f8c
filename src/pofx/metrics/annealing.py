"""Annealed importance sampling: log p(x) of what is made of a code, however sharp p(z | x) is.

Shapes: B examples, C chains of each, d numbers in a code, T temperatures, *shape one x.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pofx.errors import UserError

LogPx = Callable[[Tensor, Tensor], Tensor]  # x (B, *shape), z float64 (B, C, d) -> log p(x | z) in nats, (B, C)

ACCEPTED = 0.65  # of the moves: about what is best for Hamiltonian Monte Carlo in many dimensions
SEARCH = 5  # the search for step sizes sees every fifth temperature


@dataclass(frozen=True)
class Annealed:
    """What the chains say of each example.

    Args:
        log_weights: log of the importance weight of each chain, float64 (B, C)
        z: where the chains ended; with their weights, codes from p(z | x), float64 (B, C, d)
        accepted: share of the moves that were accepted, (B,)
    """

    log_weights: Tensor
    z: Tensor
    accepted: Tensor

    @property
    def log_mean(self) -> Tensor:
        """log of the mean weight of each example, float64 (B,)."""
        return self.log_weights.logsumexp(1) - math.log(self.log_weights.shape[1])


@dataclass(frozen=True)
class Annealing:
    """Annealed importance sampling of log p(x), for z ~ N(0, 1) and a given log p(x | z) that is differentiable in z almost everywhere.

    Chains go from the prior to the posterior through p(z) p(x | z)^beta, moved at each beta by Hamiltonian Monte Carlo. The mean weight of
    an example's chains is an unbiased estimate of p(x). So its logarithm is, in expectation, a lower bound on log p(x), which more
    temperatures and chains tighten. Step sizes, one for each example and beta, are found by chains that are then thrown away, since
    weights of moves whose size depended on the chain itself would not be unbiased.

    A prior that is a function of normal numbers is met by putting that function into log p(x | z).

    References:
        Annealed importance sampling (Neal, 2001), arXiv physics/9803008
        On the Quantitative Analysis of Decoder-Based Generative Models (Wu, Burda, Salakhutdinov & Grosse, 2017), arXiv 1611.04273
        Sandwiching the marginal likelihood using bidirectional Monte Carlo (Grosse, Ghahramani & Adams, 2015), arXiv 1511.02543

    Args:
        chains: C, of each example
        temperatures: T
        leapfrog: steps of a move
        schedule: of beta from 0 to 1: linear, or a sigmoid from -4 to 4, whose steps are small at both ends

    Example:
        >>> normal = torch.distributions.Normal
        >>> x = torch.tensor([[0.5]], dtype=torch.float64)  # x = z + e, so that x ~ N(0, 2)
        >>> noise = torch.Generator().manual_seed(0)
        >>> found = Annealing(temperatures=50).log_prob(lambda x, z: normal(z, 1.0).log_prob(x[:, None]).sum(2), x, 1, noise)
        >>> round(found.log_mean.item(), 1), round(normal(0.0, 2**0.5).log_prob(x).item(), 1)
        (-1.3, -1.3)
    """

    chains: int = 16
    temperatures: int = 1000
    leapfrog: int = 10
    schedule: Literal["sigmoid", "linear"] = "sigmoid"

    def __post_init__(self) -> None:
        for name in ("chains", "temperatures", "leapfrog"):
            if getattr(self, name) < 1:
                raise UserError(f"annealing needs {name} of 1 or more, not {getattr(self, name)}")

    def betas(self, temperatures: int | None = None) -> list[float]:
        """Inverse temperatures 0 = beta_0 < ... < beta_T = 1.

        Example:
            >>> Annealing(temperatures=4, schedule="linear").betas()
            [0.0, 0.25, 0.5, 0.75, 1.0]
        """
        beta = torch.linspace(0, 1, (temperatures or self.temperatures) + 1, dtype=torch.float64)
        if self.schedule == "sigmoid":
            rise = (4 * (2 * beta - 1)).sigmoid()
            beta = (rise - rise[0]) / (rise[-1] - rise[0])
        return beta.tolist()

    def log_prob(self, log_px: LogPx, x: Tensor, d: int, generator: torch.Generator | None = None) -> Annealed:
        """Chains from the prior to p(z | x): `log_mean` of what they give is a lower bound on log p(x) in expectation.

        Args:
            log_px: (x (B, *shape), z float64 (B, C, d)) -> nats (B, C)
            x: (B, *shape)
            d: dimensions of z
            generator: the source of randomness
        """
        return self._down(log_px, x, d, self._step_sizes(log_px, x, d, generator), generator)

    def sandwich(self, log_px: LogPx, x: Tensor, z: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """A lower and an upper bound, each in expectation, on log p(x) of x that were made of known codes; float64 (B,) each.

        A code that x was made of is a draw from p(z | x): chains can start there and go back to the prior, and the mean of their weights is
        an unbiased estimate of 1 / p(x). How far the bounds are apart says how far annealing is off on such x.

        Args:
            log_px: (x (B, *shape), z float64 (B, C, d)) -> nats (B, C)
            x: (B, *shape), each drawn from p(x | z)
            z: the codes that they were drawn from, drawn from N(0, 1), (B, d)
            generator: the source of randomness
        """
        step_TB = self._step_sizes(log_px, x, z.shape[1], generator)
        lower_B = self._down(log_px, x, z.shape[1], step_TB, generator).log_mean
        return lower_B, -self._up(log_px, x, z, step_TB, generator).log_mean

    def _step_sizes(self, log_px: LogPx, x: Tensor, d: int, generator: torch.Generator | None) -> Tensor:
        """A step size for each beta and example, (T + 1, B)."""
        T = self.temperatures
        coarse = -(-T // SEARCH)
        chains = Chains.of_prior(log_px, x, self.chains, d, generator)
        log_step_B = torch.full((len(x),), math.log(0.5), device=x.device, dtype=torch.float64)
        log_steps = []
        for beta in self.betas(coarse):
            for _ in range(max(1, 40 // coarse)):  # however few temperatures there are, the size has time to follow
                log_step_B = log_step_B + 0.3 * (chains.move(beta, log_step_B.exp(), self.leapfrog) - ACCEPTED)
            log_steps.append(log_step_B)
        return torch.stack(log_steps).exp()[(torch.arange(T + 1) * coarse / T).round().long()]

    def _down(self, log_px: LogPx, x: Tensor, d: int, step_TB: Tensor, generator: torch.Generator | None) -> Annealed:
        chains, betas = Chains.of_prior(log_px, x, self.chains, d, generator), self.betas()
        log_w_BC, accepted_B = torch.zeros_like(chains.log_px), torch.zeros_like(step_TB[0])
        for t in range(1, len(betas)):
            log_w_BC += (betas[t] - betas[t - 1]) * chains.log_px
            accepted_B += chains.move(betas[t], step_TB[t], self.leapfrog) / self.temperatures
        return Annealed(log_w_BC, chains.z, accepted_B)

    def _up(self, log_px: LogPx, x: Tensor, z: Tensor, step_TB: Tensor, generator: torch.Generator | None) -> Annealed:
        """The same way back."""
        chains, betas = Chains(log_px, x, z.double()[:, None].repeat(1, self.chains, 1), generator), self.betas()
        log_w_BC, accepted_B = torch.zeros_like(chains.log_px), torch.zeros_like(step_TB[0])
        for t in range(len(betas) - 1, 0, -1):
            accepted_B += chains.move(betas[t], step_TB[t], self.leapfrog) / self.temperatures
            log_w_BC -= (betas[t] - betas[t - 1]) * chains.log_px
        return Annealed(log_w_BC, chains.z, accepted_B)


class Chains:
    """Markov chains at z (B, C, d), with log p(x | z) (B, C) and its slope (B, C, d) there."""

    def __init__(self, log_px: LogPx, x: Tensor, z_BCd: Tensor, generator: torch.Generator | None):
        self.of, self.x, self.generator = log_px, x, generator
        self.z, (self.log_px, self.slope) = z_BCd, self.look(z_BCd)

    @classmethod
    def of_prior(cls, log_px: LogPx, x: Tensor, C: int, d: int, generator: torch.Generator | None) -> Chains:
        return cls(log_px, x, torch.randn(len(x), C, d, generator=generator, device=x.device, dtype=torch.float64), generator)

    def look(self, z_BCd: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            z_BCd = z_BCd.detach().requires_grad_(True)
            log_px_BC = self.of(self.x, z_BCd).double()
            (slope_BCd,) = torch.autograd.grad(log_px_BC.sum(), z_BCd, materialize_grads=True)  # 0 where z only chooses a class
        return log_px_BC.detach(), slope_BCd

    def move(self, beta: float, step_B: Tensor, leapfrog: int) -> Tensor:
        """One move that leaves p(z) p(x | z)^beta as it is; the probability of accepting it, mean over an example's chains, (B,).

        Potential energy 0.5 |z|^2 - beta log p(x | z), kinetic energy 0.5 |momentum|^2.
        """
        step_B11 = step_B[:, None, None]
        momentum = torch.randn(self.z.shape, generator=self.generator, device=self.z.device, dtype=torch.float64)
        u_BC = torch.rand(self.log_px.shape, generator=self.generator, device=self.z.device, dtype=torch.float64)
        z, log_px, slope = self.z, self.log_px, self.slope
        before_BC = 0.5 * (z.square() + momentum.square()).sum(2) - beta * log_px
        momentum = momentum + 0.5 * step_B11 * (beta * slope - z)
        for i in range(leapfrog):
            z = z + step_B11 * momentum
            log_px, slope = self.look(z)
            momentum = momentum + (0.5 if i == leapfrog - 1 else 1.0) * step_B11 * (beta * slope - z)
        after_BC = 0.5 * (z.square() + momentum.square()).sum(2) - beta * log_px
        chance_BC = (before_BC - after_BC).clamp(max=0).exp().nan_to_num(0.0)  # a path that left the range of floats is not taken
        taken_BC = u_BC < chance_BC
        self.log_px = torch.where(taken_BC, log_px, self.log_px)
        self.z, self.slope = (torch.where(taken_BC[..., None], new, old) for new, old in ((z, self.z), (slope, self.slope)))
        return chance_BC.mean(1)
