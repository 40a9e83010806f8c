"""A generator and a discriminator: several players of one stage, for the tests of the engine."""

from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from pofx.kinds import Binary, Image, Vector
from pofx.model import Model
from pofx.options import Size
from pofx.plan import Adam, Logged, Player, Stage


class TwoPlayers(Model):
    """A small generative adversarial network, with dropout in the discriminator, which moves twice as often.

    References:
        Generative Adversarial Networks (Goodfellow et al., 2014), arXiv 1406.2661

    Args:
        x: what is imitated
        latent: numbers that the generator starts from
        hidden: units of each network
    """

    paper: ClassVar = ("Goodfellow et al.", 2014, "1406.2661")
    small: ClassVar = {"latent": 3, "hidden": 8}
    without: ClassVar = {"log_prob": "a generator is not a density"}

    def __init__(self, x: Image | Binary | Vector, *, latent: Size = 8, hidden: Size = 32):
        super().__init__()
        self.latent, self.shape = latent, x.shape
        squash = nn.Identity() if isinstance(x, Vector) else nn.Sigmoid()
        self.generator = nn.Sequential(nn.Linear(latent, hidden), nn.Tanh(), nn.Linear(hidden, x.size), squash)
        self.discriminator_body = nn.Sequential(nn.Linear(x.size, hidden), nn.LeakyReLU(0.2))
        self.discriminator_head = nn.Linear(hidden, 1)

    def stages(self):
        discriminator = Player(
            "discriminator",
            [self.discriminator_body, self.discriminator_head],
            self.discriminator_loss,
            Adam(2e-3, betas=(0.5, 0.9)),
            repeat=2,
        )
        return [
            Stage(
                "play", [discriminator, Player("generator", [self.generator], self.generator_loss, Adam(1e-3, betas=(0.5, 0.9)), every=2)]
            )
        ]

    def discriminator(self, x, noise):
        return self.discriminator_head(noise.dropout(self.discriminator_body(x.flatten(1)), 0.2)).squeeze(1)

    def discriminator_loss(self, batch, noise):
        with torch.no_grad():
            fake = self.generator(noise.normal(self.latent))
        real_B, fake_B = self.discriminator(batch["x"], noise), self.discriminator(fake, noise)
        return {
            "real": F.softplus(-real_B),
            "fake": F.softplus(fake_B),
            "right": Logged((real_B > fake_B).to(real_B.dtype)),
        }

    def generator_loss(self, batch, noise):
        return {"fooled": F.softplus(-self.discriminator(self.generator(noise.normal(self.latent)), noise))}

    @torch.no_grad()
    def sample(self, n, *, given=None, generator=None):
        weight = next(self.parameters())
        return self.generator(torch.randn(n, self.latent, generator=generator, dtype=weight.dtype)).unflatten(1, self.shape)
