"""A model of the user's own: turns a vector in the plane of its first two numbers."""

import math

import torch

from pofx.kinds import Vector
from pofx.model import Model


class Rotation(Model):
    """Turns x by an angle."""

    paper = ("Nobody", 2026, "none")

    def __init__(self, x: Vector, *, angle: float = 1.0):
        super().__init__()
        self.codes = x
        turn = torch.eye(x.dims)
        turn[:2, :2] = torch.tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        self.register_buffer("turn", turn)

    def encode(self, x):
        return x @ self.turn

    def decode(self, z):
        return z @ self.turn.T
