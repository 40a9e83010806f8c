"""The base of models of p(x) = prod_d p(x_d | x_<d) in raster order: row by row, pixel by pixel, channel by channel.

Shapes: B examples, D numbers of x, P parameters of the likelihood for each number, U uniform numbers that its draw takes, C channels,
H height, W width, Y classes.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from torch import Tensor

from pofx.distributions.likelihoods import Likelihood
from pofx.errors import UserError
from pofx.kinds import Category, Kind
from pofx.model import Model
from pofx.options import check_value
from pofx.plan import Batch, Part
from pofx.randomness import Noise

Sampler = Literal["cached", "naive", "jacobi"]
Step = Callable[[int], Tensor]  # d -> the parameters of p(x_d | x_<d), (B, P)


def raster(shape: tuple[int, ...]) -> Tensor:
    """The numbers of an example in the order in which they are read: of a picture row by row, a pixel's channels one after another.

    Returns:
        places in the flattened example, int64 (D,)

    Example:
        >>> raster((3, 1, 2)).tolist()  # red, green and blue of the first pixel, then of the second
        [0, 2, 4, 1, 3, 5]
    """
    places = torch.arange(math.prod(shape)).view(shape)
    return (places.permute(1, 2, 0) if len(shape) == 3 else places).flatten()


class Autoregressive(Model):
    """A model whose `params` gives the parameters of every p(x_d | x_<d) in one pass; its density is exact.

    A subclass defines `params`; to sample fast, also `stepper`, which computes only what the newest number changes. Whatever the
    sampler, the same uniform numbers give the same sample.

    With a `label`, the model is p(x | label), told by `given`. Without `given` all classes are equally likely: `log_prob` is that of
    the mixture, and `sample` draws a class first.

    References:
        Accelerating Feedforward Computation via Parallel Nonlinear Equation Solving (Song et al., 2021), arXiv 2002.03629: Jacobi sampling

    Args:
        x: the kind of data
        likelihood: of each number given those before it
        label: the classes, where the model is conditional
    """

    density: ClassVar = "exact"
    completion_context: str = "what comes before it, row by row"  # of what is known, each number that `complete` draws
    likelihood: Likelihood
    order: Tensor  # the d-th number to be drawn lies at order[d] of the flattened example

    def __init__(self, x: Kind, likelihood: Likelihood, label: Category | None = None):
        super().__init__()
        self.shape, self.likelihood, self.label = x.shape, likelihood, label
        self.order = raster(x.shape)

    @abstractmethod
    def params(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        """The parameters of every p(x_d | x_<d), (B, P, *shape), for x (B, *shape) and classes (B,)."""

    def stepper(self, x: Tensor, given: Tensor | None = None) -> Step:
        """A function to be called with d = 0, 1, ... in turn, while `x` (B, *shape) is filled in place along `order`.

        Its d-th answer is the parameters of p(x_d | x_<d), (B, P). This one runs the whole network each time.
        """
        return lambda d: self.params(x, given).flatten(2)[:, :, self.order[d]]

    def dependency_matrix(self) -> Tensor:
        """Whether the conditional of number i may depend on number j, bool (D, D), in places of the flattened example."""
        rank_D = torch.argsort(self.order)
        return rank_D[:, None] > rank_D

    def conditionals(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        """log p(x_d | x_<d) of each number, in nats, (B, D), in places of the flattened example. Their sum is `log_prob`."""
        check_asked(self, x, label=self.label, given=given)
        if self.label is not None and given is None:  # log p(x_<=d) - log p(x_<d) of the mixture
            each_YBD = torch.stack([self._each(x, given_B) for given_B in self._every_class(x)])[:, :, self.order]
            upto_BD = each_YBD.cumsum(2).logsumexp(0) - math.log(self.label.classes)
            return upto_BD.diff(dim=1, prepend=torch.zeros_like(upto_BD[:, :1]))[:, self.order.argsort()]
        return self._each(x, given)

    def log_prob(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        """Exact log p(x) of x (B, *shape), or log p(x | label) given classes (B,), in nats, (B,)."""
        check_asked(self, x, label=self.label, given=given)
        if self.label is not None and given is None:
            log_p_YB = torch.stack([self._log_prob(x, given_B) for given_B in self._every_class(x)])
            return log_p_YB.logsumexp(0) - math.log(self.label.classes)
        return self._log_prob(x, given)

    def loss(self, batch: Batch, noise: Noise) -> dict[str, Part]:
        """The negative log-likelihood, in nats."""
        return {"nll": -self._log_prob(batch["x"], batch["label"] if self.label is not None else None)}

    def _log_prob(self, x: Tensor, given: Tensor | None) -> Tensor:
        return self.likelihood.log_prob(self.params(x, given).to(x.dtype), x)

    def _each(self, x: Tensor, given: Tensor | None) -> Tensor:
        return self.likelihood.each(self.params(x, given).to(x.dtype), x).flatten(1)

    def _every_class(self, x: Tensor) -> list[Tensor]:
        assert self.label is not None
        return [torch.full((len(x),), y, device=x.device) for y in range(self.label.classes)]

    @torch.no_grad()
    def sample(
        self, n: int, *, given: Tensor | None = None, generator: torch.Generator | None = None, sampler: Sampler = "cached"
    ) -> Tensor:
        """Draw x.

        Args:
            n: how many
            given: classes (n,); by default drawn, each equally likely
            generator: of the draws
            sampler: cached computes only what the newest number changes; naive runs the whole network for each number; jacobi runs it
                for all numbers at once until nothing changes. All three draw the same
        """
        like = next(t for t in self.state_dict().values() if t.is_floating_point())
        x = torch.zeros(n, *self.shape, device=like.device, dtype=like.dtype)
        return self.complete(x, torch.zeros_like(x, dtype=torch.bool), given=given, generator=generator, sampler=sampler)

    @torch.no_grad()
    def complete(
        self,
        x: Tensor,
        known: Tensor,
        *,
        given: Tensor | None = None,
        generator: torch.Generator | None = None,
        sampler: Sampler = "cached",
    ) -> Tensor:
        """Fill in what is not known. Each number is drawn given all before it in `order`, known or drawn; later ones are not seen.

        Args:
            x: (B, *shape)
            known: bool, the numbers to keep; (B, *shape), or what broadcasts to it
            given: classes (B,); by default drawn given the numbers that are known before the first that is not
            generator: of the draws
            sampler: as in `sample`
        """
        B, D = len(x), self.order.numel()
        check_asked(self, x, label=self.label, given=given, known=known)
        check_value("sampler", Sampler, sampler)
        known = known.expand_as(x)
        x = torch.where(known, x, 0).contiguous()
        if self.label is not None and given is None:
            given = self._class_of_beginning(x, known, self.label.classes, generator)
        u_BUD = torch.rand(B, self.likelihood.uniforms, D, generator=generator, device=x.device, dtype=x.dtype)
        return self.jacobi(x, known, u_BUD, given) if sampler == "jacobi" else self.fill(x, known, u_BUD, given, sampler == "cached")

    def _class_of_beginning(self, x: Tensor, known: Tensor, Y: int, generator: torch.Generator | None) -> Tensor:
        """A class for each example, (B,), from p(y | the numbers known before the first that is not), all classes being equally likely."""
        beginning_BD = known.flatten(1)[:, self.order].cumprod(1).bool()
        log_p_BY = torch.zeros(len(x), Y, dtype=x.dtype, device=x.device)
        if beginning_BD.any():
            for y, given_B in enumerate(self._every_class(x)):
                log_p_BY[:, y] = torch.where(beginning_BD, self._each(x, given_B)[:, self.order], 0).sum(1)
        return torch.multinomial(log_p_BY.softmax(1), 1, generator=generator)[:, 0]

    def fill(self, x: Tensor, known: Tensor, u_BUD: Tensor, given: Tensor | None, cached: bool = True) -> Tensor:
        """x (B, *shape) with the unknown numbers drawn from uniform numbers one after another, in place."""
        step = self.stepper(x, given) if cached else Autoregressive.stepper(self, x, given)
        x_BD, known_BD = x.flatten(1), known.flatten(1)
        all_known_D = known_BD.all(0).tolist()
        last = max((d for d, place in enumerate(self.order.tolist()) if not all_known_D[place]), default=-1)
        for d, place in enumerate(self.order[: last + 1].tolist()):
            if all_known_D[place] and not cached:
                continue
            params_BP = step(d)
            if not all_known_D[place]:
                drawn_B = self.likelihood.invert(params_BP[:, :, None].to(x.dtype), u_BUD[:, :, place, None]).squeeze(1)
                x_BD[:, place] = torch.where(known_BD[:, place], x_BD[:, place], drawn_B)
        return x

    def jacobi(self, x: Tensor, known: Tensor, u_BUD: Tensor, given: Tensor | None) -> Tensor:
        """The same x as a fixed point: all numbers drawn at once from the last guess of all, again and again until none changes.

        After d passes the first d numbers are right, so at most D + 1 are needed; usually it is far fewer.
        """
        u_BU = u_BUD.unflatten(2, self.shape)
        left = torch.arange(len(x), device=x.device)  # the examples that still change
        for _ in range(self.order.numel() + 1):
            labels = None if given is None else given[left]
            drawn = self.likelihood.invert(self.params(x[left], labels).to(x.dtype), u_BU[left])
            new = torch.where(known[left], x[left], drawn)
            changed = (new != x[left]).flatten(1).any(1)
            x[left] = new
            left = left[changed]
            if not len(left):
                break
        return x


def check_asked(
    model: Model, x: Tensor, *, label: Category | None = None, given: Tensor | None = None, known: Tensor | None = None
) -> None:
    """Raise a UserError unless a model can be asked about this x.

    Args:
        model: its first kind of data is that of x
        x: should be (B, *shape), and where it is known numbers of that kind
        label: the classes that the model takes, if it takes any
        given: should be classes (B,)
        known: should be bool, and of a shape that broadcasts to that of x
    """
    kind, title = next(iter(model.inputs.values())), model.title()
    kind.check_shape(x, model=title)  # what is known is known of an x of this shape
    if known is not None:
        fits = known.dim() <= x.dim() and all(k in (1, n) for k, n in zip(known.shape[::-1], x.shape[::-1], strict=False))
        if known.dtype != torch.bool or not fits:
            raise UserError(f"known must be bool and fit x of shape {tuple(x.shape)}, not {known.dtype} of shape {tuple(known.shape)}")
    kind.check(x if known is None else torch.where(known, x, 0), model=title)
    if given is None:
        return
    if label is None:
        raise UserError(f"{title} was trained without labels, so nothing can be given: train it on data with a label")
    label.check(given, name="given", n=len(x), model=title)
