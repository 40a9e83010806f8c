"""Several stages: a closed form, then its successor with a weight that is tied and a layer that grows, for the tests of the engine."""

from typing import ClassVar

import torch
from torch import nn

from pofx.kinds import Vector
from pofx.model import Model
from pofx.options import Size
from pofx.plan import SGD, ClosedForm, Player, Ratio, Stage, no_loss


class ThreeStages(Model):
    """A whitened autoencoder: mean and scale in closed form, then tied weights, then all with a second layer faded in.

    References:
        Learning representations by back-propagating errors (Rumelhart et al., 1986)

    Args:
        x: vectors
        latent: numbers in the code
    """

    paper: ClassVar = ("Rumelhart et al.", 1986, "Nature 323")
    small: ClassVar = {"latent": 3}

    def __init__(self, x: Vector, *, latent: Size = 4):
        super().__init__()
        self.codes = Vector(latent)
        self.register_buffer("mean", torch.zeros(x.size))
        self.register_buffer("scale", torch.ones(x.size))
        self.register_buffer("grown", torch.zeros(()))
        self.encoder = nn.Linear(x.size, latent, bias=False)
        self.mirror = nn.Linear(x.size, latent, bias=False)
        self.mirror.weight = self.encoder.weight  # tied: two names, one tensor
        self.top = nn.Linear(latent, latent)

    def stages(self):
        tied, all_of_it = [self.encoder], [self.encoder, self.top]
        return [
            Stage("whiten", [Player("whiten", [self], no_loss, ClosedForm(self.statistics, self.solve))], until=0.3),
            Stage("tied", [Player("coder", tied, self.loss, SGD(0.05, momentum=0.9))], until=0.6),
            Stage("all", [Player("coder", all_of_it, self.loss, SGD(0.02, momentum=0.9))], on_enter=self.grow, keep_optimizers=True),
        ]

    def statistics(self, batch):
        x = batch["x"].double()
        return {"count": torch.tensor(float(len(x))).double(), "sum": x.sum(0), "square": x.square().sum(0)}

    def solve(self, sums):
        mean = sums["sum"] / sums["count"]
        self.mean.copy_(mean)
        self.scale.copy_((sums["square"] / sums["count"] - mean.square()).clamp(min=1e-6).sqrt())

    def grow(self):
        self.grown.fill_(1.0)
        with torch.no_grad():
            self.top.weight.copy_(0.1 * torch.randn(self.top.weight.shape))

    def white(self, x):
        return (x - self.mean) / self.scale

    def encode(self, x):
        z = self.encoder(self.white(x))
        return z + self.grown * self.top(z)

    def decode(self, z):
        return z @ self.mirror.weight * self.scale + self.mean

    def loss(self, batch, noise):
        white = self.white(batch["x"])
        error = (self.decode(self.encode(batch["x"])) - self.mean) / self.scale - white
        seen = noise.uniform(white.shape[1]) < 0.7
        return {"error": Ratio((error.square() * seen).sum(1), seen.sum(1)), "small": 0.01 * self.encode(batch["x"]).square().sum(1)}
