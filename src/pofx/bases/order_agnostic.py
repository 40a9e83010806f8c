"""The base of models that take any order of the numbers of x: their network says what each may be, given any of the others.

Shapes: B examples, D numbers of x, P parameters of the likelihood for each number, U uniform numbers that its draw takes.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from torch import Tensor

from pofx.bases.autoregressive import check_asked
from pofx.distributions.likelihoods import Likelihood
from pofx.kinds import Kind
from pofx.model import Model
from pofx.options import Seed, Size, check_value
from pofx.plan import Batch, Part
from pofx.randomness import Noise, generator

Step = Callable[[int], Tensor]  # a place in the flattened example -> the parameters of p(x_place | what is known), (B, P)


class OrderAgnostic(Model):
    """One network for every order: in the order o, p(x) = prod_d p(x_o(d) | x_o(1), ..., x_o(d-1)).

    Each order makes a density of its own, which is exact, and so is their mixture with equal weights (an ensemble). The orders are
    numbered: order k is a random permutation that is a function of k alone, the same for every model under one version of torch.

    A subclass defines `params`; to score and sample fast, also `stepper`, which computes only what the newest number changes.

    References:
        A Deep and Tractable Density Estimator (Uria, Murray & Larochelle, 2014), arXiv 1310.1757

    Args:
        x: the kind of data
        likelihood: of each number given the others
    """

    density: ClassVar = "exact"
    completion_context = "all that is known, and what was drawn before it"  # each number that `complete` draws
    likelihood: Likelihood

    def __init__(self, x: Kind, likelihood: Likelihood):
        super().__init__()
        self.shape, self.likelihood = x.shape, likelihood

    @abstractmethod
    def params(self, x: Tensor, known: Tensor) -> Tensor:
        """The parameters of every p(x_i | what is known), (B, P, *shape).

        Args:
            x: (B, *shape); what is not known is not seen
            known: bool (B, *shape)
        """

    def stepper(self, x: Tensor, known: Tensor) -> Step:
        """A function to be called with one place after another: the parameters of p(x_place | what is known), (B, P).

        After each call that place is filled in, in `x`, and marked in `known`, both (B, *shape) and contiguous. This one runs the whole
        network each time.
        """
        return lambda place: self.params(x, known).flatten(2)[:, :, place]

    def order_of(self, number: int) -> Tensor:
        """The places of the flattened example in order `number`, int64 (D,)."""
        return torch.randperm(math.prod(self.shape), generator=generator(("order", number)))

    def loss(self, batch: Batch, noise: Noise) -> dict[str, Part]:
        """An unbiased estimate of the negative log-likelihood in nats, averaged over all orders.

        Of the D numbers, d come first in a random order; those that come later are predicted from them, each in the place of the one
        that is next, so their sum counts D / (D - d) times (Uria et al., 2014, with d from 0).
        """
        x_B = batch["x"]
        D = math.prod(self.shape)
        # Uniform numbers below another uniform number: d of them, each d from 0 to D as likely as any, whichever they are. Nothing is left
        # to predict where d = D, so the other D cases of D + 1 count for it.
        known_BD = noise.uniform(D) < noise.uniform(1)
        params = self.params(x_B, known_BD.view(x_B.shape)).to(x_B.dtype)
        nll_BD = -self.likelihood.each(params, x_B).flatten(1)
        left_B = (~known_BD).sum(1)
        return {"nll": nll_BD.masked_fill(known_BD, 0).sum(1) * (D + 1) / left_B.clamp(min=1)}

    @torch.no_grad()
    def conditionals(self, x: Tensor, *, order: Seed = 0) -> Tensor:
        """log p of each number given those before it in the order, in nats, (B, D), in places of the flattened example."""
        check_asked(self, x)
        check_value("order", Seed, order)
        x, known = x.contiguous(), torch.zeros_like(x, dtype=torch.bool, memory_format=torch.contiguous_format)
        x_BD, known_BD = x.flatten(1), known.flatten(1)
        log_p_BD, step = torch.empty_like(x_BD), self.stepper(x, known)
        for place in self.order_of(order).tolist():
            params_BP1 = step(place)[:, :, None].to(x.dtype)
            log_p_BD[:, place] = self.likelihood.each(params_BP1, x_BD[:, place, None]).squeeze(1)
            known_BD[:, place] = True
        return log_p_BD

    def dependency_matrix(self, order: Seed = 0) -> Tensor:
        """Whether the conditional of number i may depend on number j, bool (D, D), in places of the flattened example."""
        rank_D = self.order_of(order).argsort()
        return rank_D[:, None] > rank_D

    def log_prob(self, x: Tensor, *, given: None = None, orders: Size = 1, order: Seed = 0) -> Tensor:
        """Exact log p(x) in nats, (B,), without gradients.

        Args:
            x: (B, *shape)
            given: None: these models take no labels
            orders: so many orders, whose probabilities are averaged: the time of one order for each, and a better density than any
            order: number of the first of them
        """
        check_asked(self, x, given=given)
        check_value("orders", Size, orders)
        log_p_KB = torch.stack([self.conditionals(x, order=k).sum(1) for k in range(order, order + orders)])
        return log_p_KB.logsumexp(0) - math.log(orders)

    @torch.no_grad()
    def sample(
        self,
        n: int,
        *,
        given: None = None,
        generator: torch.Generator | None = None,
        order: Seed = 0,
        sampler: Literal["cached", "naive"] = "cached",
    ) -> Tensor:
        """Draw x.

        Args:
            n: how many
            given: None: these models take no labels
            generator: of the draws
            order: number of the order in which the numbers are drawn
            sampler: cached computes only what the newest number changes; naive runs the whole network for each number. Both draw the same
        """
        like = next(self.parameters())
        x = torch.zeros(n, *self.shape, device=like.device, dtype=like.dtype)
        check_asked(self, x, given=given)
        return self.complete(x, torch.zeros_like(x, dtype=torch.bool), generator=generator, order=order, sampler=sampler)

    @torch.no_grad()
    def complete(
        self,
        x: Tensor,
        known: Tensor,
        *,
        generator: torch.Generator | None = None,
        order: Seed = 0,
        sampler: Literal["cached", "naive"] = "cached",
    ) -> Tensor:
        """Fill in what is not known: all that is known is seen from the first, wherever it is.

        Args:
            x: (B, *shape)
            known: bool, the numbers to keep; (B, *shape), or what broadcasts to it
            generator: of the draws
            order: number of the order in which the others are drawn
            sampler: as in `sample`
        """
        check_asked(self, x, known=known)
        check_value("order", Seed, order)
        check_value("sampler", Literal["cached", "naive"], sampler)
        B, D = len(x), math.prod(self.shape)
        u_BUD = torch.rand(B, self.likelihood.uniforms, D, generator=generator, device=x.device, dtype=x.dtype)
        known = known.expand_as(x).clone(memory_format=torch.contiguous_format)
        x = torch.where(known, x, 0).contiguous()
        x_BD, known_BD = x.flatten(1), known.flatten(1)
        step = self.stepper(x, known) if sampler == "cached" else OrderAgnostic.stepper(self, x, known)
        for place in self.order_of(order).tolist():
            if known_BD[:, place].all():
                continue
            params_BP1 = step(place)[:, :, None].to(x.dtype)
            drawn_B = self.likelihood.invert(params_BP1, u_BUD[:, :, place, None]).squeeze(1)
            x_BD[:, place] = torch.where(known_BD[:, place], x_BD[:, place], drawn_B)
            known_BD[:, place] = True
        return x
