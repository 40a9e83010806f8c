"""Watching a game: what is averaged and logged, what is measured on the way, and which histories are worth a warning."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from pofx.data import Column, Data, Split
from pofx.game import SGD, Noise, Player, Stage
from pofx.kinds import Vector
from pofx.model import Model
from pofx.testing.cases import Case
from pofx.testing.learning import differ, finished
from pofx.testing.pair import replicas
from pofx.train import Training
from pofx.train.trainer import Trainer

D, B = 3, 4


def numbers(rows=10, valid=5):
    source = np.random.default_rng(0)
    columns = {n: Column(Vector(D), source.standard_normal((k, D)).astype(np.float32)) for n, k in (("train", rows), ("valid", valid))}
    return Data({"x": Vector(D)}, {name: Split({"x": column}) for name, column in columns.items()}, {"spec": "numbers", "sha256": ""})


class Normalised(Model):
    """A batch normalisation between two layers, each of which a player may own."""

    def __init__(self, x: Vector):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.first, self.normal, self.second = nn.Linear(x.dims, 2), nn.BatchNorm1d(2), nn.Linear(2, x.dims)

    def loss(self, batch, noise):
        x = batch["x"] + 0.1 * noise.normal(D)
        return {"error": (self.second(self.normal(self.first(x)).tanh()) - batch["x"]).square().sum(1)}


class Halves(Model):
    """Two players that move a half each, one of them in every third step only."""

    def __init__(self, x: Vector):
        super().__init__()
        self.one, self.other = nn.Linear(x.dims, 1), nn.Linear(x.dims, 1)

    def stages(self):
        return [Stage("s", [Player("one", [self.one], self.loss_of(0), SGD(0.1), repeat=2), self.rare()])]

    def rare(self):
        return Player("other", [self.other], self.loss_of(1), SGD(0.1), every=3)

    def loss_of(self, which):
        return lambda batch, noise: {"l": (self.one, self.other)[which](batch["x"] + noise.normal(D)).squeeze(1).square()}


def trainer(model, **options):
    return Trainer(model, numbers(), Training(**{"steps": 10, "batch_size": B, "keep": "last", "device": "cpu", **options}))


def rows(t, split=None):
    return [row for row in map(json.loads, t.metrics.rows) if row.get("split") == split]


# What is averaged


def test_the_average_holds_the_statistics_of_batch_normalisation():
    t = trainer(Normalised(Vector(D)), ema=0.8)
    expected = {n: v.clone() for n, v in t.model.state_dict().items()}
    for step in range(10):
        t.run(until=step + 1)
        for name, value in t.model.state_dict().items():
            expected[name] = 0.8 * expected[name] + 0.2 * value if value.is_floating_point() else value.clone()
    kept = t.weights()
    assert kept.keys() == expected.keys()
    for name, value in kept.items():
        torch.testing.assert_close(value, expected[name], msg=lambda m, n=name: f"{n}: {m}")
    assert (kept["normal.running_mean"] - t.model.normal.running_mean).abs().max() > 1e-3, "nothing is shown here"


def test_the_average_is_in_the_models_place_while_it_is_asked_for_and_resumes():
    t = trainer(Normalised(Vector(D)), ema=0.8, eval_every=3)
    t.run(until=6)
    live, kept = {n: v.clone() for n, v in t.model.state_dict().items()}, t.weights()
    with t.averaged():
        for name, value in t.model.state_dict().items():
            assert torch.equal(value, kept[name]), name
    for name, value in t.model.state_dict().items():
        assert torch.equal(value, live[name]), name
    again = trainer(Normalised(Vector(D)), ema=0.8, eval_every=3)
    again.load(*t.state())
    again.metrics = t.metrics
    again.run()
    whole = trainer(Normalised(Vector(D)), ema=0.8, eval_every=3)
    whole.run()
    differ(finished(again), finished(whole), "resumed")


# Norms of gradients


@pytest.mark.parametrize("log_every", [1, 4, 5])
def test_the_norm_of_each_players_gradient_is_that_of_its_last_moves_before_a_row(log_every):
    t = trainer(Halves(Vector(D)), log_every=log_every, eval_every=100)
    moved = []

    move = t._move

    def remembered(player, batch, repeat, done):
        layer = getattr(t.model, player.name).requires_grad_(True)
        noise = Noise((0, t.step, player.name, repeat), slice(0, B), B, progress=t.step / 10)
        loss = player.loss(batch, noise)["l"].mean()
        found = torch.autograd.grad(loss, list(layer.parameters()))
        moved.append((t.step, player.name, torch.cat([g.reshape(-1) for g in found]).norm().item()))
        move(player, batch, repeat, done)

    t._move = remembered
    t.run()
    end = 0
    for row in rows(t):
        begin, end = end, row["step"]
        for name in ("one", "other"):
            steps = [step for step, player, _ in moved if player == name and begin <= step < end]
            if not steps:
                assert f"{name}.gradient_norm" not in row
                continue
            norms = [norm for step, player, norm in moved if player == name and step == steps[-1]]
            assert row[f"{name}.gradient_norm"] == pytest.approx(sum(norms) / len(norms), rel=1e-5)
    assert any("other.gradient_norm" in row for row in rows(t))


def test_one_player_alone_pays_for_no_norm():
    t = trainer(Normalised(Vector(D)))
    t.run()
    assert rows(t)
    assert not any(name.endswith("gradient_norm") for row in rows(t) for name in row)


def test_replicas_log_the_norms_of_one_process():
    replicas(Case(Halves, {"x": Vector(D)}))
