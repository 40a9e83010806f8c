"""Adversarial training of a generator and a discriminator: its losses, what keeps it stable, and the base of the models trained so.

Shapes: B examples, *shape one x, z_Bd codes, s_B the discriminator's scores: the higher, the more real.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from pofx import renamed
from pofx.distributions.priors import Prior
from pofx.errors import UserError
from pofx.kinds import Kind
from pofx.layers.spatial_transformer import random_affine, require_pictures
from pofx.model import Model, unconditional
from pofx.plan import Adam, Batch, Logged, Part, Player, Stage
from pofx.randomness import Noise

LossName = Literal["minimax", "non_saturating", "hinge", "least_squares", "wasserstein"]
PenaltyName = Literal["none", "wgan_gp", "r1"]


@dataclass(frozen=True)
class GameLoss:
    """What discriminator and generator minimise, each a function of the discriminator's scores s (B,).

    Args:
        real: the discriminator's, of the scores of real x
        fake: the discriminator's, of the scores of what was generated
        generator: the generator's, of the scores of what it generated
        boundary: above this score the discriminator holds x for real; None where scores have no zero
        flipped: what `real` would be if x were labelled fake, for label smoothing; None where the loss has no labels
    """

    real: Callable[[Tensor], Tensor]
    fake: Callable[[Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]
    boundary: float | None = 0.0
    flipped: Callable[[Tensor], Tensor] | None = None


LOSSES: dict[str, GameLoss] = {
    # Goodfellow et al., 2014, equation 1, D = sigmoid(s): - log D(x), - log(1 - D(G(z))), and the generator's log(1 - D(G(z)))
    "minimax": GameLoss(lambda s: F.softplus(-s), F.softplus, lambda s: -F.softplus(s), 0.0, F.softplus),
    # the same discriminator; the generator minimises - log D(G(z)), which does not vanish where the discriminator is sure
    "non_saturating": GameLoss(lambda s: F.softplus(-s), F.softplus, lambda s: F.softplus(-s), 0.0, F.softplus),
    # Lim & Ye, 2017, arXiv 1705.02894
    "hinge": GameLoss(lambda s: F.relu(1 - s), lambda s: F.relu(1 + s), lambda s: -s),
    # Mao et al., 2017, arXiv 1611.04076, with labels 0 and 1
    "least_squares": GameLoss(lambda s: 0.5 * (s - 1) ** 2, lambda s: 0.5 * s**2, lambda s: 0.5 * (s - 1) ** 2, 0.5, lambda s: 0.5 * s**2),
    # Arjovsky et al., 2017, arXiv 1701.07875
    "wasserstein": GameLoss(lambda s: -s, lambda s: s, lambda s: -s, None),
}


@renamed.fields(**renamed.RULES)
@dataclass(frozen=True)
class Rules:
    """How adversarial training goes. A model offers those that it takes as arguments, under these names; the others are as here.

    Args:
        loss: a name in `LOSSES`
        discriminator_steps: moves of the discriminator for one of the generator, each on a new batch
        penalty: on the discriminator's gradient with respect to its input: wgan_gp, (norm - 1)^2 between real and generated x (Gulrajani et
            al., 2017, arXiv 1704.00028); r1, norm^2 / 2 at real x (Mescheder et al., 2018, arXiv 1801.04406)
        penalty_weight: of the penalty
        spectral_norm: divides each of the discriminator's affine maps by its largest singular value (Miyato et al., 2018, arXiv 1802.05957)
        packing: so many x are scored together, by one number (Lin et al., 2018, arXiv 1712.04086)
        discriminator_augment: standard deviation of the random affine map through which a discriminator of x sees each, real or generated
            (Zhao et al., 2020, arXiv 2006.10738)
        smoothing: one-sided label smoothing: real x count as real with 1 - smoothing only (Salimans et al., 2016, arXiv 1606.03498)
        pool: so many generated x are kept, and up to half of those that the discriminator sees are old ones from there (Shrivastava et al.,
            2017, arXiv 1612.07828); for training in one process
        lr_generator: learning rate of the generator
        lr_discriminator: learning rate of the discriminator; rates of their own are the two time scales of Heusel et al., 2017, arXiv
            1706.08500
        beta1: decay of the mean gradient in both players' Adam
    """

    loss: LossName = "non_saturating"
    discriminator_steps: int = 1
    penalty: PenaltyName = "none"
    penalty_weight: float = 10.0
    spectral_norm: bool = False
    packing: int = 1
    discriminator_augment: float = 0.0
    smoothing: float = 0.0
    pool: int = 0
    lr_generator: float = 2e-4
    lr_discriminator: float = 2e-4
    beta1: float = 0.5

    @classmethod
    def of(cls, model: Model) -> Rules:
        """The rules that the model's own arguments name."""
        config = renamed.arguments("gan", model.config)  # a model of the user's own may still name them by old words
        return cls(**{rule.name: config[rule.name] for rule in fields(cls) if rule.name in config})

    def __post_init__(self) -> None:
        if self.smoothing and LOSSES[self.loss].flipped is None:
            raise UserError(f"loss {self.loss} has no labels to smooth: remove smoothing, or use loss non_saturating")
        if self.smoothing >= 0.5:
            raise UserError(f"smoothing must be below 0.5, or real x count as generated: not {self.smoothing:g}; 0.1 is usual")
        if self.loss == "wasserstein" and self.penalty == "none" and not self.spectral_norm:
            raise UserError("loss wasserstein needs a critic whose slope is bounded: use penalty wgan_gp, or spectral_norm")
        if self.beta1 >= 1:
            raise UserError(f"beta1 must be below 1, or nothing moves: not {self.beta1:g}")


class Adversarial(Model):
    """A generator G and a discriminator D that play against each other; x = G(z) for z from a prior.

    A subclass sets up its training with `play` at the end of its constructor; the rules are those of its own arguments. It may replace
    `packed_scores`, for a discriminator that takes noise, or the two losses, for a training that is about more.
    """

    without: ClassVar = {
        "log_prob": "a generator has no density of x: measure its samples with pofx evaluate, or train vae for a bound on log p",
    }

    pool: Tensor  # (size, *shape): generated x that are shown again; there where the rules ask for it
    pooled: Tensor  # how many are in it

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(renamed.member(name, "discriminator"), value)

    @renamed.keywords(**renamed.PLAYED)
    def play(self, x: Kind, prior: Prior, generator: nn.Module, discriminator: nn.Module) -> None:
        """Set up the training.

        Args:
            x: what is imitated
            prior: of the generator's codes
            generator: codes (B, d) to x (B, *shape)
            discriminator: x that are packed, of kind `packed(x, packing)`, to scores (B / packing, 1)
        """
        self.rules = Rules.of(self)
        if self.rules.discriminator_augment:
            require_pictures(x, "discriminator_augment")
        self.shape, self.prior, self.generator, self.discriminator = x.shape, prior, generator, discriminator
        if self.rules.spectral_norm:
            normalise(*self.bounded())
        if self.rules.pool:
            self.register_buffer("pool", torch.zeros(self.rules.pool, *x.shape))
            self.register_buffer("pooled", torch.zeros((), dtype=torch.int64))

    def bounded(self) -> list[nn.Module]:
        """What spectral_norm divides."""
        return [self.discriminator]

    def stages(self) -> Sequence[Stage]:
        r = self.rules
        discriminator = Player(
            "discriminator",
            [self.discriminator],
            self.discriminator_loss,
            Adam(r.lr_discriminator, (r.beta1, 0.999)),
            repeat=r.discriminator_steps,
            together=r.packing,
            key="critic",
        )
        generator = Player("generator", [self.generator], self.generator_loss, Adam(r.lr_generator, (r.beta1, 0.999)), together=r.packing)
        return [Stage("play", [discriminator, generator])]

    def scores(self, x: Tensor, noise: Noise) -> Tensor:
        """The discriminator's score of each x, (B,); x that are packed together share theirs."""
        m = self.rules.packing
        return self.packed_scores(pack(x, m), noise).squeeze(1).to(x.dtype).repeat_interleave(m)

    def packed_scores(self, x: Tensor, noise: Noise) -> Tensor:
        """The discriminator's scores of packed x, (B / packing, 1)."""
        return self.discriminator(x)

    def discriminator_loss(self, batch: Batch, noise: Noise) -> dict[str, Part]:
        """The discriminator tells real x from generated ones; whether it was right is logged."""
        x = batch["x"]
        with torch.no_grad():
            fake = self.from_pool(self.generator(self.prior.draw(noise)).to(x.dtype), noise)
        x, fake = self.discriminator_augment(x, noise), self.discriminator_augment(fake, noise)
        parts = discriminator_loss(self.rules, self.scores(x, noise), self.scores(fake, noise))
        if self.rules.penalty != "none":
            parts["penalty"] = self.rules.penalty_weight * self.penalty(x, fake, noise)
        return parts

    def generator_loss(self, batch: Batch, noise: Noise) -> dict[str, Part]:
        """The adversarial loss: how far the discriminator is from taking what is generated for real."""
        x = self.generator(self.prior.draw(noise)).to(noise.dtype)
        return renamed.Parts({"adversarial": LOSSES[self.rules.loss].generator(self.scores(self.discriminator_augment(x, noise), noise))})

    def discriminator_augment(self, x: Tensor, noise: Noise) -> Tensor:
        """What the discriminator is shown of x (B, *shape), real or generated, in training."""
        return random_affine(x, self.rules.discriminator_augment, noise) if self.rules.discriminator_augment else x

    def penalty(self, x: Tensor, fake: Tensor, noise: Noise) -> Tensor:
        """The gradient penalty of each example as the discriminator sees it, (B,), without its weight."""
        at = x
        if self.rules.penalty == "wgan_gp":
            share = noise.uniform(*[1] * (x.ndim - 1))[:: self.rules.packing].repeat_interleave(self.rules.packing, 0)
            at = torch.lerp(x, fake, share)  # x that are scored together move together
        at = at.detach().requires_grad_(True)
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(self.scores(at, noise).sum() / self.rules.packing, at, create_graph=True)
        square_B = pack(slope, self.rules.packing).flatten(1).square().sum(1).repeat_interleave(self.rules.packing)
        return gradient_penalty(self.rules.penalty, square_B)

    def from_pool(self, fake: Tensor, noise: Noise) -> Tensor:
        """Generated x, half of them exchanged for older ones from the pool; the first ones fill it."""
        size = self.rules.pool
        if not size:
            return fake
        if len(fake) != noise.total:
            raise UserError("the pool of generated x is kept by one process: train in one, or remove pool")
        filled = int(self.pooled)
        if filled < size:
            new = fake[: size - filled]
            self.pool[filled : filled + len(new)] = new
            self.pooled += len(new)
            return fake
        half = len(fake) // 2 // self.rules.packing * self.rules.packing  # whole packs
        where = noise.permutation(size)[:half]  # all different, so that none is overwritten twice
        old = self.pool[where].to(fake.dtype)
        self.pool[where] = fake[: len(old)].to(self.pool.dtype)
        return torch.cat([old, fake[len(old) :]])

    def generate(self, z: Tensor) -> Tensor:
        """x of codes (B, d) from the prior, (B, *shape)."""
        return self.generator(z).to(z.dtype)

    @torch.no_grad()
    def sample(self, n: int, *, given: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """`n` codes from the prior, and what the generator makes of them: (n, *shape).

        Args:
            n: how many
            given: None: the model is a p(x)
            generator: the source of randomness
        """
        unconditional(self, given)
        return self.generate(self.prior.sample(n, next(self.generator.parameters()), generator))


def discriminator_loss(rules: Rules, real_B: Tensor, fake_B: Tensor) -> dict[str, Part]:
    """What a discriminator minimises by its scores of what is real and of what is generated; whether it was right is logged."""
    loss = LOSSES[rules.loss]
    real = loss.real(real_B)
    if loss.flipped is not None and rules.smoothing:
        real = (1 - rules.smoothing) * real + rules.smoothing * loss.flipped(real_B)
    if loss.boundary is None:
        right_real = right_fake = real_B > fake_B
    else:
        right_real, right_fake = real_B > loss.boundary, fake_B < loss.boundary
    right = {"right_on_real": right_real, "right_on_fake": right_fake}
    return {"real": real, "fake": loss.fake(fake_B), **{name: Logged(values.to(real_B.dtype)) for name, values in right.items()}}


def gradient_penalty(penalty: PenaltyName, square_B: Tensor) -> Tensor:
    """The penalty on gradients whose squared norms are given, (B,), without its weight."""
    return square_B / 2 if penalty == "r1" else ((square_B + 1e-12).sqrt() - 1) ** 2  # the root of zero has no slope


def normalise(*discriminators: nn.Module) -> None:
    """Divide every affine map by its largest singular value."""
    for module in [module for discriminator in discriminators for module in discriminator.modules()]:
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            spectral_norm(module)


def packed(x: Kind, packing: int) -> Kind:
    """The kind that a discriminator sees which scores `packing` x together: their channels, or their numbers, side by side.

    Example:
        >>> from pofx.kinds import Image
        >>> packed(Image(3, 8, 8), 2)
        Image(channels=6, height=8, width=8, levels=256)
    """
    with suppress(UserError):
        if x.dtype == "float32":
            return x.stacked(packing)
    raise UserError(f"x of kind {x} cannot be packed: remove packing")


def pack(x: Tensor, packing: int) -> Tensor:
    """x (B, C, ...) to (B / packing, packing * C, ...)."""
    if packing == 1:
        return x
    if len(x) % packing:
        raise UserError(f"packing {packing} needs batches whose size is a multiple of it, not {len(x)}: change batch_size")
    return x.reshape(len(x) // packing, packing * x.shape[1], *x.shape[2:])


class MinibatchStd(nn.Module):
    """One more channel (or number): how much the examples of a batch differ, the same for all of them.

    The mean over all places of the standard deviation over the batch. A discriminator that sees it notices a generator that has few x.

    References:
        Progressive Growing of GANs (Karras et al., 2018), arXiv 1710.10196, section 3
    """

    mixes_rows = True  # an example's numbers depend on its neighbours

    def forward(self, h: Tensor) -> Tensor:
        differ = (h.var(0, unbiased=False) + 1e-8).sqrt().mean()
        return torch.cat([h, differ.expand(len(h), 1, *h.shape[2:])], dim=1)
