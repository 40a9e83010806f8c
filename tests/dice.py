"""A model of somebody's own with a kind of its own: throws of dice. Nothing in the package knows of it."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from pofx.kinds import Kind, Vector
from pofx.kinds.shown import Tiles
from pofx.model import Model

PIPS = ("4", "08", "048", "0268", "02468", "023568")  # of a three by three face, by its number


@dataclass(frozen=True)
class Dice(Kind):
    """Throws of so many dice: int64 from 0 to 5, one less than what lies on top."""

    dtype: ClassVar[str] = "int64"
    likelihood: ClassVar[str] = "categorical"
    claim_order: ClassVar[int] = -10
    endings: ClassVar[tuple[str, ...]] = (".png", ".npy", ".npz", ".rolls")

    dice: int

    @property
    def shape(self):
        return (self.dice,)

    @property
    def levels(self):
        return 6

    @classmethod
    def claims(cls, name, arrays, *, whole=True):
        some = next(iter(arrays.values()))
        return (Dice(some.shape[1]), arrays) if some.dtype == np.int8 and some.ndim == 2 else None

    @classmethod
    def small(cls):
        return (Dice(2),)

    @property
    def picture(self):
        return True

    def file_content(self, form, x, codec=None):
        """A line a throw, what lies on top side by side."""
        return "".join("".join(str(1 + face) for face in row) + "\n" for row in x.tolist()).encode() if form == ".rolls" else None

    def draw(self, x, codec=None):
        faces = np.ones((6, 9))
        for number, pips in enumerate(PIPS):
            faces[number, [int(pip) for pip in pips]] = 0
        return Tiles(faces.reshape(6, 3, 3)[x].transpose(0, 2, 1, 3).reshape(len(x), 1, 3, 3 * self.dice))


class Throws(Model):
    """Dice that know nothing of each other: p(x) = prod_d p_d(x_d).

    References:
        Ars Conjectandi (Bernoulli, 1713)

    Args:
        x: throws
    """

    paper: ClassVar = ("Bernoulli", 1713, "ISBN 978-0-8018-8235-7")
    density: ClassVar = "exact"

    def __init__(self, x: Dice):
        super().__init__()
        self.logit_DL = nn.Parameter(torch.zeros(x.dice, x.levels))
        self.codes = Vector(x.levels)

    def log_prob(self, x, *, given=None):
        return self.logit_DL.log_softmax(1).expand(len(x), -1, -1).gather(2, x[:, :, None]).sum((1, 2))

    def loss(self, batch, noise):
        return {"nll": -self.log_prob(batch["x"])}

    @torch.no_grad()
    def sample(self, n, *, given=None, generator=None):
        return torch.multinomial(self.logit_DL.softmax(1), n, replacement=True, generator=generator).T.contiguous()

    def complete(self, x, known, *, generator=None):
        return torch.where(known, x, self.sample(len(x), generator=generator))

    def decode(self, z):
        """Throws in the order of their faces."""
        at_D = torch.arange(len(self.logit_DL)) + 0.5
        return torch.searchsorted(z.cumsum(1).contiguous(), at_D.expand(len(z), -1).to(z.dtype).contiguous()).clamp(max=5)

    def encode(self, x):
        """How often each face lies on top."""
        return F.one_hot(x, 6).sum(1).to(self.logit_DL.dtype)
