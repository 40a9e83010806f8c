"""Watching adversarial training: what is averaged and logged, what is measured on the way, and what is shown of it."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from pofx.card import card
from pofx.data import load
from pofx.errors import Diverged
from pofx.kinds import Vector
from pofx.metrics.manifold import prdc
from pofx.metrics.sliced import sliced_wasserstein
from pofx.model import Model
from pofx.models import find
from pofx.plan import SGD, Player, Stage
from pofx.randomness import Noise
from pofx.run import Run, seeded
from pofx.testing.learning import differ, finished
from pofx.train import Training
from pofx.train.log import losses
from pofx.train.loop import Trainer
from pofx.train.monitor import IDLE, PICTURES, Real
from tests.two_layers import B, D, numbers


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


class Mapping(Halves):
    """A p(x | source): it draws nothing unless it is told of what."""

    def __init__(self, x: Vector, source: Vector):
        super().__init__(x)

    def sample(self, n, *, given=None, generator=None):
        raise AssertionError("samples of no source")


def trainer(model, **options):
    return Trainer(model, numbers(), Training(**{"steps": 10, "batch_size": B, "keep": "last", "device": "cpu", **options}))


def rows(t, split=None):
    return [row for row in map(json.loads, t.metrics.rows) if row.get("split") == split]


def test_no_samples_are_watched_of_a_model_that_is_given_a_source():
    data = numbers(20, 10)
    for split in data.splits.values():
        split.columns["source"] = split.columns["x"]
    data.fields["source"] = data.fields["x"]
    t = Trainer(Mapping(Vector(D), Vector(D)), data, Training(steps=10, batch_size=B, eval_every=2, keep="last", device="cpu"))
    t.run()
    assert not [row for row in map(json.loads, t.metrics.rows) if "watch.coverage" in row]


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


# Samples beside real rows


def test_the_numbers_of_samples_are_those_of_the_measures():
    source = np.random.default_rng(0)
    valid, train, x = source.normal(3.0, 1.0, (120, 4)), source.normal(3.0, 1.0, (120, 4)), source.normal(2.0, 0.5, (120, 4))
    real = Real(valid, train)
    found = real.numbers(x)
    assert found["watch.coverage"] == prdc(valid, x, k=5).coverage
    assert found["watch.precision"] == prdc(valid, x, k=5).precision
    assert found["watch.coverage"] != found["watch.precision"], "nothing is shown here"
    assert found["watch.real_coverage"] == prdc(valid, train, k=5).coverage > 0.9
    assert found["watch.distance"] == pytest.approx(sliced_wasserstein(valid, x, projections=50), rel=1e-9)
    assert found["watch.real_distance"] == pytest.approx(sliced_wasserstein(valid, train, projections=50), rel=1e-9)
    assert found["watch.spread"] == pytest.approx(math.sqrt(x.var(0).sum() / valid.var(0).sum()), rel=1e-9)
    assert real.numbers(np.ones((120, 4)))["watch.spread"] < 1e-12


def ring(**options):
    data = load("ring")
    with seeded(0):
        model = find("gan")(data.fields["x"], latent=4, hidden=(64, 64), lr_generator=1e-3, lr_discriminator=1e-3)
    return Trainer(model, data, Training(**{"steps": 600, "eval_every": 40, "device": "cpu", **options}))


def test_a_healthy_game_on_the_ring_is_checked_and_tells_nothing():
    t = ring(ema=0.9)
    t.run()
    found = rows(t, "valid")
    assert [row["step"] for row in found] == list(range(40, 601, 40))
    assert [row for row in rows(t) if "warning" in row] == []
    kept = find("gan")(t.data.fields["x"], latent=4, hidden=(64, 64))
    kept.load_state_dict(t.weights())
    numbers = t.watch.check(600, 600, None)
    with t.averaged():
        assert found[-1] == {"step": 600, "split": "valid", **t.watch.check(600, 600, None)}
    assert found[-1]["watch.distance"] != numbers["watch.distance"], "the weights that are kept are those that are checked"


def test_a_generator_that_has_collapsed_on_the_ring_is_told_of_once():
    t = ring()
    with torch.no_grad():
        t.model.generator[-3].weight.zero_()
    discriminator, generator = t.stages[0].players
    t.stages = [Stage("play", [discriminator, replace(generator, optimizer=SGD(1e-30))])]
    t.run()
    told = [row["warning"] for row in rows(t) if "warning" in row and "nearly all the same" in row["warning"]]
    assert len(told) == 1
    assert told[0].startswith("step 200: samples are nearly all the same")
    assert "--packing 2, --minibatch-std, --penalty r1, --spectral-norm" in told[0]


def test_checks_are_rare_where_none_are_asked_for_and_pictures_few(tmp_path):
    t = ring(eval_every=None, steps=250)
    t.run()
    assert [row["step"] for row in rows(t, "valid")] == [100, 200, 250]
    (tmp_path / "state").mkdir()
    t = ring(eval_every=1, steps=120)
    t.state_folder = tmp_path / "state"
    t.run()
    assert len(rows(t, "valid")) == 120
    pictures = sorted(file.name for file in (tmp_path / "samples").iterdir())
    assert len(pictures) == PICTURES
    assert pictures[-1] == "step-000120.png"


def test_a_state_without_a_game_is_that_of_a_watch_before_any_check():
    """Every state has one, as it always had; that of a game begins with it."""
    t = little_dcgan()
    assert t.watch.state() == IDLE
    data = load("digits")
    alone = Trainer(find("pca")(data.fields["x"], latent=2), data, Training(batch_size=500, device="cpu"))
    assert alone.watch is None
    alone.run()
    assert json.loads(alone.state()[1]["pofx"])["watch"] == IDLE


def little_dcgan(watched=True):
    data = load("digits")
    with seeded(0):
        model = find("dcgan")(data.fields["x"], latent=4, width=4)
    t = Trainer(model, data, Training(steps=6, batch_size=16, eval_every=1, device="cpu"))
    t.watch.draws = watched
    return t


def test_being_watched_changes_no_training():
    """Batch normalisation learns statistics wherever it is in training mode."""
    t, alone = little_dcgan(), little_dcgan(watched=False)
    for one in (t, alone):
        one.run()
    assert len(rows(t, "valid")) == 6
    assert rows(alone, "valid") == []
    assert [row for row in rows(t) if "warning" not in row] == rows(alone)
    found, expected = t.state()[0], alone.state()[0]
    assert any("running_mean" in name for name in expected)
    differ(found, expected, "watched")


def test_a_check_gives_every_module_its_mode_back():
    t = little_dcgan()
    t.model.train()
    next(module for module in t.model.modules() if isinstance(module, nn.BatchNorm2d)).eval()
    before = [module.training for module in t.model.modules()]
    t.watch.check(6, 6, None)
    assert [module.training for module in t.model.modules()] == before


def test_samples_that_are_not_finite_stop_every_replica(monkeypatch):
    t = ring(steps=40)
    monkeypatch.setattr(t.model, "sample", lambda n, **_: torch.full((n, 2), math.nan))
    asked = []

    def told(flag):
        asked.append(flag)
        return flag

    monkeypatch.setattr(t.replicas, "any", told)
    with pytest.raises(Diverged, match="step 40: samples are not finite"):
        t.run()
    assert asked[-1] is True, "the others are told before this one stops"
    second = ring(steps=40)
    second.run(until=39)
    second.replicas.rank, second.replicas.any = 1, lambda flag: not flag  # the first replica failed, and this one did not
    with pytest.raises(Diverged, match="step 39: samples could not be checked; the first replica says why"):
        second._validate()


def test_a_model_that_does_not_sample_and_data_with_few_rows_are_not_checked():
    t = trainer(Halves(Vector(D)), eval_every=2)
    t.run()
    assert rows(t, "valid") == []


# What is shown


def test_each_player_has_a_curve_and_a_line_on_the_terminal(capsys):
    from pofx.commands.progress import TrainingProgress

    row = {
        "step": 20,
        "discriminator.real": 1.0,
        "discriminator.loss": 2.0,
        "generator.adversarial": 3.0,
        "generator.gradient_norm": 4.0,
        "discriminator.right_on_real": 0.5,
    }
    assert losses(row) == {"discriminator.loss": 2.0, "generator.adversarial": 3.0}
    assert losses({"step": 20, "split": "valid", "watch.coverage": 0.5}) == {}
    with TrainingProgress() as progress:
        progress({"step": 20, "split": "valid", "watch.coverage": 0.5, "total": 20, "steps_a_second": None})
        progress({"step": 20, "warning": "step 20: all is lost", "total": 20, "steps_a_second": None})
        progress({**row, "total": 20, "steps_a_second": 9.0})
    assert capsys.readouterr().err.splitlines() == [
        "warning: step 20: all is lost",
        "step 20/20  discriminator.loss 2  generator.adversarial 3  coverage 0.50  discriminator.real 1  discriminator.right_on_real 0.5",
    ]


def test_the_pictures_and_the_card_of_a_game(tmp_path, monkeypatch):
    from PIL import Image

    from pofx.commands import train
    from pofx.commands.illustrate import game_curves, loss_curves

    monkeypatch.chdir(tmp_path)
    report = train("gan", data="ring", out="run", steps=40, log_every=10, eval_every=10, latent=2, hidden=(8,))
    run = Run("run")
    watched, played = [[row for row in run.metrics() if ("split" in row) is valid] for valid in (True, False)]
    assert set(loss_curves(run)) == {"discriminator.loss (train)", "generator.adversarial (train)"}
    right, shares, distances, norms = game_curves(run).values()
    assert right["discriminator: right on fake"] == ([10, 20, 30, 40], [row["discriminator.right_on_fake"] for row in played])
    assert shares["coverage"] == ([10, 20, 30, 40], [row["watch.coverage"] for row in watched])
    assert distances["of real rows"][1] == [watched[0]["watch.real_distance"]] * 4
    assert norms["generator"][1] == pytest.approx([math.log10(row["generator.gradient_norm"]) for row in played])
    assert [name.rpartition("/")[2] for name in report["pictures"]] == ["samples.png", "loss.png", "game.png", "training.gif"]
    assert Image.open("run/samples/training.gif").n_frames == 4
    assert report["warnings"] is None
    told = "step 40: all is lost. Train again with a lower --lr"
    with open("run/metrics.jsonl", "a") as file:
        file.write(json.dumps({"step": 40, "warning": told}) + "\n")
    text = card(run)
    assert f"- {told}\n" in text
    assert "Density: implicit; there is no log p(x)" in text
    assert "![how adversarial training went](samples/game.png)" in text
