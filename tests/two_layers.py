"""A game of two layers over a few rows, which the tests of the engine play."""

import json

import numpy as np
import torch
from torch import nn

from pofx.data import Column, Data, Split
from pofx.kinds import Vector
from pofx.model import Model
from pofx.plan import Player, Stage
from pofx.randomness import Noise
from pofx.train import Training
from pofx.train.loop import Trainer

D, ROWS, B = 3, 10, 4  # the third batch reaches into the second epoch


def numbers(rows=ROWS, valid=5):
    source = np.random.default_rng(0)
    columns = {n: Column(Vector(D), source.standard_normal((k, D)).astype(np.float32)) for n, k in (("train", rows), ("valid", valid))}
    return Data({"x": Vector(D)}, {name: Split({"x": column}) for name, column in columns.items()}, {"spec": "numbers", "sha256": ""})


class Game(Model):
    """A model whose stages a test makes up: `first` and `second` are layers that players may own."""

    def __init__(self, x: Vector):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.first, self.second = nn.Linear(x.dims, 2), nn.Linear(2, x.dims)

    def stages(self):
        return self.play(self)

    def loss(self, batch, noise):
        x = batch["x"] + 0.1 * noise.normal(D)
        return {"error": (self.second(self.first(x).tanh()) - batch["x"]).square().sum(1), "size": 0.01 * self.first(x).square().sum(1)}


def game(play=lambda model: [Stage("train", [Player("coder", [model], model.loss)])]):
    model = Game(Vector(D))
    model.play = play
    return model


def trainer(model, **options):
    return Trainer(model, numbers(), Training(**{"steps": 10, "batch_size": B, "keep": "last", "device": "cpu", **options}))


def batch(number, seed=0):
    return numbers().splits["train"].batch(number, B, seed=seed)


def noise(step, player, repeat=0, *, seed=0, steps=10):
    return Noise((seed, step, player, repeat), slice(0, B), B, progress=step / steps)


def rows(t, split=None):
    return [row for row in map(json.loads, t.metrics.rows) if row.get("split") == split]


def assert_equal_weights(model, other):
    for (name, p), q in zip(model.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q), name
