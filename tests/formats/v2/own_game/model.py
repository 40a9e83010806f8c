"""A model of the user's own with several players and stages: data are centred, then a generator plays against a critic."""

from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from pofx.game import SGD, Adam, ClosedForm, Player, Ratio, Stage, Watched, no_loss
from pofx.kinds import Size, Vector
from pofx.model import Model
from pofx.nn.priors import Gaussian


class Centred(Model):
    """A small game over centred vectors.

    References:
        Generative Adversarial Networks (Goodfellow et al., 2014), arXiv 1406.2661

    Args:
        x: vectors
        latent: numbers that the generator starts from
        hidden: units of each network
    """

    paper: ClassVar = ("Goodfellow et al.", 2014, "1406.2661")
    small: ClassVar = {"latent": 3, "hidden": 8}
    without: ClassVar = {"log_prob": "a generator is not a density"}

    def __init__(self, x: Vector, *, latent: Size = 8, hidden: Size = 32):
        super().__init__()
        self.register_buffer("mean", torch.zeros(x.dims))
        self.prior = Gaussian(latent)
        self.generator = nn.Sequential(nn.Linear(latent, hidden), nn.Tanh(), nn.Linear(hidden, x.dims))
        self.critic = nn.Sequential(nn.Linear(x.dims, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, 1))

    def stages(self):
        critic = Player("critic", [self.critic], self.critic_loss, Adam(2e-3, betas=(0.5, 0.9)), repeat=2)
        generator = Player("generator", [self.generator], self.generator_loss, SGD(0.05, momentum=0.5), every=2)
        return [
            Stage("centre", [Player("centre", [self], no_loss, ClosedForm(self.statistics, self.solve))], until=0.2),
            Stage("play", [critic, generator], until=0.8),
            Stage("end", [critic, generator], on_enter=self.shake, keep_optimizers=True),
        ]

    def statistics(self, batch):
        x = batch["x"].double()
        return {"count": torch.tensor(float(len(x))).double(), "sum": x.sum(0)}

    def solve(self, sums):
        self.mean.copy_(sums["sum"] / sums["count"])

    def shake(self):
        with torch.no_grad():
            self.critic[0].bias.add_(0.1 * torch.randn(self.critic[0].bias.shape))

    def judged(self, x, noise):
        return self.critic(noise.dropout(x - self.mean, 0.1)).squeeze(1)

    def critic_loss(self, batch, noise):
        with torch.no_grad():
            fake = self.generate(self.prior.draw(noise))
        real_B, fake_B = self.judged(batch["x"], noise), self.judged(fake, noise)
        counted_B = (batch["x"][:, 0] > 0).long() + 1
        return {
            "real": Ratio(F.softplus(-real_B) * counted_B, counted_B),
            "fake": F.softplus(fake_B),
            "right": Watched((real_B > fake_B).to(real_B.dtype)),
        }

    def generator_loss(self, batch, noise):
        return {"fooled": F.softplus(-self.judged(self.generate(self.prior.draw(noise)), noise))}

    def generate(self, z):
        return self.generator(z) + self.mean

    @torch.no_grad()
    def sample(self, n, *, given=None, generator=None):
        return self.generate(self.prior.sample(n, self.mean, generator))
