"""Adversarial training of an autoencoder and discriminators of its codes: what adversarial autoencoders share.

Shapes: B examples, *shape one x, z_Bd codes, s_B a discriminator's scores: the higher, the more it looks like a draw from the prior.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pofx import renamed
from pofx.bases.gan import LOSSES, Rules, discriminator_loss, gradient_penalty, normalise
from pofx.distributions.priors import Joint, Prior
from pofx.errors import UserError
from pofx.kinds import Kind, Vector
from pofx.layers.bodies import decoder, encoder
from pofx.layers.spatial_transformer import NUMBERS, Posed, random_affine, require_pictures
from pofx.model import Model, unconditional
from pofx.plan import Adam, Batch, Part, Player, Stage
from pofx.randomness import Noise

Reconstruction = Literal["mse", "bernoulli"]
Body = Literal["mlp", "conv"]
UNITS = (1000, 1000)  # of each layer, as in the paper


class AdversarialAutoEncoder(Model):
    """An encoder q(z | x) and a decoder, and discriminators that compare codes with draws from the prior p(z).

    Each step has the paper's phases, one player each: in `reconstruction` encoder and decoder restore x, in `discriminator` the
    discriminators learn to tell draws from the prior (real) from codes of x (fake), and in `regularisation` the encoder has its codes taken
    for draws. So the aggregated posterior q(z) = E_x q(z | x) comes to match p(z), and what is decoded from a draw looks like data.

    A subclass sets up its training with `play` at the end of its constructor; the rules are those of its own arguments (`Rules`). It has
    arguments `lr`, `lr_regularisation` and `reconstruction`, and may replace `q`.
    """

    without: ClassVar = {
        "log_prob": "its codes are matched to the prior by adversarial training, which bounds no density: train vae for a bound on log p",
    }

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(renamed.member(name, "discriminators"), value)

    @renamed.keywords(**renamed.PLAYED)
    def play(
        self,
        x: Kind,
        prior: Prior,
        encoder: nn.Module,
        decoder: nn.Module,
        discriminators: Mapping[str, nn.Module],
        codes: int | None = None,
    ) -> None:
        """Set up the training.

        Args:
            x: what is encoded
            prior: of the codes
            encoder: of x
            decoder: of codes
            discriminators: a part of the prior -> a discriminator of that part of the code; or one of the whole code, named "code"
            codes: numbers that the decoder takes; those of the prior by default
        """
        self.rules = Rules.of(self)
        self.bounded, self.shape = x.levels > 0, x.shape
        asked = self.config["reconstruction"]
        if asked == "bernoulli" and not self.bounded:
            raise UserError(f"{self.title()}: reconstruction bernoulli needs x in [0, 1] (Image or Binary), not {x}: use mse")
        self.reconstruction = asked or ("bernoulli" if self.bounded else "mse")
        self.prior, self.encoder, self.decoder, self.discriminators = prior, encoder, decoder, nn.ModuleDict(discriminators)
        self.codes = Vector(codes or prior.dims)
        if self.rules.spectral_norm:
            normalise(self.discriminators)

    def stages(self) -> Sequence[Stage]:
        return [Stage("play", self.phases())]

    def phases(self) -> list[Player]:
        """The players of a step, in order."""
        r = self.rules
        reconstruction = Player("reconstruction", [self.encoder, self.decoder], self.reconstruction_loss, Adam(self.config["lr"]))
        adam = Adam(r.lr_discriminator, (r.beta1, 0.999))
        discriminator = Player("discriminator", [self.discriminators], self.discriminator_loss, adam, key="critic")
        lr = self.config["lr_regularisation"]
        regularisation = Player("regularisation", [self.encoder], self.regularisation_loss, Adam(lr, (r.beta1, 0.999)))
        return [reconstruction, discriminator, regularisation]

    def q(self, x: Tensor, noise: Noise | None = None) -> Tensor:
        """Codes of x, one draw from q(z | x) each, of the prior's dimensions, (B, d); without noise what stands for them."""
        return self.encoder(x, noise).to(x.dtype)

    def coded(self, z: Tensor) -> Tensor:
        """What the decoder takes (B, codes), of draws or codes (B, d) in the prior's dimensions."""
        return z

    def part_of_code(self, name: str, z: Tensor) -> Tensor:
        """The part of codes that discriminator `name` scores."""
        return z[:, self.prior.where(name)] if isinstance(self.prior, Joint) and name in self.prior.parts else z

    def score(self, name: str, z: Tensor) -> Tensor:
        """Discriminator `name`'s scores of codes z (B, d), (B,)."""
        return self.discriminators[name](self.part_of_code(name, z)).squeeze(1).to(z.dtype)

    def reconstruction_loss(self, batch: Batch, noise: Noise) -> dict[str, Part]:
        """Encoder and decoder restore x: cross-entropy in nats, summed over the numbers of x, or their mean squared error."""
        x = batch["x"]
        r_B = self.decoder(self.coded(self.q(x, noise))).to(x.dtype).view_as(x)
        if self.reconstruction == "bernoulli":
            return {"bernoulli": F.binary_cross_entropy_with_logits(r_B, x, reduction="none").flatten(1).sum(1)}
        return {"mse": ((r_B.sigmoid() if self.bounded else r_B) - x).square().flatten(1).mean(1)}

    def discriminator_loss(self, batch: Batch, noise: Noise) -> dict[str, Part]:
        """Each discriminator tells draws from the prior from codes; whether it was right is logged."""
        with torch.no_grad():
            fake = self.q(batch["x"], noise)
        real = self.prior.draw(noise)
        parts: dict[str, Part] = {}
        for name in self.discriminators:
            found = discriminator_loss(self.rules, self.score(name, real), self.score(name, fake))
            if self.rules.penalty != "none":
                found["penalty"] = self.rules.penalty_weight * self.penalty(name, real, fake, noise)
            parts |= {f"{part}_{name}" if len(self.discriminators) > 1 else part: value for part, value in found.items()}
        return parts

    def penalty(self, name: str, real: Tensor, fake: Tensor, noise: Noise) -> Tensor:
        """The penalty on the discriminator's gradient at each draw (r1) or between draws and codes (wgan_gp), (B,), without its weight."""
        at = torch.lerp(real, fake, noise.uniform(1)) if self.rules.penalty == "wgan_gp" else real
        at = at.detach().requires_grad_(True)
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(self.score(name, at).sum(), at, create_graph=True)
        return gradient_penalty(self.rules.penalty, slope.square().sum(1))

    def regularisation_loss(self, batch: Batch, noise: Noise) -> dict[str, Part]:
        """The encoder is to have its codes taken for draws from the prior."""
        z = self.q(batch["x"], noise)
        loss = LOSSES[self.rules.loss].generator
        return renamed.Parts(
            {
                f"adversarial_{name}" if len(self.discriminators) > 1 else "adversarial": loss(self.score(name, z))
                for name in self.discriminators
            }
        )

    def encode(self, x: Tensor) -> Tensor:
        """The code that stands for q(z | x), (B, codes)."""
        return self.coded(self.q(x))

    def decode(self, z: Tensor) -> Tensor:
        """x of codes (B, codes), (B, *shape); pictures and bits in [0, 1]."""
        r_B = self.decoder(z).to(z.dtype).view(-1, *self.shape)
        return r_B.sigmoid() if self.bounded else r_B

    def generate(self, z: Tensor) -> Tensor:
        """x of draws from the prior (B, d), (B, *shape)."""
        return self.decode(self.coded(z))

    @torch.no_grad()
    def sample(self, n: int, *, given: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """`n` draws from the prior, decoded: (n, *shape).

        Args:
            n: how many
            given: None: the model is a p(x)
            generator: the source of randomness
        """
        unconditional(self, given)
        return self.generate(self.prior.sample(n, next(self.parameters()), generator))


def mirrored(x: Kind, body: Body, hidden: tuple[int, ...] | None, inputs: int, *, pose: slice | None = None) -> nn.Module:
    """The decoder that mirrors such an encoder, of `inputs` numbers; those at `pose` put in a pose what it makes of the others.

    Raises:
        UserError: body conv or a pose where x is no picture
    """
    if pose is not None:
        return Posed(x, pose, mirrored(x, body, hidden, inputs - NUMBERS))
    return decoder(x, body, inputs, hidden=hidden) if body == "conv" else perceptron(inputs, *(hidden or UNITS)[::-1], x.size)


def perceptron(*sizes: int, batch_norm: bool = False) -> nn.Sequential:
    """Affine maps with rectifiers between them, of rows of sizes[0] numbers to rows of sizes[-1], as the paper's networks.

    Args:
        sizes: numbers that go in, units of each hidden layer, numbers that come out
        batch_norm: normalises what goes into each rectifier over the batch
    """
    layers: list[nn.Module] = [nn.Flatten()]
    for v, h in pairwise(sizes[:-1]):
        layers += [nn.Linear(v, h), *[nn.BatchNorm1d(h)] * batch_norm, nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


class LabelAndStyle(nn.Module):
    """An encoder of a label y, a point of the simplex, and a style z beside it, by one network.

    Args:
        x: what is encoded
        body: mlp, or conv for pictures
        hidden: units of each layer (mlp); channels after each halving of the picture and then units of a dense layer (conv)
        classes: numbers in y
        latent: numbers in z
        batch_norm: normalises over the batch what goes into each rectifier of an mlp, and the logits of y. Without the latter all x may
            fall into a few clusters at once, where the softmax is flat and no gradient leads out
        input_noise: standard deviation of the noise that is added to x in training
        encoder_augment: standard deviation of the random affine map that x is put through then
        pose: whether the first numbers of z are a pose
        style_noise: standard deviation of the noise that is added in training to all other numbers of z
        temperature: in training y is drawn from the concrete distribution of this temperature; None: y is the softmax itself

    Raises:
        UserError: body conv or an encoder_augment where x is no picture

    References:
        The Concrete Distribution (Maddison, Mnih & Teh, 2016), arXiv 1611.00712
    """

    @renamed.keywords(**renamed.CODES)
    def __init__(
        self,
        x: Kind,
        body: Body,
        hidden: tuple[int, ...] | None,
        classes: int,
        latent: int,
        *,
        batch_norm: bool,
        input_noise: float,
        encoder_augment: float,
        pose: bool,
        style_noise: float,
        temperature: float | None,
    ):
        super().__init__()
        self.sizes, self.input_noise, self.encoder_augment = [classes, latent], input_noise, encoder_augment
        self.exact, self.style_noise, self.temperature = NUMBERS if pose else 0, style_noise, temperature
        if encoder_augment:
            require_pictures(x, "encoder_augment")
        if body == "conv":
            self.network = encoder(x, body, classes + latent, hidden=hidden)
        else:
            self.network = perceptron(x.size, *(hidden or UNITS), classes + latent, batch_norm=batch_norm)
        self.normalised = nn.BatchNorm1d(classes) if batch_norm else nn.Identity()

    def logits(self, x: Tensor, noise: Noise | None = None) -> tuple[Tensor, Tensor]:
        """Logits of y (B, classes), and z (B, latent). In training x is put through a random affine map and noise is added to it, where
        asked for."""
        if noise is not None and self.training:
            if self.encoder_augment:
                x = random_affine(x, self.encoder_augment, noise)
            if self.input_noise:
                x = x + self.input_noise * noise.normal(*x.shape[1:])
        l_BC, z_BZ = self.network(x).to(x.dtype).split(self.sizes, dim=1)
        return self.normalised(l_BC), z_BZ

    def forward(self, x: Tensor, noise: Noise | None = None) -> Tensor:
        """y and z, one after another, (B, classes + latent). In training y is drawn and noise is added to z, where asked for."""
        l_BC, z_BZ = self.logits(x, noise)
        if noise is not None and self.training:
            if self.temperature is not None:
                l_BC = (l_BC + gumbel(noise, l_BC.shape[1])) / self.temperature
            if self.style_noise:
                e_BS = noise.normal(z_BZ.shape[1] - self.exact)
                z_BZ = z_BZ + self.style_noise * F.pad(e_BS, (self.exact, 0))
        return torch.cat([l_BC.softmax(1), z_BZ], dim=1)


def gumbel(noise: Noise, classes: int) -> Tensor:
    """Standard Gumbel noise (B, classes): the largest of logits plus it is class k with the probability softmax_k."""
    exponential = -torch.log1p(-noise.uniform(classes))  # of a uniform number in [0, 1), which may be 0
    return -exponential.clamp_min(torch.finfo(noise.dtype).tiny).log()
