"""A parameter that takes part in some steps only, and counted things that differ from row to row, for the tests of replicas."""

from typing import ClassVar

from torch import nn

from pofx.kinds import Vector
from pofx.model import Model
from pofx.plan import Ratio


class Sometimes(Model):
    """Linear regression of each vector's square, with a second term that is left out in the second half of training.

    References:
        Nouvelles methodes pour la determination des orbites des cometes (Legendre, 1805)

    Args:
        x: vectors
    """

    paper: ClassVar = ("Legendre", 1805, "Firmin Didot, Paris")

    def __init__(self, x: Vector):
        super().__init__()
        self.always, self.sometimes = nn.Linear(x.dims, 1), nn.Linear(x.dims, 1)

    def loss(self, batch, noise):
        x_BD = batch["x"]
        predicted_B1 = self.always(x_BD)
        if noise.progress < 0.5:
            predicted_B1 = predicted_B1 + self.sometimes(x_BD + noise.normal(x_BD.shape[1]))
        error_B = (predicted_B1.squeeze(1) - x_BD.square().sum(1)).square()
        counted_B = (x_BD[:, 0] > 0).long() + 1
        return {"error": Ratio(error_B * counted_B, counted_B)}
